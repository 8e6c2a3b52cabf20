//! What a plugin asks and says of the request: its fields, its subprotocols, its options and variables, a refusal.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;

use websocket_plugin::abi::{self, WebSocketServer};
use websocket_proto::handshake::is_header_field;

use super::arguments::{bytes, name, request_of, text, with};

pub(super) unsafe extern "C" fn request(server: *const WebSocketServer) -> *mut abi::RequestRec {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null_mut(), |connection| {
            connection.request().as_raw().cast()
        })
    }
}

pub(super) unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value =
                name(connection, key).and_then(|key| request_of(connection).headers_in().get(key));
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

pub(super) unsafe extern "C" fn header_set(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, (), |connection| match (text(key), text(value)) {
            _ if connection.is_accepted() => {
                connection.log_misuse(&"header_set after on_connect");
            }
            (Some(key), Some(value)) if !is_header_field(key.to_bytes(), value.to_bytes()) => {
                connection.log_misuse(&"header_set with what cannot stand in a header field");
            }
            (Some(key), Some(_)) if is_httpds(key.to_bytes()) => {
                let key = key.to_string_lossy();
                connection.log_misuse(&format_args!(
                    "header_set of {key}, which is the server's to set"
                ));
            }
            (Some(key), Some(value)) => {
                request_of(connection).headers_out().set(key, value);
                connection.header_set(key);
            }
            _ => connection.log_misuse(&"header_set with NULL"),
        });
    }
}

/// Whether a header field is the server's to set: what says where a response ends and what comes after it, and what the
/// opening handshake agrees on (RFC 6455 §4.2.2).
fn is_httpds(key: &[u8]) -> bool {
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

pub(super) unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection| connection.subprotocols().len()) }
}

pub(super) unsafe extern "C" fn protocol_index(
    server: *const WebSocketServer,
    index: usize,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null(), |connection| {
            connection
                .subprotocols()
                .get(index)
                .map_or(ptr::null(), |name| name.as_ptr())
        })
    }
}

pub(super) unsafe extern "C" fn protocol_set(
    server: *const WebSocketServer,
    protocol: *const c_char,
) {
    const FIELD: &CStr = c"Sec-WebSocket-Protocol";
    // SAFETY: as in `header_set`.
    unsafe {
        with(server, (), |connection| match text(protocol) {
            _ if connection.is_accepted() => {
                connection.log_misuse(&"protocol_set after on_connect");
            }
            Some(protocol)
                if !connection
                    .subprotocols()
                    .iter()
                    .any(|offered| **offered == *protocol) =>
            {
                connection
                    .log_misuse(&"protocol_set with a protocol that the client does not offer");
            }
            Some(protocol) => request_of(connection).headers_out().set(FIELD, protocol),
            None => connection.log_misuse(&"protocol_set with NULL"),
        });
    }
}

pub(super) unsafe extern "C" fn option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value = super::arguments::name(connection, name)
                .and_then(|name| connection.options().get(name));
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

pub(super) unsafe extern "C" fn variable_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value = super::arguments::name(connection, name).and_then(|name| {
                // Some are TLS's, whose state another thread's `send` changes; some are made in the connection's pool.
                let look_up = || request_of(connection).variable(name);
                connection
                    .session()
                    .with_transport(|_| look_up())
                    .unwrap_or_else(look_up)
            });
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

pub(super) unsafe extern "C" fn reject(
    server: *const WebSocketServer,
    http_status: c_uint,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, 0, |connection| {
            c_int::from(connection.reject(http_status, None))
        })
    }
}

pub(super) unsafe extern "C" fn reject_with(
    server: *const WebSocketServer,
    http_status: c_uint,
    content_type: *const c_char,
    body: *const c_char,
    body_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, a terminated string or NULL, and a body of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let (Some(kind), Some(body)) = (text(content_type), bytes(body.cast(), body_size))
            else {
                connection.log_misuse(&"reject_with has no content type, or a bad body");
                return 0;
            };
            if kind.is_empty() || kind.to_bytes().iter().any(u8::is_ascii_control) {
                connection.log_misuse(&"reject_with has a bad content type");
                return 0;
            }
            c_int::from(connection.reject(http_status, Some((kind, body))))
        })
    }
}
