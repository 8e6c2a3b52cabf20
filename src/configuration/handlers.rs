//! Whether SetHandler and WebSocketHandler have found each other: alone, either is nothing, and only requests would show it.

use httpd::config_tree::{self, Node};
use httpd::log::Subject;
use httpd::server::Server;

use super::scope::Scope;
use crate::log::{self, Level, Tag};

const HANDLER: &str = "websocket-handler";

/// A scope that has one of the two.
struct Half<'t> {
    scope: Scope<'t>,
    has_handler: bool,
    has_plugin: bool,
}

/// Warns of each section that has one of the two, where no section has the other that could hold there as well.
pub fn check(server: Server<'_>) {
    let tree = config_tree::read();
    let halves: Vec<Half<'_>> = Scope::all(&tree).into_iter().filter_map(half).collect();
    for Half {
        scope,
        has_handler,
        has_plugin,
    } in &halves
    {
        let mut others = halves.iter().filter(|other| other.scope.may_meet(scope));
        let text = match (has_handler, has_plugin) {
            (true, false) if !others.any(|other| other.has_plugin) => {
                "SetHandler websocket-handler without a WebSocketHandler: each WebSocket gets 500"
            }
            (false, true)
                if !others.any(|other| other.has_handler)
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

fn half(scope: Scope<'_>) -> Option<Half<'_>> {
    let has_handler = scope.node.all().any(sets_handler);
    let has_plugin = scope.node.all().any(|inner| inner.is("WebSocketHandler"));
    (has_handler || has_plugin).then_some(Half {
        scope,
        has_handler,
        has_plugin,
    })
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
