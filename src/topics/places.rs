//! Where the configuration has topics: the `<Location>`s that set one of their handlers.
//!
//! What follows a Location's path is a topic's name. httpd's own PATH_INFO is not that: it begins behind the first part of the
//! path that is not on disk, so that a directory in the DocumentRoot would change which topic an address names.

use std::borrow::Cow;
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
    /// Without the slash at its end.
    path: String,
    /// There was one: it is for what lies below only.
    is_folder: bool,
    handler: &'static str,
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
    // httpd does not look at the case.
    let sets = |node: &Node, handler: &str| {
        let is_one = |argument: &String| argument.to_ascii_lowercase().contains(handler);
        node.is("SetHandler") && node.arguments.iter().any(is_one)
    };
    let handler = HANDLERS
        .into_iter()
        .find(|handler| scope.node.all().any(|node| sets(node, handler)))?;
    Some(Place {
        host: scope.host.cloned(),
        path: path.trim_end_matches('/').to_owned(),
        is_folder: path.ends_with('/'),
        handler,
    })
}

/// What follows, in a request's path, that of the Location that it is for; where none is found that has the handler, such as in a
/// `<LocationMatch>` or a `<Directory>`, what httpd takes for PATH_INFO. Empty for nothing, or a slash.
///
/// Of several Locations with one handler in each other it is the outermost, so that no two addresses of the handler name one topic.
pub fn rest_of_path<'r>(request: &Request<'r>) -> Cow<'r, [u8]> {
    let path = without_double_slashes(request.path().to_bytes());
    let rest = match outermost(request, &path) {
        Some((_, rest)) => Cow::Owned(rest.to_vec()),
        None => Cow::Borrowed(request.path_info().to_bytes()),
    };
    match &*rest {
        b"/" => Cow::Borrowed(b""),
        _ => rest,
    }
}

/// The path of that Location, without a slash at its end; `None` where there is none.
pub fn path_of<'r>(request: &Request<'r>) -> Option<&'r str> {
    let path = without_double_slashes(request.path().to_bytes());
    outermost(request, &path).map(|(place, _)| &*place.path)
}

fn outermost<'r, 'p>(request: &Request<'r>, path: &'p [u8]) -> Option<(&'r Place, &'p [u8])> {
    let handler = request.handler().map(CStr::to_bytes);
    let server = request.server();
    let host = server.defined_at();
    let is_of_host = |(file, line): &(String, u32)| {
        host.is_some_and(|(its, at)| its.to_string_lossy() == **file && at == *line)
    };
    let places = server.config_pool().find::<Places>(KEY);
    let all = places.into_iter().flat_map(|places| &places.0);
    all.filter(|place| Some(place.handler.as_bytes()) == handler)
        .filter(|place| place.host.as_ref().is_none_or(is_of_host))
        .filter_map(|place| Some((place, rest(path, place)?)))
        .max_by_key(|(_, rest)| rest.len())
}

/// A path as httpd compares it with those of Locations, `MergeSlashes Off` or not.
pub fn without_double_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|this, before| *this == b'/' && *before == b'/');
    merged
}

/// What follows a place in a path, if it lies there.
fn rest<'p>(path: &'p [u8], place: &Place) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(place.path.as_bytes())?;
    match rest {
        [] if !place.is_folder => Some(rest),
        [b'/', ..] => Some(rest),
        _ => None,
    }
}
