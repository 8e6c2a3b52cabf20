//! The server functions that plugins call (`include/websocket_plugin.h`): checked at the entry, references and
//! slices afterwards.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint};
use std::ptr;

use httpd::guard::guard;
use httpd::request::Request;
use websocket_plugin::abi::{self, WebSocketServer, WebSocketState};
use websocket_proto::{Compression, MessageKind};

use crate::connection::Connection;
use crate::outbox::Outgoing;

/// The table that a plugin gets for its connection.
pub struct ServerTable(WebSocketServer);

// SAFETY: nobody writes the table once it is made, and its functions may be called on any thread; the pointer in it
// is to a connection, which is `Sync`.
unsafe impl Send for ServerTable {}
// SAFETY: as above.
unsafe impl Sync for ServerTable {}

impl ServerTable {
    /// The table of `connection`, which lives as long as the table is used.
    pub fn new(connection: *const Connection) -> Self {
        ServerTable(table(connection))
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        &raw const self.0
    }
}

fn table(connection: *const Connection) -> WebSocketServer {
    WebSocketServer {
        size: size_of::<WebSocketServer>() as c_uint,
        version: abi::WEBSOCKET_SERVER_VERSION_1,
        state: connection.cast_mut().cast::<WebSocketState>(),
        request: Some(request),
        header_get: Some(header_get),
        header_set: Some(header_set),
        protocol_count: Some(protocol_count),
        protocol_index: Some(protocol_index),
        protocol_set: Some(protocol_set),
        send: Some(send),
        close: Some(close),
        close_with: Some(close_with),
    }
}

/// Runs `body` with the connection that a plugin names; `fallback` when it names none, or when `body` panics.
///
/// # Safety
/// `server` is NULL or a table of [`table`] whose connection lives.
unsafe fn with<T: Copy>(
    server: *const WebSocketServer,
    fallback: T,
    body: impl FnOnce(&Connection) -> T,
) -> T {
    // SAFETY: the caller's promise.
    let connection = unsafe {
        let state = server
            .as_ref()
            .map_or(ptr::null_mut(), |server| server.state);
        state.cast::<Connection>().as_ref()
    };
    connection.map_or(fallback, |connection| guard(fallback, || body(connection)))
}

/// The connection's request, for as long as a server function runs.
///
/// # Safety
/// Called for a plugin, which may use a connection's request from a callback only.
unsafe fn request_of(connection: &Connection) -> Request<'_> {
    // SAFETY: the request lives as long as its connection, and the plugin's callback is what uses it now.
    unsafe { connection.request().get() }
}

/// # Safety
/// `text` is NULL or a terminated string that lives for `'t`.
unsafe fn text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// # Safety
/// `buffer` has `size` bytes that live for `'b`, or is NULL.
unsafe fn bytes<'b>(buffer: *const c_uchar, size: usize) -> Option<&'b [u8]> {
    match (buffer.is_null(), size) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        (false, size) if isize::try_from(size).is_err() => None,
        // SAFETY: the caller's promise.
        (false, size) => Some(unsafe { std::slice::from_raw_parts(buffer, size) }),
    }
}

unsafe extern "C" fn request(server: *const WebSocketServer) -> *mut abi::RequestRec {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null_mut(), |connection| {
            connection.request().as_raw().cast()
        })
    }
}

unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value = text(key).and_then(|key| request_of(connection).headers_in().get(key));
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

unsafe extern "C" fn header_set(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, (), |connection| {
            if let (false, Some(key), Some(value)) =
                (connection.is_accepted(), text(key), text(value))
            {
                request_of(connection).headers_out().set(key, value);
            }
        });
    }
}

unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection| connection.subprotocols().len()) }
}

unsafe extern "C" fn protocol_index(server: *const WebSocketServer, index: usize) -> *const c_char {
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

unsafe extern "C" fn protocol_set(server: *const WebSocketServer, protocol: *const c_char) {
    // SAFETY: a plugin passes the table that it was given; the rest is `header_set`'s.
    unsafe { header_set(server, c"Sec-WebSocket-Protocol".as_ptr(), protocol) }
}

unsafe extern "C" fn send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> usize {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                return 0;
            };
            let compression = match message_type & abi::MESSAGE_TYPE_UNCOMPRESSED {
                0 => Compression::Default,
                _ => Compression::Skip,
            };
            let message = |kind| connection.send(Outgoing::Message(kind, compression, payload));
            let accepted = match message_type & !abi::MESSAGE_TYPE_UNCOMPRESSED {
                abi::MESSAGE_TYPE_TEXT => message(MessageKind::Text),
                abi::MESSAGE_TYPE_BINARY => message(MessageKind::Binary),
                abi::MESSAGE_TYPE_PING => connection.send(Outgoing::Ping(payload)),
                abi::MESSAGE_TYPE_PONG => connection.send(Outgoing::Pong(payload)),
                // MESSAGE_TYPE_CLOSE, and everything else, as in the C module.
                _ => connection.close_with_payload(payload),
            };
            if accepted { payload.len() } else { 0 }
        })
    }
}

unsafe extern "C" fn close(server: *const WebSocketServer) {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, (), |connection| {
            connection.close(None);
        });
    }
}

unsafe extern "C" fn close_with(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a reason of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let (Ok(code), Some(reason)) = (u16::try_from(code), bytes(reason.cast(), reason_size))
            else {
                return 0;
            };
            c_int::from(connection.close_with_payload(&[&code.to_be_bytes(), reason].concat()))
        })
    }
}
