//! Whether WebSockets keep connections of mod_dbd that cannot be given back before they end (`httpd::dbd`): then `DBDMax` of them
//! are the most that a child has, and its pages wait with them.

use httpd::config_tree::{self, Node};
use httpd::dbd::Stays;
use httpd::log::Subject;
use httpd::server::Server;

use super::scope::Scope;
use crate::log::{self, Level, Tag};

/// What serves WebSockets.
const HANDLERS: [&str; 2] = ["websocket-handler", "websocket-topics"];
const PROVIDERS: [&str; 3] = [
    "AuthBasicProvider",
    "AuthDigestProvider",
    "AuthFormProvider",
];
const SESSIONS: [&str; 3] = [
    "SessionDBDCookieName",
    "SessionDBDCookieName2",
    "SessionDBDPerUser",
];

/// Warns of each directive that asks a database on behalf of WebSockets whose connection to it stays.
pub fn check(server: Server<'_>) {
    if !httpd::mpm::is_threaded() {
        // A child has one WebSocket, and a connection of its own.
        return;
    }
    let tree = config_tree::read();
    let scopes = Scope::all(&tree);
    let aliases = aliases(&tree);
    for place in &scopes {
        let Some(asking) = place.node.all().find(|node| asks(node, &aliases)) else {
            continue;
        };
        let mut with_websockets = scopes
            .iter()
            .filter(|other| serves(other.node) && other.may_meet(place));
        let kept = with_websockets
            .find_map(|other| driver(&scopes, other.host.or(place.host)))
            .and_then(|driver| Some((driver, httpd::dbd::stays(driver)?)));
        if let Some((driver, why)) = kept {
            let with = match why {
                Stays::Driver => format!("with APR's driver {driver}"),
                Stays::Program => "with a mod_dbd that is part of the httpd program".to_owned(),
            };
            log::log(
                &Subject::Server(server),
                Level::Warn,
                Tag::DatabaseKept,
                || {
                    format!(
                        "{}: {} {}: {with} each WebSocket keeps its connection to the database until it \
                         ends. With DBDMax of them open in a child, its handshakes and pages wait: it has to be more than the \
                         WebSockets of a child; or AuthBasicProvider socache dbd finds who comes in the cache",
                        asking.place(),
                        asking.name,
                        asking.arguments.join(" ")
                    )
                },
            );
        }
    }
}

fn serves(node: &Node) -> bool {
    node.all().any(|inner| {
        let mut arguments = inner.arguments.iter();
        arguments.any(|text| HANDLERS.iter().any(|handler| text.contains(handler)))
    })
}

/// The driver of a virtual host, or of the server around it.
fn driver<'t>(scopes: &[Scope<'t>], host: Option<&(String, u32)>) -> Option<&'t str> {
    let of = |host: Option<&(String, u32)>| {
        let mut last = scopes.iter().rev();
        let place = last.find(|place| place.host == host && place.node.is("DBDriver"));
        place.map(|place| place.node.first())
    };
    of(host).or_else(|| of(None))
}

/// What else mod_authn_dbd and mod_authz_dbd are called.
fn aliases(tree: &[Node]) -> Vec<&str> {
    let sections = tree.iter().flat_map(Node::all).filter(|node| {
        node.is("<AuthnProviderAlias") && is_database(node.first())
            || node.is("<AuthzProviderAlias") && is_group(node.first())
    });
    sections
        .filter_map(|node| node.arguments.get(1).map(String::as_str))
        .collect()
}

fn is_database(provider: &str) -> bool {
    provider.eq_ignore_ascii_case("dbd")
}

fn is_group(requirement: &str) -> bool {
    ["dbd-group", "dbd-login", "dbd-logout"]
        .iter()
        .any(|name| requirement.eq_ignore_ascii_case(name))
}

/// Whether a directive has a request ask a database. What stands behind the cache of mod_authn_socache does for those only who
/// are not in it.
fn asks(node: &Node, aliases: &[&str]) -> bool {
    let is_alias = |name: &str| aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name));
    if PROVIDERS.iter().any(|name| node.is(name)) {
        let mut providers = node.arguments.iter();
        let first = providers.find(|name| {
            is_database(name) || is_alias(name) || name.eq_ignore_ascii_case("socache")
        });
        return first.is_some_and(|name| !name.eq_ignore_ascii_case("socache"));
    }
    if node.is("Require") {
        let mut words = node.arguments.iter();
        let first = words.find(|word| !word.eq_ignore_ascii_case("not"));
        return first.is_some_and(|name| is_group(name) || is_alias(name));
    }
    SESSIONS.iter().any(|name| node.is(name)) && !node.first().eq_ignore_ascii_case("Off")
}
