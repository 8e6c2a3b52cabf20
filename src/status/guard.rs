//! Who may act by way of the status handler: nobody, where nothing in the configuration says who may ask it.

use std::sync::OnceLock;

use httpd::config_tree::{self, Node, is_server};
use httpd::pattern::is_found;
use httpd::request::Request;

use crate::configuration::config::Config;
use crate::symbol::websocket_module;

/// Whether a request may close connections, as far as the handler is concerned: `WebSocketStatusActions` says so, or, without
/// it, some section decides who may ask. That httpd has let the request in is no answer: it does so where nothing is said.
pub fn may_act(request: &Request<'_>) -> bool {
    let config = request.config::<Config>(&websocket_module);
    match config.and_then(Config::status_actions) {
        Some(is_on) => is_on,
        None => is_guarded(request, tree()),
    }
}

/// This child's configuration, which does not change.
fn tree() -> &'static [Node] {
    static TREE: OnceLock<Vec<Node>> = OnceLock::new();
    TREE.get_or_init(config_tree::read)
}

/// What a section says of who may ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Everybody,
    Some,
}

/// The section that holds last decides, as in httpd: directories, then files, then locations, then `<If>`; in each of these the
/// virtual host's behind the main server's. Directories are in an order of their own.
fn is_guarded(request: &Request<'_>, tree: &[Node]) -> bool {
    let server = request.server().defined_at();
    let host = tree
        .iter()
        .find(|node| node.is("<VirtualHost") && is_server(node, server));
    let of_host = host.map_or(&[][..], |host| &host.children);
    let place = Place {
        path: request.uri(),
        file: request.filename(),
    };
    let kinds = ["<Directory", "<Files", "<Location", "<If"];
    let mut access = None;
    for kind in kinds {
        let all = tree.iter().chain(of_host);
        let mut sections: Vec<&Node> = all.filter(|node| is_kind(node, kind)).collect();
        if kind == "<Directory" {
            sections.sort_by_key(|node| depth(node));
        }
        for node in sections.into_iter().filter(|node| holds(node, &place)) {
            access = access_of(node, &place).or(access);
        }
    }
    access == Some(Access::Some)
}

/// What a request is for.
struct Place {
    path: String,
    file: String,
}

/// Whether a section is of a kind; `<LocationMatch` and the like are, too.
fn is_kind(node: &Node, kind: &str) -> bool {
    let begin = node.name.get(..kind.len());
    begin.is_some_and(|name| name.eq_ignore_ascii_case(kind))
}

/// Where httpd has a directory's section among others, those of the main server and a virtual host's together: the deeper ones
/// behind, and regular expressions behind all (`ap_core_reorder_directories`).
fn depth(directory: &Node) -> usize {
    match pattern_of(directory) {
        Some((false, path)) => path.split('/').filter(|part| !part.is_empty()).count(),
        _ => usize::MAX,
    }
}

/// Whether a section's pattern is a regular expression, and the pattern.
fn pattern_of(node: &Node) -> Option<(bool, &str)> {
    match &node.arguments[..] {
        [tilde, pattern] if tilde == "~" => Some((true, pattern)),
        [pattern] => Some((node.name.to_ascii_lowercase().ends_with("match"), pattern)),
        _ => None,
    }
}

/// Whether a section holds for a request. Of an `<If>` that is not known: what it forbids does not count, what it allows does.
fn holds(node: &Node, place: &Place) -> bool {
    let Some((is_regex, pattern)) = pattern_of(node) else {
        return false;
    };
    let kind = node.name.to_ascii_lowercase();
    let text = match kind.trim_end_matches("match") {
        "<location" => &place.path,
        "<directory" => &place.file,
        "<files" => place.file.rsplit('/').next().unwrap_or_default(),
        _ => return access_of(node, place) == Some(Access::Everybody),
    };
    match is_regex {
        true => is_found(pattern, text),
        false if pattern.contains(['*', '?', '[']) => is_found(&expression(pattern), text),
        false if kind == "<files" => text == pattern,
        false => is_below(text, pattern),
    }
}

/// The regular expression of a pattern with wildcards, which do not match a slash.
fn expression(pattern: &str) -> String {
    let mut expression = String::from("^");
    for letter in pattern.chars() {
        match letter {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' | ']' | '-' | '/' => expression.push(letter),
            letter if letter.is_alphanumeric() => expression.push(letter),
            letter => expression.extend(['\\', letter]),
        }
    }
    expression + "(/|$)"
}

fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || top.ends_with('/'))
}

/// What a section says of who may POST; `None` when it says nothing.
fn access_of(section: &Node, place: &Place) -> Option<Access> {
    let mut access = None;
    let mut left: Vec<&Node> = section.children.iter().collect();
    while let Some(node) = left.pop() {
        let lists_post = node.arguments.iter().any(|method| method == "POST");
        let is_for_others =
            (node.is("<Limit") && !lists_post) || (node.is("<LimitExcept") && lists_post);
        if is_for_others || (is_kind(node, "<Files") && !holds(node, place)) {
            continue;
        }
        left.extend(&node.children);
        let words: Vec<String> = node
            .arguments
            .iter()
            .map(|word| word.to_ascii_lowercase())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = match (node.name.to_ascii_lowercase().as_str(), &words[..]) {
            ("require", ["all", "granted"]) | ("allow", ["from", "all"]) => Access::Everybody,
            ("require" | "allow" | "deny", _) => Access::Some,
            _ => continue,
        };
        // One that lets everybody in may stand beside one that does not: which of them decides is not asked here.
        access = match access {
            Some(Access::Everybody) => access,
            _ => Some(said),
        };
    }
    access
}
