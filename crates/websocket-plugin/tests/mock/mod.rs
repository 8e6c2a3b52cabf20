//! A server of the tests' own, to drive a plugin's table with.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_uint, c_void};
use std::mem::offset_of;
use std::ptr;
use std::sync::{Condvar, Mutex};

use websocket_plugin::abi::*;

/// One connection of the mock server.
///
/// Made of pointers, as what the plugin gets is one that this type must not invalidate.
pub struct Mock {
    table: *mut WebSocketServer,
    state: *mut State,
}

// SAFETY: the table is not written to once it is shared, and `State` is Sync.
unsafe impl Sync for Mock {}

/// What a plugin has asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call {
    Send(c_int, Vec<u8>),
    Close,
    CloseWith(u32, String),
    HeaderSet(String, String),
    ProtocolSet(String),
}

#[derive(Default)]
struct State {
    request_headers: BTreeMap<String, CString>,
    offered: Vec<CString>,
    calls: Mutex<Vec<Call>>,
    /// While true, `send` blocks.
    peer_is_slow: Mutex<bool>,
    /// In `send`.
    blocked: Mutex<usize>,
    changed: Condvar,
}

impl Mock {
    pub fn new() -> Self {
        let state = Box::into_raw(Box::<State>::default());
        let table = Box::into_raw(Box::new(WebSocketServer {
            size: size_of::<WebSocketServer>() as c_uint,
            version: WEBSOCKET_SERVER_VERSION_1,
            state: state.cast(),
            request: None,
            header_get: Some(header_get),
            header_set: Some(header_set),
            protocol_count: Some(protocol_count),
            protocol_index: Some(protocol_index),
            protocol_set: Some(protocol_set),
            send: Some(send),
            close: Some(close),
            close_with: Some(close_with),
        }));
        Self { table, state }
    }

    /// A server without the appended members.
    pub fn c_module() -> Self {
        Self::new().with_size(offset_of!(WebSocketServer, close_with) as c_uint)
    }

    pub fn with_version(self, version: u32) -> Self {
        // SAFETY: not shared yet.
        unsafe { (*self.table).version = version };
        self
    }

    pub fn with_size(self, size: u32) -> Self {
        // SAFETY: not shared yet.
        unsafe { (*self.table).size = size };
        self
    }

    pub fn with_header(self, name: &str, value: &[u8]) -> Self {
        let value = CString::new(value).unwrap();
        // SAFETY: not shared yet.
        let state = unsafe { &mut *self.state };
        state
            .request_headers
            .insert(name.to_ascii_lowercase(), value);
        self
    }

    pub fn with_subprotocols(self, names: &[&str]) -> Self {
        // SAFETY: not shared yet.
        let state = unsafe { &mut *self.state };
        state.offered = names
            .iter()
            .map(|name| CString::new(*name).unwrap())
            .collect();
        self
    }

    pub fn calls(&self) -> Vec<Call> {
        state(self.table).calls.lock().unwrap().clone()
    }

    pub fn set_slow(&self, slow: bool) {
        *state(self.table).peer_is_slow.lock().unwrap() = slow;
        state(self.table).changed.notify_all();
    }

    pub fn wait_until_a_send_blocks(&self) {
        let state = state(self.table);
        let mut blocked = state.blocked.lock().unwrap();
        while *blocked == 0 {
            blocked = state.changed.wait(blocked).unwrap();
        }
    }

    pub fn server(&self) -> *const WebSocketServer {
        self.table
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // SAFETY: both came from boxes, and a mock outlives its connection.
        unsafe {
            drop(Box::from_raw(self.table));
            drop(Box::from_raw(self.state));
        }
    }
}

/// A plugin's table, called as the server does.
pub struct Loaded(*mut WebSocketPlugin);

impl Loaded {
    pub fn new(init: extern "C" fn() -> *mut WebSocketPlugin) -> Option<Self> {
        let table = init();
        (!table.is_null()).then(|| Self(table))
    }

