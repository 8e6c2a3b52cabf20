//! What a plugin passes: checked here, references and slices afterwards.

use std::ffi::{CStr, c_char, c_uchar};
use std::ptr;

use httpd::guard::guard;
use httpd::request::Request;
use websocket_plugin::abi::WebSocketServer;

use crate::websocket::connection::Connection;

pub(super) const BAD_BUFFER: &str = "a buffer is NULL, or longer than memory";

/// Runs `body` with the connection that a plugin names; `fallback` when it names none, or when `body` panics.
///
/// # Safety
/// `server` is NULL or a table of [`server_table`](super::server_table) whose connection lives.
pub(super) unsafe fn with<T: Copy>(
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
pub(super) unsafe fn request_of(connection: &Connection) -> Request<'_> {
    // SAFETY: the request lives as long as its connection, and the plugin's callback is what uses it now.
    unsafe { connection.request().get() }
}

/// The name that a plugin asks for; without one there is nothing to answer.
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn name<'t>(connection: &Connection, name: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    let name = unsafe { text(name) };
    if name.is_none() {
        connection.log_misuse(&"a name is NULL");
    }
    name
}

/// A string that a plugin passes.
///
/// # Safety
/// `text` is NULL or a terminated string that lives for `'t`.
pub(super) unsafe fn text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// A buffer that a plugin passes; `None` for one that cannot be.
///
/// # Safety
/// `buffer` has `size` bytes that live for `'b`, or is NULL.
pub(super) unsafe fn bytes<'b>(buffer: *const c_uchar, size: usize) -> Option<&'b [u8]> {
    match (buffer.is_null(), size) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        (false, size) if isize::try_from(size).is_err() => None,
        // SAFETY: the caller's promise.
        (false, size) => Some(unsafe { std::slice::from_raw_parts(buffer, size) }),
    }
}
