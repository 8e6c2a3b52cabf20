//! A plugin that has been loaded: its table, called as the server does.

use std::ffi::{CString, c_int, c_ulong, c_void};

use websocket_plugin::abi::*;

use super::Mock;
use super::functions::text;

/// A plugin's table, called as the server does.
pub struct Loaded(*mut WebSocketPlugin);

impl Loaded {
    pub fn new(init: extern "C" fn() -> *mut WebSocketPlugin) -> Self {
        Self::try_new(init).expect("init returned NULL")
    }

    pub fn try_new(init: extern "C" fn() -> *mut WebSocketPlugin) -> Option<Self> {
        let table = init();
        (!table.is_null()).then(|| Self(table))
    }

    pub fn table(&self) -> &WebSocketPlugin {
        // SAFETY: alive until `destroy`, in drop.
        unsafe { &*self.0 }
    }

    /// The text of an error.
    pub fn configure(&self, options: &[(&str, &str)]) -> Option<String> {
        let pairs: Vec<_> = options
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        self.configure_bytes(&pairs)
    }

    pub fn configure_bytes(&self, options: &[(&[u8], &[u8])]) -> Option<String> {
        let c_string = |bytes: &[u8]| CString::new(bytes).unwrap();
        let texts: Vec<_> = options
            .iter()
            .map(|(name, value)| (c_string(name), c_string(value)))
            .collect();
        let list: Vec<_> = texts
            .iter()
            .map(|(name, value)| WebSocketOption {
                name: name.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let configure = self.table().configure.unwrap();
        // SAFETY: the list lives until the call returns; its result is read before the next call.
        unsafe {
            let error = configure(self.0, list.as_ptr(), list.len());
            (!error.is_null()).then(|| text(error))
        }
    }

    pub fn child_start(&self, process: &Mock) {
        self.child_start_raw(process.server());
    }

    pub fn child_start_raw(&self, server: *const WebSocketServer) {
        // SAFETY: the callers give NULL or the table of a mock that lives until `child_stop`.
        unsafe { self.table().child_start.unwrap()(self.0, server) }
    }

    pub fn child_stop(&self, graceful: bool) {
        // SAFETY: the table is alive.
        unsafe { self.table().child_stop.unwrap()(self.0, c_int::from(graceful)) }
    }

    pub fn connect_raw(&self, server: *const WebSocketServer) -> *mut c_void {
        // SAFETY: the callers give NULL or the table of a mock.
        unsafe { self.table().on_connect.unwrap()(server) }
    }

    /// `plugin_private` of a connection that is accepted.
    pub fn connect(&self, mock: &Mock) -> *mut c_void {
        let private = self.connect_raw(mock.server());
        assert!(!private.is_null(), "refused");
        assert!(private != WEBSOCKET_CONNECT_ERROR, "refused with an error");
        private
    }

    pub fn open(&self, private: *mut c_void, mock: &Mock) {
        // SAFETY: `private` came from `connect`; no other callback runs.
        unsafe { self.table().on_open.unwrap()(private, mock.server()) }
    }

    pub fn text(&self, private: *mut c_void, mock: &Mock, text: &str) -> usize {
        self.message(private, mock, MESSAGE_TYPE_TEXT, text.as_bytes())
    }

    pub fn message(
        &self,
        private: *mut c_void,
        mock: &Mock,
        message_type: c_int,
        payload: &[u8],
    ) -> usize {
        let mut payload = payload.to_vec();
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

    /// Not before the shortest time of a timer is over, as with a server.
    pub fn timer(&self, private: *mut c_void, mock: &Mock) {
        std::thread::sleep(std::time::Duration::from_millis(2));
        // SAFETY: `private` came from `connect`; no other callback runs.
        unsafe { self.table().on_timer.unwrap()(private, mock.server()) }
    }

    pub fn writable(&self, private: *mut c_void, mock: &Mock) {
        // SAFETY: `private` came from `connect`; no other callback runs.
        unsafe { self.table().on_writable.unwrap()(private, mock.server()) }
    }

    pub fn pong(&self, private: *mut c_void, mock: &Mock, payload: &[u8], round_trip: c_ulong) {
        let on_pong = self.table().on_pong.unwrap();
        let length = payload.len();
        // SAFETY: `private` came from `connect`; no other callback runs.
        unsafe { on_pong(private, mock.server(), payload.as_ptr(), length, round_trip) }
    }

    /// Calls on_topic; the answer is its.
    pub fn topic(&self, private: *mut c_void, mock: &Mock, event: &WebSocketTopicEvent) -> c_int {
        // SAFETY: `private` came from `connect`; no other callback runs; the event is a caller's, whole.
        unsafe { self.table().on_topic.unwrap()(private, mock.server(), event) }
    }

    pub fn close(
        &self,
        private: *mut c_void,
        mock: &Mock,
        code: u32,
        reason: &[u8],
        is_clean: bool,
    ) {
        let on_close = self.table().on_close.unwrap();
        // SAFETY: `private` came from `connect`; no other callback runs.
        unsafe {
            on_close(
                private,
                mock.server(),
                code,
                reason.as_ptr().cast(),
                reason.len(),
                c_int::from(is_clean),
            );
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
