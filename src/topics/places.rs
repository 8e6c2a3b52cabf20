//! Where the configuration has topics: the `<Location>`s that set one of their handlers.
//!
//! What follows a Location's path is a topic's name. httpd's own PATH_INFO is not that: it begins behind the first part of the
//! path that is not on disk, so that a directory in the DocumentRoot would change which topic an address names.

use std::ffi::CStr;

use httpd::apr::Pool;
use httpd::config_tree::{self, Node};
use httpd::request::Request;

use crate::configuration::scope::Scope;

const HANDLERS: [&str; 2] = ["websocket-topics", "websocket-publish"];
const KEY: &CStr = c"mod_websocket.topic_places";

/// All of a configuration.
struct Places(Vec<Place>);

struct Place {
    /// The virtual host that it is in, by its place in the files; `None`: in the main server, for all.
    host: Option<(String, u32)>,
    /// Without a slash at its end.
    path: String,
}

/// Keeps the places of the configuration that has just been read; `pool` is its own.
pub fn note(pool: Pool<'_>) {
    pool.kept(KEY, || {
        let tree = config_tree::read();
        let places = Scope::all(&tree).into_iter().filter_map(place);
        Places(places.collect())
    });
}

fn place(scope: Scope<'_>) -> Option<Place> {
    let path = scope.path?;
    let sets_handler = |node: &Node| {
        let is_one = |argument: &String| HANDLERS.contains(&argument.as_str());
        node.is("SetHandler") && node.arguments.iter().any(is_one)
    };
    scope.node.all().any(sets_handler).then(|| Place {
        host: scope.host.cloned(),
        path: path.trim_end_matches('/').to_owned(),
    })
}

/// What follows, in a request's path, that of the Location that it is for; where none is found that has the handler, such as in a
/// `<LocationMatch>` or a `<Directory>`, what httpd takes for PATH_INFO. Empty for nothing, or a slash.
pub fn rest_of_path<'r>(request: &Request<'r>) -> &'r [u8] {
    let path = request.path().to_bytes();
    let server = request.server();
    let at = server.defined_at();
    let host = at.map(|(file, line)| (file.to_string_lossy().into_owned(), line));
    let places = server.config_pool().find::<Places>(KEY);
    let all = places.iter().flat_map(|places| &places.0);
    let here = all.filter(|place| place.host.is_none() || place.host == host);
    let rest = here.filter_map(|place| rest(path, &place.path));
    // The longest path has the last word in httpd's order, too, when sections are written from the general to the special.
    let rest = rest.min_by_key(|rest| rest.len());
    match rest.unwrap_or_else(|| request.path_info().to_bytes()) {
        b"/" => b"",
        rest => rest,
    }
}

/// What follows `place` in a path, if it lies there.
fn rest<'p>(path: &'p [u8], place: &str) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(place.as_bytes())?;
    matches!(rest, [] | [b'/', ..]).then_some(rest)
}
