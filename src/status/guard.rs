//! Who may act by way of the status handler: nobody, where nothing in the configuration says who may ask it.

use std::sync::OnceLock;

use httpd::config_tree::{self, Node, is_server};
use httpd::pattern::{is_found, is_like};
use httpd::request::Request;

use super::access::Access;
use crate::configuration::config::Config;
use crate::symbol::websocket_module;
use crate::topics::places::without_double_slashes;

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

/// The sections that hold are merged in httpd's order: directories, then files, then locations, then `<If>`; in each of these the
/// virtual host's behind the main server's. Directories are in an order of their own.
fn is_guarded(request: &Request<'_>, tree: &[Node]) -> bool {
    let server = request.server().defined_at();
    let host = tree
        .iter()
        .find(|node| node.is("<VirtualHost") && is_server(node, server));
    let of_host = host.map_or(&[][..], |host| &host.children);
    let place = &Place::of(request);
    let all = || tree.iter().chain(of_host);
    let held = |kind| all().filter(move |node| is_kind(node, kind) && holds(node, place));

    let mut sections: Vec<&Node> = held("<Directory").collect();
    sections.sort_by_key(|node| depth(node));
    let inner = children(&sections, |node| is_kind(node, "<Files"));
    sections.extend(held("<Files"));
    sections.extend(inner.into_iter().filter(|node| holds(node, place)));
    sections.extend(held("<Location"));
    let mut access = Access::UNSAID;
    for section in &sections {
        access = access.with(section);
    }

    // Also those of the other sections come behind all. Whether they hold is not known, nor then what does in them.
    let mut conditions: Vec<&Node> = all().filter(|node| is_condition(node)).collect();
    conditions.extend(children(&sections, is_condition));
    while let Some(condition) = conditions.pop() {
        access = access.perhaps_with(condition);
        let is_section = |node: &Node| is_condition(node) || is_kind(node, "<Files");
        conditions.extend(children(&[condition], is_section));
    }
    access.is_guarded()
}

fn children<'t>(sections: &[&'t Node], is_wanted: impl Fn(&Node) -> bool) -> Vec<&'t Node> {
    let all = sections.iter().flat_map(|section| &section.children);
    all.filter(|node| is_wanted(node)).collect()
}

/// What a request is for.
struct Place {
    /// Its path, for regular expressions.
    path: String,
    /// The same for all others, which httpd compares without double slashes, `MergeSlashes Off` or not.
    merged: String,
    file: String,
}

impl Place {
    fn of(request: &Request<'_>) -> Self {
        let path = request.uri();
        let merged = without_double_slashes(path.as_bytes());
        Self {
            merged: String::from_utf8_lossy(&merged).into_owned(),
            path,
            file: request.filename(),
        }
    }
}

/// Whether a section is of a kind; `<LocationMatch` and the like are, too.
fn is_kind(node: &Node, kind: &str) -> bool {
    let begin = node.name.get(..kind.len());
    begin.is_some_and(|name| name.eq_ignore_ascii_case(kind))
}

/// Whether it is an `<If>`, an `<ElseIf>` or an `<Else>`.
fn is_condition(node: &Node) -> bool {
    is_kind(node, "<If") || is_kind(node, "<Else")
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

/// Whether a section holds for a request.
fn holds(node: &Node, place: &Place) -> bool {
    let Some((is_regex, pattern)) = pattern_of(node) else {
        return false;
    };
    let is_wild = pattern.contains(['*', '?', '[']);
    let name = place.file.rsplit('/').next().unwrap_or_default();
    match node.name.to_ascii_lowercase().trim_end_matches("match") {
        "<location" if is_regex => is_found(pattern, &place.path),
        "<location" if is_wild => is_like(pattern, &place.merged),
        "<location" => is_below(&place.merged, pattern),
        "<directory" if is_regex => is_found(pattern, &place.file),
        "<directory" if is_wild => is_below_like(&place.file, pattern),
        "<directory" => is_below(&place.file, pattern),
        "<files" if is_regex => is_found(pattern, name),
        "<files" => is_like(pattern, name),
        _ => false,
    }
}

fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || top.ends_with('/'))
}

/// The same for a pattern with wildcards.
fn is_below_like(path: &str, pattern: &str) -> bool {
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    let ends = path.match_indices('/').map(|(at, _)| at);
    let mut ends = ends.chain([path.len()]);
    ends.any(|end| is_like(pattern, &path[..end]))
}
