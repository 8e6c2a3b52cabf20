//! A server of the tests' own, to drive a plugin's table with: [`Mock`] is one of its connections, or processes, with its server
//! [`functions`]; [`Loaded`] calls the plugin as a server does.

// Each test program uses a part of it.
#![allow(dead_code)]

mod functions;
mod loaded;

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ffi::{CString, c_int, c_uint};
use std::ptr;
use std::sync::{Condvar, Mutex};

use websocket_plugin::abi::*;

use functions::*;
pub use loaded::Loaded;

/// One connection of the mock server, or one child process.
///
/// Made of pointers, as what the plugin gets is one that this type must not invalidate. It is freed
/// when it is dropped, so that a call that comes too late is one that Miri sees.
pub struct Mock {
    table: *mut WebSocketServer,
    state: *mut State,
    /// The table's memory, when it is shorter than today's.
    cut: Option<Layout>,
}

// SAFETY: the table is not written to once it is shared, and `State` is Sync.
unsafe impl Sync for Mock {}

/// What a plugin has asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call {
    Send(c_int, Vec<u8>),
    TrySend(c_int, Vec<u8>),
    /// One of many: whether it is the one who sends, too.
    Many(c_int, Vec<u8>, bool),
    /// The last one is 1 when it ends the message.
    Fragment(c_int, Vec<u8>, c_int),
    Close,
    CloseWith(u32, String),
    HeaderSet(String, String),
    ProtocolSet(String),
    Reject(u32),
    SetTimer(u32),
    RejectWith(u32, String, Vec<u8>),
    /// Topic, since, member, flags.
    Subscribe(String, Option<String>, Option<String>, u32),
    Unsubscribe(String),
    /// Topic, type, payload, flags.
    Publish(String, c_int, Vec<u8>, u32),
    TopicCount(String, c_int),
    TopicMembers(String),
}

#[derive(Default)]
struct State {
    request_headers: BTreeMap<String, CString>,
    variables: BTreeMap<String, CString>,
    options: BTreeMap<String, CString>,
    offered: Vec<CString>,
    calls: Mutex<Vec<Call>>,
    lines: Mutex<Vec<(c_int, String)>>,
    answer: Mutex<Answer>,
    /// What the functions of topics return.
    topic_answer: Mutex<c_int>,
    /// While true, `send` blocks.
    peer_is_slow: Mutex<bool>,
    /// In `send`.
    blocked: Mutex<usize>,
    /// What the next `set_timer` does before it is recorded.
    before_timer: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    changed: Condvar,
}

/// What the functions return that can be refused.
#[derive(Clone, Copy, Default)]
pub enum Answer {
    #[default]
    Yes,
    /// `send` refuses, and `try_send`, which comes later, does not.
    Late,
    WouldBlock,
    Closed,
    Invalid,
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
            try_send: Some(try_send),
            send_fragment: Some(send_fragment),
            buffered_amount: Some(buffered_amount),
            option_get: Some(option_get),
            variable_get: Some(variable_get),
            reject: Some(reject),
            set_timer: Some(set_timer),
            log: Some(log),
            reject_with: Some(reject_with),
            subscribe: Some(subscribe),
            unsubscribe: Some(unsubscribe),
            publish: Some(publish),
            topic_count: Some(topic_count),
            topic_members: Some(topic_members),
            send_many: Some(send_many),
        }));
        Self {
            table,
            state,
            cut: None,
        }
    }

    pub fn with_version(self, version: u32) -> Self {
        // SAFETY: not shared yet.
        unsafe { (*self.table).version = version };
        self
    }

    pub fn with_size(self, size: usize) -> Self {
        // SAFETY: not shared yet.
        unsafe { (*self.table).size = size as c_uint };
        self
    }

    /// A table of an older server's: nothing is behind its `size` bytes, which Miri and AddressSanitizer see.
    pub fn cut(mut self, size: usize) -> Self {
        let layout = Layout::from_size_align(size, align_of::<WebSocketServer>()).unwrap();
        // SAFETY: not shared yet; the size is not 0, and at most that of the table, which is copied.
        unsafe {
            let table = alloc(layout).cast::<WebSocketServer>();
            assert!(!table.is_null());
            ptr::copy_nonoverlapping(self.table.cast::<u8>(), table.cast(), size);
            (&raw mut (*table).size).write(size as c_uint);
            drop(Box::from_raw(self.table));
            self.table = table;
        }
        self.cut = Some(layout);
        self
    }

    /// A table that is long enough and has no function at all.
    pub fn without_functions(self) -> Self {
        // SAFETY: not shared yet.
        let table = unsafe { &mut *self.table };
        *table = WebSocketServer {
            size: table.size,
            version: table.version,
            state: table.state,
            request: None,
            header_get: None,
            header_set: None,
            protocol_count: None,
            protocol_index: None,
            protocol_set: None,
            send: None,
            close: None,
            close_with: None,
            try_send: None,
            send_fragment: None,
            buffered_amount: None,
            option_get: None,
            variable_get: None,
            reject: None,
            set_timer: None,
            log: None,
            reject_with: None,
            subscribe: None,
            unsubscribe: None,
            publish: None,
            topic_count: None,
            topic_members: None,
            send_many: None,
        };
        self
    }

    pub fn with_header(mut self, name: &str, value: &[u8]) -> Self {
        let value = CString::new(value).unwrap();
        let headers = &mut self.state_mut().request_headers;
        headers.insert(name.to_ascii_lowercase(), value);
        self
    }

    pub fn with_variable(mut self, name: &str, value: &[u8]) -> Self {
        let value = CString::new(value).unwrap();
        self.state_mut().variables.insert(name.to_owned(), value);
        self
    }

    pub fn with_option(mut self, name: &str, value: &str) -> Self {
        let value = CString::new(value).unwrap();
        self.state_mut().options.insert(name.to_owned(), value);
        self
    }

    pub fn with_subprotocols(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| CString::new(*name).unwrap());
        self.state_mut().offered = names.collect();
        self
    }

    /// What the plugin has asked for, but for lines in the log.
    pub fn calls(&self) -> Vec<Call> {
        state(self.table).calls.lock().unwrap().clone()
    }

    /// What it has sent by `send`, where that is text.
    pub fn texts(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls
            .filter_map(|call| match call {
                Call::Send(_, payload) => String::from_utf8(payload).ok(),
                _ => None,
            })
            .collect()
    }

    /// What the plugin has logged.
    pub fn lines(&self) -> Vec<(c_int, String)> {
        state(self.table).lines.lock().unwrap().clone()
    }

    pub fn set_answer(&self, answer: Answer) {
        *state(self.table).answer.lock().unwrap() = answer;
    }

    /// What the functions of topics return from now on; 0 at first.
    pub fn set_topic_answer(&self, answer: c_int) {
        *state(self.table).topic_answer.lock().unwrap() = answer;
    }

    /// Has this done within the next `set_timer`, before it is recorded.
    pub fn before_next_timer(&self, f: impl FnOnce() + Send + 'static) {
        *state(self.table).before_timer.lock().unwrap() = Some(Box::new(f));
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

    /// While the mock is being made.
    fn state_mut(&mut self) -> &mut State {
        // SAFETY: not shared yet.
        unsafe { &mut *self.state }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // SAFETY: both came from boxes, and a mock outlives its connection.
        unsafe {
            match self.cut {
                Some(layout) => dealloc(self.table.cast(), layout),
                None => drop(Box::from_raw(self.table)),
            }
            drop(Box::from_raw(self.state));
        }
    }
}
