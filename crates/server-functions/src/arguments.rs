//! What a plugin passes: checked here, references and slices afterwards.

use std::ffi::{CStr, c_char, c_uchar};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use websocket_plugin::abi::WebSocketServer;

use crate::served::Served;

pub(crate) const BAD_BUFFER: &str = "a buffer is NULL, or longer than memory";

/// Runs `body` with the connection that a plugin names; `fallback` when it names none, or when `body` panics.
///
/// # Safety
/// `server` is NULL, or a table of a [`ServerTable`](crate::ServerTable) whose connection is a `C` that lives, or a table
/// whose `state` is NULL.
pub(crate) unsafe fn with<C: Served, T: Copy>(
    server: *const WebSocketServer,
    fallback: T,
    body: impl FnOnce(&C) -> T,
) -> T {
    // SAFETY: the caller's promise.
    let connection = unsafe { connection::<C>(server) };
    connection.map_or(fallback, |connection| guard(fallback, || body(connection)))
}

/// The connection that a plugin names; `None` when it names none.
///
/// # Safety
/// As [`with`]; the connection lives for `'c`.
#[inline(always)]
pub(crate) unsafe fn connection<'c, C: Served>(server: *const WebSocketServer) -> Option<&'c C> {
    // SAFETY: the caller's promise.
    unsafe {
        let state = server
            .as_ref()
            .map_or(ptr::null_mut(), |server| server.state);
        state.cast::<C>().as_ref()
    }
}

/// Runs `body`; `fallback` when it panics, since no panic may cross into C. The panic hook has told of it.
pub(crate) fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// The name that a plugin asks for; without one there is nothing to answer.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn name<'t>(connection: &impl Served, name: *const c_char) -> Option<&'t CStr> {
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
pub(crate) unsafe fn text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// A buffer that a plugin passes; `None` for one that cannot be.
///
/// # Safety
/// `buffer` has `size` bytes that live for `'b`, or is NULL.
pub(crate) unsafe fn bytes<'b>(buffer: *const c_uchar, size: usize) -> Option<&'b [u8]> {
    match (buffer.is_null(), size) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        (false, size) if isize::try_from(size).is_err() => None,
        // SAFETY: the caller's promise.
        (false, size) => Some(unsafe { std::slice::from_raw_parts(buffer, size) }),
    }
}

/// What a plugin gets: a string that lives as long as what it is from, or NULL.
pub(crate) fn pointer(value: Option<&CStr>) -> *const c_char {
    value.map_or(ptr::null(), CStr::as_ptr)
}
