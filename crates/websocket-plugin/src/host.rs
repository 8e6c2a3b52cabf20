//! Calls to the server functions of one table.

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use core::mem::offset_of;
use core::ptr;

use crate::abi::{
    MESSAGE_TYPE_UNCOMPRESSED, WEBSOCKET_CONNECT_ERROR, WEBSOCKET_SERVER_SIZE_C_MODULE,
    WEBSOCKET_SERVER_VERSION_1, WEBSOCKET_TOPIC_ID_SIZE, WebSocketServer,
};

/// A function of the table's; `None` when the table ends before it.
macro_rules! member {
    ($host:expr, $name:ident) => {{
        let server = $host.server;
        match WebSocketServer::has(
            server,
            offset_of!(WebSocketServer, $name) + size_of::<usize>(),
        ) {
            true => (*server).$name,
            false => None,
        }
    }};
}

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
#[repr(transparent)]
pub(crate) struct Host {
    server: *const WebSocketServer,
}

// The rule above is the `# Safety` of each method; what a method adds is at its block.
#[allow(clippy::missing_safety_doc)]
impl Host {
    /// Checks what a callback got. The error says what is wrong.
    ///
    /// A table may be of any length that was ever published: each method asks whether it has the member that it uses
    /// ([`member!`]), and what an older server lacks counts as refused.
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

    /// What `on_connect` returns when the plugin has failed: a server without `close_with` would take the value for an
    /// acceptance.
    pub(crate) unsafe fn connect_error(self) -> *mut c_void {
        // SAFETY: the table is alive.
        match unsafe { member!(self, close_with) } {
            Some(_) => WEBSOCKET_CONNECT_ERROR,
            None => ptr::null_mut(),
        }
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn header_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive; `name` is NUL-terminated, and so is the result.
        unsafe { text(member!(self, header_get)?(self.server, name.as_ptr())) }
    }

    pub(crate) unsafe fn header_set(self, name: &CStr, value: &CStr) {
        // SAFETY: the table is alive; both texts are copied.
        unsafe {
            if let Some(header_set) = member!(self, header_set) {
                header_set(self.server, name.as_ptr(), value.as_ptr());
            }
        }
    }

    pub(crate) unsafe fn protocol_count(self) -> usize {
        // SAFETY: the table is alive.
        unsafe { member!(self, protocol_count).map_or(0, |f| f(self.server)) }
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn protocol_index<'a>(self, index: usize) -> Option<&'a CStr> {
        // SAFETY: the table is alive; the result is NULL or NUL-terminated.
        unsafe { text(member!(self, protocol_index)?(self.server, index)) }
    }

    pub(crate) unsafe fn protocol_set(self, name: &CStr) {
        // SAFETY: the table is alive; the text is copied.
        unsafe {
            if let Some(protocol_set) = member!(self, protocol_set) {
                protocol_set(self.server, name.as_ptr());
            }
        }
    }

    /// What `send` returns: the bytes accepted.
    pub(crate) unsafe fn send(self, message_type: c_int, payload: &[u8]) -> usize {
        // SAFETY: the table is alive; the payload is not read after the call.
        unsafe {
            // A server without `close_with` knows no flags: it would take the type for a close.
            let message_type = match member!(self, close_with) {
                Some(_) => message_type,
                None => message_type & !MESSAGE_TYPE_UNCOMPRESSED,
            };
            member!(self, send).map_or(0, |f| {
                f(self.server, message_type, payload.as_ptr(), payload.len())
            })
        }
    }

    /// What `try_send` returns: one of `WEBSOCKET_SEND_*`.
    pub(crate) unsafe fn try_send(self, message_type: c_int, payload: &[u8]) -> Option<c_int> {
        let length = payload.len();
        // SAFETY: the table is alive; the payload is not read after the call.
        unsafe {
            let try_send = member!(self, try_send)?;
            Some(try_send(
                self.server,
                message_type,
                payload.as_ptr(),
                length,
            ))
        }
    }

    /// Has `send_many` give each of `receivers`, whose tables are alive, too, its result; false when the table does not
    /// have it.
    pub(crate) unsafe fn send_many(
        self,
        receivers: &[Host],
        message_type: c_int,
        payload: &[u8],
        results: &mut [c_int],
    ) -> bool {
        debug_assert_eq!(receivers.len(), results.len());
        // SAFETY: the tables are alive; a `Host` is the pointer to one; nothing is used after the call.
        unsafe {
            let Some(send_many) = member!(self, send_many) else {
                return false;
            };
            send_many(
                self.server,
                receivers.as_ptr().cast(),
                receivers.len(),
                message_type,
                payload.as_ptr(),
                payload.len(),
                results.as_mut_ptr(),
            );
        }
        true
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
            let send_fragment = member!(self, send_fragment)?;
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
        unsafe { member!(self, buffered_amount).map_or(0, |f| f(self.server)) }
    }

    pub(crate) unsafe fn close(self) {
        // SAFETY: the table is alive.
        unsafe {
            if let Some(close) = member!(self, close) {
                close(self.server);
            }
        }
    }

    /// Whether the server accepted the Close. One that knows no code closes without.
    pub(crate) unsafe fn close_with(self, code: u16, reason: &str) -> bool {
        // SAFETY: the table is alive; the reason is not read after the call.
        unsafe {
            let Some(close_with) = member!(self, close_with) else {
                self.close();
                return member!(self, close).is_some();
            };
            let (text, length) = (reason.as_ptr().cast(), reason.len());
            close_with(self.server, c_uint::from(code), text, length) != 0
        }
    }

    /// The result lives until the connection's `on_disconnect` (the process's `child_stop`)
    /// returns.
    pub(crate) unsafe fn option_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive; `name` is NUL-terminated, and so is the result.
        unsafe { text(member!(self, option_get)?(self.server, name.as_ptr())) }
    }