    pub fn table(&self) -> &WebSocketPlugin {
        // SAFETY: alive until `destroy`, in drop.
        unsafe { &*self.0 }
    }

    pub fn connect(&self, mock: &Mock) -> *mut c_void {
        self.connect_raw(mock.server())
    }

    pub fn connect_raw(&self, server: *const WebSocketServer) -> *mut c_void {
        // SAFETY: the callers give NULL or the table of a mock.
        unsafe { self.table().on_connect.unwrap()(server) }
    }

    pub fn text(&self, private: *mut c_void, mock: &Mock, text: &[u8]) -> usize {
        self.message(private, mock, MESSAGE_TYPE_TEXT, &mut text.to_vec())
    }

    pub fn message(
        &self,
        private: *mut c_void,
        mock: &Mock,
        message_type: c_int,
        payload: &mut [u8],
    ) -> usize {
        let on_message = self.table().on_message.unwrap();
        // SAFETY: `private` came from `connect`; no other callback runs.
        unsafe {
            on_message(
                private,
                mock.server(),
                message_type,
                payload.as_mut_ptr(),
                payload.len(),
            )
        }
    }

    pub fn disconnect(&self, private: *mut c_void, mock: &Mock) {
        // SAFETY: `private` came from `connect` and is not used any more.
        unsafe { self.table().on_disconnect.unwrap()(private, mock.server()) }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let destroy = self.table().destroy.unwrap();
        // SAFETY: once, at the end.
        unsafe { destroy(self.0) }
    }
}

fn state<'a>(server: *const WebSocketServer) -> &'a State {
    // SAFETY: the SDK calls only with the pointer of a live mock.
    unsafe { &*(*server).state.cast::<State>() }
}

fn record(server: *const WebSocketServer, call: Call) {
    state(server).calls.lock().unwrap().push(call);
}

fn text(pointer: *const c_char) -> String {
    // SAFETY: the SDK gives NUL-terminated text.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .unwrap()
        .to_owned()
}

unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    let value = state(server)
        .request_headers
        .get(&text(key).to_ascii_lowercase());
    value.map_or(ptr::null(), |value| value.as_ptr())
}

unsafe extern "C" fn header_set(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    record(server, Call::HeaderSet(text(key), text(value)));
}

unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    state(server).offered.len()
}

unsafe extern "C" fn protocol_index(server: *const WebSocketServer, index: usize) -> *const c_char {
    state(server)
        .offered
        .get(index)
        .map_or(ptr::null(), |name| name.as_ptr())
}

unsafe extern "C" fn protocol_set(server: *const WebSocketServer, protocol: *const c_char) {
    record(server, Call::ProtocolSet(text(protocol)));
}

unsafe extern "C" fn send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> usize {
    let state = state(server);
    let mut slow = state.peer_is_slow.lock().unwrap();
    if *slow {
        *state.blocked.lock().unwrap() += 1;
        state.changed.notify_all();
        while *slow {
            slow = state.changed.wait(slow).unwrap();
        }
        // The connection has ended meanwhile.
        return 0;
    }
    drop(slow);
    // SAFETY: the SDK gives a slice's pointer and length.
    let payload = unsafe { std::slice::from_raw_parts(buffer, buffer_size) };
    record(server, Call::Send(message_type, payload.to_vec()));
    buffer_size
}

unsafe extern "C" fn close(server: *const WebSocketServer) {
    record(server, Call::Close);
}

unsafe extern "C" fn close_with(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    let reason = if reason.is_null() {
        assert_eq!(reason_size, 0);
        &[]
    } else {
        // SAFETY: the SDK gives a slice's pointer and length.
        unsafe { std::slice::from_raw_parts(reason.cast::<u8>(), reason_size) }
    };
    record(
        server,
        Call::CloseWith(code, String::from_utf8(reason.to_vec()).unwrap()),
    );
    c_int::from(code != 1005)
}
