//! Whether SetHandler and WebSocketHandler have found each other: alone, either is nothing, and only requests would show it.

use httpd::config_tree::{self, Node};
use httpd::log::Subject;
use httpd::server::Server;

use crate::log::{self, Level, Tag};

const HANDLER: &str = "websocket-handler";

/// A section, or what stands outside of all in a server.
struct Scope<'t> {
    node: &'t Node,
    /// The virtual host, by its place; `None` is for all.
    host: Option<&'t (String, u32)>,
    /// Its path; `None` where a section is not for the paths that begin alike, and may hold anywhere.
    path: Option<&'t str>,
    has_handler: bool,
    has_plugin: bool,
}

impl Scope<'_> {
    /// Whether there may be a request for which both hold.
    fn may_meet(&self, other: &Scope<'_>) -> bool {
        let is_same_host = self.host.is_none() || other.host.is_none() || self.host == other.host;
        is_same_host
            && match (self.path, other.path) {
                (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
                _ => true,
            }
    }
}

/// Warns of each section that has one of the two, where no section has the other that could hold there as well.
pub fn check(server: Server<'_>) {
    let tree = config_tree::read();
    let mut scopes = Vec::new();
    collect(&tree, None, &mut scopes);
    for scope in &scopes {
        let text = match (scope.has_handler, scope.has_plugin) {
            (true, false)
                if !scopes
                    .iter()
                    .any(|other| other.has_plugin && other.may_meet(scope)) =>
            {
                "SetHandler websocket-handler without a WebSocketHandler: each WebSocket gets 500"
            }
            (false, true)
                if !scopes
                    .iter()
                    .any(|other| other.has_handler && other.may_meet(scope))
                    && !may_have_handler_in_htaccess(scope.node) =>
            {
                "WebSocketHandler without SetHandler websocket-handler: the plugin is never asked"
            }
            _ => continue,
        };
        log::log(
            &Subject::Server(server),
            Level::Warn,
            Tag::HandlerAlone,
            || format!("{}: {text}", scope.node.place()),
        );
    }
}

fn collect<'t>(nodes: &'t [Node], host: Option<&'t (String, u32)>, scopes: &mut Vec<Scope<'t>>) {
    for node in nodes {
        if node.is("<VirtualHost") {
            collect(&node.children, Some(&node.place), scopes);
            continue;
        }
        // What stands in a section's own sections may hold wherever it does.
        let mut scope = Scope {
            node,
            host,
            path: None,
            has_handler: false,
            has_plugin: false,
        };
        for inner in node.all() {
            scope.has_handler |= sets_handler(inner);
            scope.has_plugin |= inner.is("WebSocketHandler");
        }
        if node.is("<Location")
            && node.arguments.len() == 1
            && !node.first().contains(['*', '?', '['])
        {
            scope.path = Some(node.first());
        }
        if scope.has_handler || scope.has_plugin {
            scopes.push(scope);
        }
    }
}

/// SetHandler, and every other way to a handler: AddHandler, `[H=…]`, Action, an expression.
fn sets_handler(node: &Node) -> bool {
    !node.is("WebSocketHandler") && node.arguments.iter().any(|text| text.contains(HANDLER))
}

/// Whether an .htaccess file may name the handler.
fn may_have_handler_in_htaccess(node: &Node) -> bool {
    node.all().any(|inner| {
        inner.is("AllowOverride")
            && inner.arguments.iter().any(|text| {
                text.eq_ignore_ascii_case("All") || text.eq_ignore_ascii_case("FileInfo")
            })
    })
}