    /// The result lives until the connection's `on_disconnect` returns.
    pub(crate) unsafe fn variable_get<'a>(self, name: &CStr) -> Option<&'a CStr> {
        // SAFETY: the table is alive; `name` is NUL-terminated, and so is the result.
        unsafe { text(member!(self, variable_get)?(self.server, name.as_ptr())) }
    }

    /// Whether the server will refuse with this status.
    pub(crate) unsafe fn reject(self, http_status: u16) -> bool {
        // SAFETY: the table is alive.
        unsafe {
            member!(self, reject).is_some_and(|f| f(self.server, c_uint::from(http_status)) != 0)
        }
    }

    /// Whether the server will refuse with this status and body. One that knows no bodies writes its own.
    pub(crate) unsafe fn reject_with(
        self,
        http_status: u16,
        content_type: &CStr,
        body: &[u8],
    ) -> bool {
        // SAFETY: the table is alive; the texts are copied.
        unsafe {
            let Some(reject_with) = member!(self, reject_with) else {
                return self.reject(http_status);
            };
            let (text, length) = (body.as_ptr().cast(), body.len());
            let content_type = content_type.as_ptr();
            reject_with(
                self.server,
                c_uint::from(http_status),
                content_type,
                text,
                length,
            ) != 0
        }
    }

    /// Whether the server took the time.
    pub(crate) unsafe fn set_timer(self, milliseconds: c_uint) -> bool {
        // SAFETY: the table is alive.
        unsafe { member!(self, set_timer).is_some_and(|f| f(self.server, milliseconds) != 0) }
    }

    /// What `subscribe` returns: one of `WEBSOCKET_TOPIC_*`.
    pub(crate) unsafe fn subscribe(
        self,
        topic: &CStr,
        since: Option<&CStr>,
        member: Option<&CStr>,
        flags: c_uint,
    ) -> Option<c_int> {
        let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the table is alive; the texts are copied.
        unsafe {
            let subscribe = member!(self, subscribe)?;
            let (topic, since, member) = (topic.as_ptr(), pointer(since), pointer(member));
            Some(subscribe(self.server, topic, since, member, flags))
        }
    }

    /// What `unsubscribe` returns: one of `WEBSOCKET_TOPIC_*`.
    pub(crate) unsafe fn unsubscribe(self, topic: &CStr) -> Option<c_int> {
        // SAFETY: the table is alive; the text is not read after the call.
        unsafe { Some(member!(self, unsubscribe)?(self.server, topic.as_ptr())) }
    }

    /// What `publish` returns: one of `WEBSOCKET_TOPIC_*`.
    pub(crate) unsafe fn publish(
        self,
        topic: &CStr,
        message_type: c_int,
        payload: &[u8],
        flags: c_uint,
        id: &mut [c_char; WEBSOCKET_TOPIC_ID_SIZE],
    ) -> Option<c_int> {
        let (buffer, length) = (payload.as_ptr(), payload.len());
        // SAFETY: the table is alive; the payload is not read after the call, and the id has room.
        unsafe {
            let publish = member!(self, publish)?;
            Some(publish(
                self.server,
                topic.as_ptr(),
                message_type,
                buffer,
                length,
                flags,
                id.as_mut_ptr(),
            ))
        }
    }

    /// What `topic_count` returns.
    pub(crate) unsafe fn topic_count(self, topic: &CStr, scope: c_int) -> Option<c_long> {
        // SAFETY: the table is alive; the text is not read after the call.
        unsafe {
            Some(member!(self, topic_count)?(
                self.server,
                topic.as_ptr(),
                scope,
            ))
        }
    }

    /// What `topic_members` returns; they are added to `members`.
    pub(crate) unsafe fn topic_members(
        self,
        topic: &CStr,
        members: &mut Vec<String>,
    ) -> Option<c_long> {
        let data: *mut c_void = ptr::from_mut(members).cast();
        // SAFETY: the table is alive; the list is there until the call returns.
        unsafe {
            let topic_members = member!(self, topic_members)?;
            Some(topic_members(
                self.server,
                topic.as_ptr(),
                Some(add_member),
                data,
            ))
        }
    }

    pub(crate) unsafe fn log(self, level: c_int, line: &CStr) {
        // SAFETY: the table is alive; the line is not read after the call.
        unsafe {
            if let Some(log) = member!(self, log) {
                log(self.server, level, line.as_ptr());
            }
        }
    }
}

/// # Safety
/// As `WS_Member`; `data` is a list that nobody else uses meanwhile.
unsafe extern "C" fn add_member(data: *mut c_void, member: *const c_char, member_size: usize) {
    if member.is_null() {
        return;
    }
    // SAFETY: as the caller says.
    unsafe {
        let member = core::slice::from_raw_parts(member.cast::<u8>(), member_size);
        let members = &mut *data.cast::<Vec<String>>();
        members.push(String::from_utf8_lossy(member).into_owned());
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
