//! What a plugin asks and says of the request: its fields, its subprotocols, its options and variables, a refusal.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;

use websocket_plugin::abi::{RequestRec, WebSocketServer};
use websocket_proto::handshake::is_header_field;

use crate::arguments::{bytes, name, pointer, text, with};
use crate::served::Served;

/// The HTTP statuses that a plugin may refuse with.
const REFUSALS: std::ops::RangeInclusive<u16> = 300..=599;

pub(crate) unsafe extern "C" fn request<C: Served>(
    server: *const WebSocketServer,
) -> *mut RequestRec {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, ptr::null_mut(), C::request) }
}

pub(crate) unsafe extern "C" fn header_get<C: Served>(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection: &C| {
            pointer(name(connection, key).and_then(|key| connection.header(key)))
        })
    }
}

pub(crate) unsafe extern "C" fn header_set<C: Served>(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, (), |connection: &C| {
            match (text(key), text(value)) {
                _ if connection.session().is_accepted() => {
                    connection.log_misuse(&"header_set after on_connect");
                }
                (Some(key), Some(value)) if !is_header_field(key.to_bytes(), value.to_bytes()) => {
                    connection.log_misuse(&"header_set with what cannot stand in a header field");
                }
                (Some(key), Some(_)) if is_servers(key.to_bytes()) => {
                    let key = key.to_string_lossy();
                    connection.log_misuse(&format_args!(
                        "header_set of {key}, which is the server's to set"
                    ));
                }
                (Some(key), Some(value)) => connection.set_header(key, value),
                _ => connection.log_misuse(&"header_set with NULL"),
            }
        });
    }
}

/// Whether a header field is the server's to set: what says where a response ends and what comes after it, and what the
/// opening handshake agrees on (RFC 6455 §4.2.2).
fn is_servers(key: &[u8]) -> bool {
    const FRAMING: [&[u8]; 5] = [
        b"Connection",
        b"Content-Length",
        b"Trailer",
        b"Transfer-Encoding",
        b"Upgrade",
    ];
    const HANDSHAKE: &[u8] = b"Sec-WebSocket-";
    FRAMING.iter().any(|field| key.eq_ignore_ascii_case(field))
        || key
            .get(..HANDSHAKE.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(HANDSHAKE))
}

pub(crate) unsafe extern "C" fn protocol_count<C: Served>(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection: &C| connection.subprotocols().len()) }
}

pub(crate) unsafe extern "C" fn protocol_index<C: Served>(
    server: *const WebSocketServer,
    index: usize,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null(), |connection: &C| {
            let name = connection.subprotocols().get(index);
            pointer(name.map(|name| name.as_c_str()))
        })
    }
}

pub(crate) unsafe extern "C" fn protocol_set<C: Served>(
    server: *const WebSocketServer,
    protocol: *const c_char,
) {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, (), |connection: &C| match text(protocol) {
            _ if connection.session().is_accepted() => {
                connection.log_misuse(&"protocol_set after on_connect");
            }
            Some(protocol) if !is_offered(connection, protocol) => {
                connection
                    .log_misuse(&"protocol_set with a protocol that the client does not offer");
            }
            Some(protocol) => connection.set_subprotocol(protocol),
            None => connection.log_misuse(&"protocol_set with NULL"),
        });
    }
}

fn is_offered(connection: &impl Served, protocol: &CStr) -> bool {
    let mut offered = connection.subprotocols().iter();
    offered.any(|name| name.as_c_str() == protocol)
}

pub(crate) unsafe extern "C" fn option_get<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, ptr::null(), |connection: &C| {
            let name = crate::arguments::name(connection, name);
            pointer(name.and_then(|name| connection.option(name)))
        })
    }
}

pub(crate) unsafe extern "C" fn variable_get<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, ptr::null(), |connection: &C| {
            let name = crate::arguments::name(connection, name);
            pointer(name.and_then(|name| connection.variable(name)))
        })
    }
}

pub(crate) unsafe extern "C" fn reject<C: Served>(
    server: *const WebSocketServer,
    http_status: c_uint,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, 0, |connection: &C| {
            refuse(connection, http_status, None)
        })
    }
}

pub(crate) unsafe extern "C" fn reject_with<C: Served>(
    server: *const WebSocketServer,
    http_status: c_uint,
    content_type: *const c_char,
    body: *const c_char,
    body_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, a terminated string or NULL, and a body of that size or NULL.
    unsafe {
        with(server, 0, |connection: &C| {
            let (Some(kind), Some(body)) = (text(content_type), bytes(body.cast(), body_size))
            else {
                connection.log_misuse(&"reject_with has no content type, or a bad body");
                return 0;
            };
            if kind.is_empty() || kind.to_bytes().iter().any(u8::is_ascii_control) {
                connection.log_misuse(&"reject_with has a bad content type");
                return 0;
            }
            refuse(connection, http_status, Some((kind, body)))
        })
    }
}

/// Says whether the refusal can be had.
fn refuse(connection: &impl Served, http_status: c_uint, body: Option<(&CStr, &[u8])>) -> c_int {
    let status = u16::try_from(http_status).ok();
    match status.filter(|status| REFUSALS.contains(status)) {
        _ if connection.session().is_accepted() => {
            connection.log_misuse(&"reject after on_connect");
        }
        None => connection.log_misuse(&"reject with a status that is not 300 to 599"),
        Some(status) => {
            connection.set_refusal(status, body);
            return 1;
        }
    }
    0
}
