//! Calls to the server functions of one connection.

use core::ffi::{CStr, c_int, c_uint};
use core::ptr;

use crate::abi::{
    MESSAGE_TYPE_CLOSE, WEBSOCKET_SERVER_SIZE_C_MODULE, WEBSOCKET_SERVER_VERSION_1, WebSocketServer,
};

/// A server's table that was found to be good, and may be gone by now.
///
/// Every method is unsafe for that reason; the rule is the same for all of them.
///
/// # Safety
/// The table is alive during the call: the connection's `on_connect` has begun, and has not
/// returned a refusal; its `on_disconnect` has not returned. All but [`send`](Self::send),
/// [`close`](Self::close) and [`close_with`](Self::close_with) are called by the thread of a
/// running callback.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    server: *const WebSocketServer,
}

// The rule above is the `# Safety` of each method; what a method adds is at its block.
#[allow(clippy::missing_safety_doc)]
impl Host {
    /// Checks what `on_connect` got. The error says what is wrong.
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
        if !unsafe { WebSocketServer::has(server, WEBSOCKET_SERVER_SIZE_C_MODULE) } {
            return Err("the server's table is too short");
        }
        Ok(Self { server })
    }

    /// Whether the server knows `WEBSOCKET_CONNECT_ERROR`.
    pub(crate) unsafe fn knows_connect_error(self) -> bool {
        // SAFETY: the table is alive.
        unsafe { WebSocketServer::close_with_of(self.server) }.is_some()
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn header_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive and has this member; `name` is NUL-terminated. The result is
        // NULL or NUL-terminated text of the request's.
        unsafe {
            let value = (*self.server).header_get?(self.server, name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value))
        }
    }

    pub(crate) unsafe fn header_set(self, name: &CStr, value: &CStr) {
        // SAFETY: the table is alive and has this member; both texts are copied.
        unsafe {
            if let Some(header_set) = (*self.server).header_set {
                header_set(self.server, name.as_ptr(), value.as_ptr());
            }
        }
    }

    pub(crate) unsafe fn protocol_count(self) -> usize {
        // SAFETY: the table is alive and has this member.
        unsafe {
            (*self.server)
                .protocol_count
                .map_or(0, |count| count(self.server))
        }
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn protocol_index<'a>(self, index: usize) -> Option<&'a CStr> {
        // SAFETY: as in `header_get`.
        unsafe {
            let name = (*self.server).protocol_index?(self.server, index);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        }
    }

    pub(crate) unsafe fn protocol_set(self, name: &CStr) {
        // SAFETY: the table is alive and has this member; the text is copied.
        unsafe {
            if let Some(protocol_set) = (*self.server).protocol_set {
                protocol_set(self.server, name.as_ptr());
            }
        }
    }

    /// What `send` returns: the bytes accepted.
    pub(crate) unsafe fn send(self, message_type: c_int, payload: &[u8]) -> usize {
        // SAFETY: the table is alive and has this member, which any thread may call; the payload is
        // not read after the call.
        unsafe {
            (*self.server).send.map_or(0, |send| {
                send(self.server, message_type, payload.as_ptr(), payload.len())
            })
        }
    }

    pub(crate) unsafe fn close(self) {
        // SAFETY: the table is alive and has this member, which any thread may call.
        unsafe {
            if let Some(close) = (*self.server).close {
                close(self.server);
            }
        }
    }

    /// Whether the server accepted the Close. `reason` has 123 bytes at most.
    pub(crate) unsafe fn close_with(self, code: u16, reason: &str) -> bool {
        // SAFETY: the table is alive.
        if let Some(close_with) = unsafe { WebSocketServer::close_with_of(self.server) } {
            let text = if reason.is_empty() {
                ptr::null()
            } else {
                reason.as_ptr().cast()
            };
            // SAFETY: the server has this member, which any thread may call; `reason` is not read
            // after the call.
            return unsafe { close_with(self.server, c_uint::from(code), text, reason.len()) } != 0;
        }
        // RFC 6455 §5.5.1: the status code in network byte order, then the reason.
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        // SAFETY: the same rule as here.
        unsafe { self.send(MESSAGE_TYPE_CLOSE, &payload) != 0 }
    }
}
