//! What a plugin asks and says of the request: its fields, its subprotocols, its options and variables, a refusal.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;

use websocket_plugin::abi::{self, WebSocketServer};
use websocket_proto::handshake::is_header_field;

use super::arguments::{name, request_of, text, with};

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
            (Some(key), Some(value)) => {
                request_of(connection).headers_out().set(key, value);
                connection.header_set(key);
            }
            _ => connection.log_misuse(&"header_set with NULL"),
        });
    }
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
            Some(protocol) if !is_header_field(FIELD.to_bytes(), protocol.to_bytes()) => {
                connection.log_misuse(&"protocol_set with what cannot stand in a header field");
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
            c_int::from(connection.reject(http_status))
        })
    }
}
