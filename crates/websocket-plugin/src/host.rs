//! Calls to the server functions of one table.

use core::ffi::{CStr, c_char, c_int, c_uint};

use crate::abi::{WEBSOCKET_SERVER_VERSION_1, WebSocketServer};

/// A server's table that was found to be good, and may be gone by now.
///
/// Every method is unsafe for that reason; the rule is the same for all of them.
///
/// # Safety
/// The table is alive during the call: the connection's `on_connect` has begun, and has not
/// returned a refusal; its `on_disconnect` has not returned. (Of a process: between `child_start`'s
/// begin and `child_stop`'s end.) What `include/websocket_plugin.h` does not allow from any thread
/// is called by the thread of a running callback.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    server: *const WebSocketServer,
}

// The rule above is the `# Safety` of each method; what a method adds is at its block.
#[allow(clippy::missing_safety_doc)]
impl Host {
    /// Checks what a callback got. The error says what is wrong.
    ///
    /// A server that loads a plugin of version 1 has all of [`WebSocketServer`], so nothing but
    /// this function looks at the size.
    ///
    /// # Safety
    /// `server` is NULL or points to a live table.
    pub(crate) unsafe fn new(server: *const WebSocketServer) -> Result<Self, &'static str> {
        if server.is_null() {
            return Err("the server gave no table of server functions");
        }
        // SAFETY: not NULL, so it is alive; every table has a size and a version.
        let version = unsafe { (*server).version };
        if version != WEBSOCKET_SERVER_VERSION_1 {
            return Err("the server's version is not 1");
        }
        // SAFETY: as before.
        if !unsafe { WebSocketServer::has(server, size_of::<WebSocketServer>()) } {
            return Err("the server's table is too short");
        }
        Ok(Self { server })
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn header_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive; `name` is NUL-terminated, and so is the result.
        unsafe { text((*self.server).header_get?(self.server, name.as_ptr())) }
    }

    pub(crate) unsafe fn header_set(self, name: &CStr, value: &CStr) {
        // SAFETY: the table is alive; both texts are copied.
        unsafe {
            if let Some(header_set) = (*self.server).header_set {
                header_set(self.server, name.as_ptr(), value.as_ptr());
            }
        }
    }

    pub(crate) unsafe fn protocol_count(self) -> usize {
        // SAFETY: the table is alive.
        unsafe { (*self.server).protocol_count.map_or(0, |f| f(self.server)) }
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn protocol_index<'a>(self, index: usize) -> Option<&'a CStr> {
        // SAFETY: the table is alive; the result is NULL or NUL-terminated.
        unsafe { text((*self.server).protocol_index?(self.server, index)) }
    }

    pub(crate) unsafe fn protocol_set(self, name: &CStr) {
        // SAFETY: the table is alive; the text is copied.
        unsafe {
            if let Some(protocol_set) = (*self.server).protocol_set {
                protocol_set(self.server, name.as_ptr());
            }
        }
    }

    /// What `send` returns: the bytes accepted.
    pub(crate) unsafe fn send(self, message_type: c_int, payload: &[u8]) -> usize {
        // SAFETY: the table is alive; the payload is not read after the call.
        unsafe {
            (*self.server).send.map_or(0, |f| {
                f(self.server, message_type, payload.as_ptr(), payload.len())
            })
        }
    }

    /// What `try_send` returns: one of `WEBSOCKET_SEND_*`.
    pub(crate) unsafe fn try_send(self, message_type: c_int, payload: &[u8]) -> Option<c_int> {
        let length = payload.len();
        // SAFETY: the table is alive; the payload is not read after the call.
        unsafe {
            let try_send = (*self.server).try_send?;
            Some(try_send(
                self.server,
                message_type,
                payload.as_ptr(),
                length,
            ))
        }
    }

    /// What `send_fragment` returns: one of `WEBSOCKET_SEND_*`.
    pub(crate) unsafe fn send_fragment(
        self,
        message_type: c_int,
        part: &[u8],
        is_final: bool,
    ) -> Option<c_int> {
        // SAFETY: the table is alive; the part is not read after the call.
        unsafe {
            let send_fragment = (*self.server).send_fragment?;
            Some(send_fragment(
                self.server,
                message_type,
                part.as_ptr(),
                part.len(),
                c_int::from(is_final),
            ))
        }
    }

    pub(crate) unsafe fn buffered_amount(self) -> usize {
        // SAFETY: the table is alive.
        unsafe { (*self.server).buffered_amount.map_or(0, |f| f(self.server)) }
    }

    pub(crate) unsafe fn close(self) {
        // SAFETY: the table is alive.
        unsafe {
            if let Some(close) = (*self.server).close {
                close(self.server);
            }
        }
    }

    /// Whether the server accepted the Close.
    pub(crate) unsafe fn close_with(self, code: u16, reason: &str) -> bool {
        // SAFETY: the table is alive; the reason is not read after the call.
        unsafe {
            (*self.server).close_with.is_some_and(|f| {
                let (text, length) = (reason.as_ptr().cast(), reason.len());
                f(self.server, c_uint::from(code), text, length) != 0
            })
        }
    }

    /// The result lives until the connection's `on_disconnect` (the process's `child_stop`)
    /// returns.
    pub(crate) unsafe fn option_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive; `name` is NUL-terminated, and so is the result.
        unsafe { text((*self.server).option_get?(self.server, name.as_ptr())) }
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn variable_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive; `name` is NUL-terminated, and so is the result.
        unsafe { text((*self.server).variable_get?(self.server, name.as_ptr())) }
    }

    /// Whether the server will refuse with this status.
    pub(crate) unsafe fn reject(self, http_status: u16) -> bool {
        // SAFETY: the table is alive.
        unsafe {
            (*self.server)
                .reject
                .is_some_and(|f| f(self.server, c_uint::from(http_status)) != 0)
        }
    }

    /// Whether the server took the time.
    pub(crate) unsafe fn set_timer(self, milliseconds: c_uint) -> bool {
        // SAFETY: the table is alive.
        unsafe {
            (*self.server)
                .set_timer
                .is_some_and(|f| f(self.server, milliseconds) != 0)
        }
    }

    pub(crate) unsafe fn log(self, level: c_int, line: &CStr) {
        // SAFETY: the table is alive; the line is not read after the call.
        unsafe {
            if let Some(log) = (*self.server).log {
                log(self.server, level, line.as_ptr());
            }
        }
    }
}

/// # Safety
/// `text` is NULL or NUL-terminated, and lives at least as long as the caller lets the result.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    Some(unsafe { CStr::from_ptr(text) })
}
