//! A server of the tests' own, to drive a plugin's table with.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::{Condvar, Mutex};

use websocket_plugin::abi::*;

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

fn state<'a>(server: *const WebSocketServer) -> &'a State {
    // SAFETY: the SDK calls only with the pointer of a live mock.
    unsafe { &*(*server).state.cast::<State>() }
}

fn record(server: *const WebSocketServer, call: Call) {
    state(server).calls.lock().unwrap().push(call);
}

fn answer(server: *const WebSocketServer) -> Answer {
    *state(server).answer.lock().unwrap()
}

/// `WEBSOCKET_SEND_*`
fn send_answer(server: *const WebSocketServer) -> c_int {
    match answer(server) {
        Answer::Yes => WEBSOCKET_SEND_ACCEPTED,
        Answer::WouldBlock => WEBSOCKET_SEND_WOULD_BLOCK,
        Answer::Closed => WEBSOCKET_SEND_CLOSED,
        Answer::Invalid => WEBSOCKET_SEND_INVALID,
    }
}

fn is_yes(server: *const WebSocketServer) -> c_int {
    c_int::from(matches!(answer(server), Answer::Yes))
}

fn text(pointer: *const c_char) -> String {
    // SAFETY: the SDK gives NUL-terminated text.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .unwrap()
        .to_owned()
}

fn bytes(pointer: *const u8, length: usize) -> Vec<u8> {
    if length == 0 {
        return Vec::new();
    }
    // SAFETY: the SDK gives a slice's pointer and length.
    unsafe { std::slice::from_raw_parts(pointer, length) }.to_vec()
}

fn found(map: &BTreeMap<String, CString>, key: &str) -> *const c_char {
    map.get(key).map_or(ptr::null(), |value| value.as_ptr())
}

unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    let key = text(key).to_ascii_lowercase();
    found(&state(server).request_headers, &key)
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
    record(server, Call::Send(message_type, bytes(buffer, buffer_size)));
    match answer(server) {
        Answer::Yes => buffer_size,
        _ => 0,
    }
}

unsafe extern "C" fn try_send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> c_int {
    record(
        server,
        Call::TrySend(message_type, bytes(buffer, buffer_size)),
    );
    send_answer(server)
}

unsafe extern "C" fn send_many(
    server: *const WebSocketServer,
    receivers: *const *const WebSocketServer,
    count: usize,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    results: *mut c_int,
) -> usize {
    let mut accepted = 0;
    for place in 0..count {
        // SAFETY: the SDK gives two lists of that length, the first of live tables.
        let receiver = unsafe { *receivers.add(place) };
        let is_sender = ptr::eq(receiver, server);
        let call = Call::Many(message_type, bytes(buffer, buffer_size), is_sender);
        record(receiver, call);
        let answer = send_answer(receiver);
        accepted += usize::from(answer == WEBSOCKET_SEND_ACCEPTED);
        // SAFETY: as above.
        unsafe { *results.add(place) = answer };
    }
    accepted
}

unsafe extern "C" fn send_fragment(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    is_final: c_int,
) -> c_int {
    record(
        server,
        Call::Fragment(message_type, bytes(buffer, buffer_size), is_final),
    );
    send_answer(server)
}

unsafe extern "C" fn buffered_amount(server: *const WebSocketServer) -> usize {
    state(server).calls.lock().unwrap().len() * 100
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
    let reason = String::from_utf8(bytes(reason.cast(), reason_size)).unwrap();
    record(server, Call::CloseWith(code, reason));
    is_yes(server)
}

unsafe extern "C" fn option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    found(&state(server).options, &text(name))
}

unsafe extern "C" fn variable_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    found(&state(server).variables, &text(name))
}

unsafe extern "C" fn reject(server: *const WebSocketServer, http_status: c_uint) -> c_int {
    record(server, Call::Reject(http_status));
    1
}

unsafe extern "C" fn reject_with(
    server: *const WebSocketServer,
    http_status: c_uint,
    content_type: *const c_char,
    body: *const c_char,
    body_size: usize,
) -> c_int {
    let body = bytes(body.cast(), body_size);
    record(
        server,
        Call::RejectWith(http_status, text(content_type), body),
    );
    1
}

unsafe extern "C" fn set_timer(server: *const WebSocketServer, milliseconds: c_uint) -> c_int {
    let before = state(server).before_timer.lock().unwrap().take();
    if let Some(before) = before {
        before();
    }
    record(server, Call::SetTimer(milliseconds));
    is_yes(server)
}

unsafe extern "C" fn log(server: *const WebSocketServer, level: c_int, line: *const c_char) {
    let line = (level, text(line));
    state(server).lines.lock().unwrap().push(line);
}

fn topic_answer(server: *const WebSocketServer) -> c_int {
    *state(server).topic_answer.lock().unwrap()
}

fn optional(pointer: *const c_char) -> Option<String> {
    (!pointer.is_null()).then(|| text(pointer))
}

unsafe extern "C" fn subscribe(
    server: *const WebSocketServer,
    topic: *const c_char,
    since: *const c_char,
    member: *const c_char,
    flags: c_uint,
) -> c_int {
    let call = Call::Subscribe(text(topic), optional(since), optional(member), flags);
    record(server, call);
    topic_answer(server)
}

unsafe extern "C" fn unsubscribe(server: *const WebSocketServer, topic: *const c_char) -> c_int {
    record(server, Call::Unsubscribe(text(topic)));
    topic_answer(server)
}

unsafe extern "C" fn publish(
    server: *const WebSocketServer,
    topic: *const c_char,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    flags: c_uint,
    id: *mut c_char,
) -> c_int {
    let payload = bytes(buffer, buffer_size);
    record(
        server,
        Call::Publish(text(topic), message_type, payload, flags),
    );
    let token = c"00000000000000aa-7".to_bytes_with_nul();
    // SAFETY: the SDK gives room for an id.
    unsafe { id.copy_from_nonoverlapping(token.as_ptr().cast(), token.len()) };
    topic_answer(server)
}

unsafe extern "C" fn topic_count(
    server: *const WebSocketServer,
    topic: *const c_char,
    scope: c_int,
) -> c_long {
    record(server, Call::TopicCount(text(topic), scope));
    topic_answer(server).into()
}

unsafe extern "C" fn topic_members(
    server: *const WebSocketServer,
    topic: *const c_char,
    each: WsMember,
    data: *mut c_void,
) -> c_long {
    record(server, Call::TopicMembers(text(topic)));
    for number in 0..topic_answer(server) {
        let member = format!("member {number}");
        // SAFETY: the SDK gives a function and its data; the text lives for the call.
        unsafe { each.unwrap()(data, member.as_ptr().cast(), member.len()) };
    }
    topic_answer(server).into()
}
