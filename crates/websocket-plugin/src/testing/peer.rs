//! The server's side of one connection, or of the process: the table that the plugin gets, and what comes of its calls.

mod topics;

use core::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
use core::ptr;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::board::{Board, Event, Guest, Who};
use super::received::Received;
use super::request::{Request, text as c_text};
use crate::abi::*;

/// What a plugin's server functions reach.
#[repr(C)]
pub(super) struct Peer {
    /// First, so that its address is the whole's.
    table: WebSocketServer,
    request: Request,
    board: Arc<Board>,
    this: Weak<Peer>,
    /// NULL before the plugin has accepted, and after the end.
    private: AtomicPtr<c_void>,
    state: Mutex<State>,
    has_come: Condvar,
}

// SAFETY: nobody writes the table once it is made, and it points to nothing; the rest is `Sync`.
unsafe impl Send for Peer {}
// SAFETY: as above.
unsafe impl Sync for Peer {}

#[derive(Default)]
struct State {
    received: VecDeque<Received>,
    /// What `on_topic` is to be told.
    events: VecDeque<Event>,
    headers: Vec<(String, String)>,
    subprotocol: Option<String>,
    status: Option<u16>,
    /// The plugin's own body of a refusal: media type and content.
    body: Option<(String, Vec<u8>)>,
    lines: Vec<(log::Level, String)>,
    is_accepted: bool,
    /// Sent, and not answered yet.
    close: Option<u16>,
    is_closing: bool,
    has_ended: bool,
    has_no_room: bool,
    wants_room: bool,
    now: Duration,
    timer: Option<Duration>,
    /// The latest ping, which has not been answered, and when it went out.
    pinged: Option<(Vec<u8>, Duration)>,
}

impl Peer {
    /// The process, with these options.
    pub(super) fn process(options: &[(String, String)], board: &Arc<Board>) -> Arc<Self> {
        let peer = Peer::new(Request::default(), options, Duration::ZERO, board);
        // It stands for no connection.
        peer.state().has_ended = true;
        peer
    }

    /// A connection that has not been accepted.
    pub(super) fn connection(
        request: Request,
        options: &[(String, String)],
        now: Duration,
        board: &Arc<Board>,
    ) -> Arc<Self> {
        Peer::new(request, options, now, board)
    }

    fn new(
        mut request: Request,
        options: &[(String, String)],
        now: Duration,
        board: &Arc<Board>,
    ) -> Arc<Self> {
        for (name, value) in options {
            let options = &mut request.options;
            options.entry(name.clone()).or_insert_with(|| c_text(value));
        }
        Arc::new_cyclic(|this| Peer {
            table: WebSocketServer {
                size: size_of::<WebSocketServer>() as c_uint,
                version: WEBSOCKET_SERVER_VERSION_1,
                state: ptr::null_mut(),
                request: Some(request_of),
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
                reject_with: Some(reject_with),
                send_many: Some(send_many),
                set_timer: Some(set_timer),
                log: Some(log_line),
                subscribe: Some(topics::subscribe),
                unsubscribe: Some(topics::unsubscribe),
                publish: Some(topics::publish),
                topic_count: Some(topics::topic_count),
                topic_members: Some(topics::topic_members),
            },
            request,
            board: Arc::clone(board),
            this: this.clone(),
            private: AtomicPtr::new(ptr::null_mut()),
            state: Mutex::new(State {
                now,
                ..State::default()
            }),
            has_come: Condvar::new(),
        })
    }

    /// What the plugin sees. It lives as long as this.
    pub(super) fn server(self: &Peer) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }

    pub(super) fn accept(&self, private: *mut c_void) {
        self.private.store(private, Ordering::Relaxed);
        self.state().is_accepted = true;
    }

    /// What the plugin keeps for it, while it is open.
    pub(super) fn private(&self) -> Option<*mut c_void> {
        let private = self.private.load(Ordering::Relaxed);
        (!private.is_null()).then_some(private)
    }

    pub(super) fn take_private(&self) -> Option<*mut c_void> {
        let private = self.private.swap(ptr::null_mut(), Ordering::Relaxed);
        (!private.is_null()).then_some(private)
    }

    /// Nothing is sent any more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        state.timer = None;
        self.has_come.notify_all();
    }

    /// As `WebSocketTopicSlow close`.
    fn is_slow(&self) {
        self.close(Some(1013), "slow");
    }

    /// Which one it is, for its topics.
    pub(super) fn who(&self) -> Who {
        ptr::from_ref(self).cast()
    }

    pub(super) fn take_event(&self) -> Option<Event> {
        self.state().events.pop_front()
    }

    /// A Close goes out, unless one has. Says whether it was this one.
    pub(super) fn close(&self, code: Option<u16>, reason: &str) -> bool {
        let mut state = self.state();
        if state.has_ended || state.is_closing {
            return false;
        }
        state.is_closing = true;
        // RFC 6455 §7.1.5.
        state.close = Some(code.unwrap_or(1005));
        state.timer = None;
        let close = Received::Close(code, reason.to_owned());
        state.received.push_back(close);
        self.has_come.notify_all();
        true
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().is_closing
    }

    /// Whether something is to be done for it.
    pub(super) fn has_news(&self) -> bool {
        let state = self.state();
        let may_call = state.is_accepted && !state.has_no_room && !state.is_closing;
        state.close.is_some() || may_call && (state.wants_room || !state.events.is_empty())
    }

    pub(super) fn take_close(&self) -> Option<u16> {
        self.state().close.take()
    }

    /// Whether `on_writable` is due.
    pub(super) fn take_wish(&self) -> bool {
        std::mem::take(&mut self.state().wants_room)
    }

    pub(super) fn set_room(&self, has_room: bool) {
        self.state().has_no_room = !has_room;
    }

    pub(super) fn set_now(&self, now: Duration) {
        self.state().now = now;
    }

    pub(super) fn timer(&self) -> Option<Duration> {
        self.state().timer
    }

    pub(super) fn clear_timer(&self) {
        self.state().timer = None;
    }

    /// What the latest ping says, if it has not been answered.
    pub(super) fn latest_ping(&self) -> Option<Vec<u8>> {
        let state = self.state();
        state.pinged.as_ref().map(|(payload, _)| payload.clone())
    }

    /// A Pong has come. Says how long the ping was under way that it answers.
    pub(super) fn answered(&self, payload: &[u8]) -> Option<Duration> {
        let mut state = self.state();
        let is_its = |pinged: &mut (Vec<u8>, Duration)| pinged.0 == payload;
        let (_, sent) = state.pinged.take_if(is_its)?;
        Some(state.now - sent)
    }

    pub(super) fn take_received(&self) -> Vec<Received> {
        self.state().received.drain(..).collect()
    }

    pub(super) fn wait_for_next(&self, patience: Duration) -> Option<Received> {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(received) = state.received.pop_front() {
                return Some(received);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.has_come.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn headers(&self) -> Vec<(String, String)> {
        self.state().headers.clone()
    }

    pub(super) fn subprotocol(&self) -> Option<String> {
        self.state().subprotocol.clone()
    }

    pub(super) fn chosen_status(&self) -> Option<u16> {
        self.state().status
    }

    /// The body that the plugin gives its refusal: media type and content.
    pub(super) fn chosen_body(&self) -> Option<(String, Vec<u8>)> {
        self.state().body.clone()
    }

    pub(super) fn lines(&self) -> Vec<(log::Level, String)> {
        self.state().lines.clone()
    }

    /// Puts in what the plugin sends; the answer is one of `WEBSOCKET_SEND_*`.
    fn put(&self, message_type: c_int, payload: &[u8], may_block: bool) -> c_int {
        let payload = payload.to_vec();
        let received = match message_type & !MESSAGE_TYPE_UNCOMPRESSED {
            MESSAGE_TYPE_TEXT => String::from_utf8(payload).ok().map(Received::Text),
            MESSAGE_TYPE_BINARY => Some(Received::Binary(payload)),
            MESSAGE_TYPE_PING if payload.len() <= 125 => Some(Received::Ping(payload)),
            MESSAGE_TYPE_PONG if payload.len() <= 125 => Some(Received::Pong(payload)),
            MESSAGE_TYPE_PING | MESSAGE_TYPE_PONG => None,
            _ => return self.close_with_payload(&payload),
        };
        self.push(received, may_block)
    }

    fn push(&self, received: Option<Received>, may_block: bool) -> c_int {
        let mut state = self.state();
        if state.has_ended || state.is_closing {
            return WEBSOCKET_SEND_CLOSED;
        }
        let Some(received) = received else {
            return WEBSOCKET_SEND_INVALID;
        };
        if state.has_no_room && !may_block {
            state.wants_room = true;
            return WEBSOCKET_SEND_WOULD_BLOCK;
        }
        if let Received::Ping(payload) = &received {
            state.pinged = Some((payload.clone(), state.now));
        }
        state.received.push_back(received);
        self.has_come.notify_all();
        WEBSOCKET_SEND_ACCEPTED
    }

    fn close_with_payload(&self, payload: &[u8]) -> c_int {
        let (code, reason) = match payload {
            [] => (None, &[][..]),
            [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
            [_] => return WEBSOCKET_SEND_INVALID,
        };
        // RFC 6455 §7.4.
        let is_good = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        match std::str::from_utf8(reason) {
            Ok(reason) if code.is_none_or(is_good) && reason.len() <= 123 => {
                match self.close(code, reason) {
                    true => WEBSOCKET_SEND_ACCEPTED,
                    false => WEBSOCKET_SEND_CLOSED,
                }
            }
            _ => WEBSOCKET_SEND_INVALID,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest for Peer {
    fn get(&self, received: Received) {
        if self.push(Some(received), false) == WEBSOCKET_SEND_WOULD_BLOCK {
            self.is_slow();
        }
    }

    fn put_event(&self, event: Event) {
        if self.state().has_no_room {
            return self.is_slow();
        }
        self.state().events.push_back(event);
        self.has_come.notify_all();
    }
}

/// # Safety
/// `server` is from [`Peer::server`] of one that lives: the world keeps it until its on_disconnect has returned, and its
/// client longer.
unsafe fn peer<'p>(server: *const WebSocketServer) -> &'p Peer {
    // SAFETY: the caller's promise.
    unsafe { &*server.cast::<Peer>() }
}

/// # Safety
/// `text` is NULL or terminated.
unsafe fn string(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// # Safety
/// `buffer` has `size` bytes, unless that is 0.
unsafe fn bytes<'b>(buffer: *const c_uchar, size: usize) -> &'b [u8] {
    match size {
        0 => &[],
        // SAFETY: the caller's promise.
        _ => unsafe { std::slice::from_raw_parts(buffer, size) },
    }
}

fn found(map: &BTreeMap<String, CString>, name: &str) -> *const c_char {
    map.get(name).map_or(ptr::null(), |value| value.as_ptr())
}

unsafe extern "C" fn request_of(_: *const WebSocketServer) -> *mut RequestRec {
    ptr::null_mut()
}

unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: the SDK gives the table that it was given, and a terminated string.
    let (peer, key) = unsafe { (peer(server), string(key)) };
    found(&peer.request.headers, &key.to_ascii_lowercase())
}

unsafe extern "C" fn header_set(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: as in `header_get`.
    let (peer, field) = unsafe { (peer(server), (string(key), string(value))) };
    let mut state = peer.state();
    if !state.is_accepted {
        state
            .headers
            .retain(|(set, _)| !set.eq_ignore_ascii_case(&field.0));
        state.headers.push(field);
    }
}

unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    // SAFETY: as in `header_get`.
    unsafe { peer(server) }.request.subprotocols.len()
}

unsafe extern "C" fn protocol_index(server: *const WebSocketServer, index: usize) -> *const c_char {
    // SAFETY: as in `header_get`.
    let name = unsafe { peer(server) }.request.subprotocols.get(index);
    name.map_or(ptr::null(), |name| name.as_ptr())
}

unsafe extern "C" fn protocol_set(server: *const WebSocketServer, protocol: *const c_char) {
    // SAFETY: as in `header_get`.
    let (peer, name) = unsafe { (peer(server), string(protocol)) };
    let mut state = peer.state();
    if !state.is_accepted {
        state.subprotocol = Some(name);
    }
}

unsafe extern "C" fn send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> usize {
    // SAFETY: the SDK gives the table that it was given, and a slice.
    let (peer, payload) = unsafe { (peer(server), bytes(buffer, buffer_size)) };
    match peer.put(message_type, payload, true) {
        WEBSOCKET_SEND_ACCEPTED => buffer_size,
        _ => 0,
    }
}

unsafe extern "C" fn try_send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> c_int {
    // SAFETY: as in `send`.
    let (peer, payload) = unsafe { (peer(server), bytes(buffer, buffer_size)) };
    peer.put(message_type, payload, false)
}

unsafe extern "C" fn send_many(
    _: *const WebSocketServer,
    receivers: *const *const WebSocketServer,
    count: usize,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    results: *mut c_int,
) -> usize {
    let mut accepted = 0;
    for place in 0..count {
        // SAFETY: the SDK gives two lists of that length, the first of tables that it was given.
        let outcome = unsafe { try_send(*receivers.add(place), message_type, buffer, buffer_size) };
        accepted += usize::from(outcome == WEBSOCKET_SEND_ACCEPTED);
        // SAFETY: as above.
        unsafe { results.add(place).write(outcome) };
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
    // SAFETY: as in `send`.
    let (peer, payload) = unsafe { (peer(server), bytes(buffer, buffer_size)) };
    let part = Received::Part {
        is_text: message_type & !MESSAGE_TYPE_UNCOMPRESSED == MESSAGE_TYPE_TEXT,
        payload: payload.to_vec(),
        is_last: is_final != 0,
    };
    peer.push(Some(part), true)
}

unsafe extern "C" fn close(server: *const WebSocketServer) {
    // SAFETY: as in `header_get`.
    unsafe { peer(server) }.close(None, "");
}

unsafe extern "C" fn close_with(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    // SAFETY: as in `send`.
    let (peer, reason) = unsafe { (peer(server), bytes(reason.cast(), reason_size)) };
    let code = u16::try_from(code).unwrap_or_default();
    let sent = peer.close_with_payload(&[&code.to_be_bytes(), reason].concat());
    c_int::from(sent == WEBSOCKET_SEND_ACCEPTED)
}

unsafe extern "C" fn buffered_amount(server: *const WebSocketServer) -> usize {
    // SAFETY: as in `header_get`.
    let state = unsafe { peer(server) }.state();
    match state.has_no_room {
        true => 1,
        false => 0,
    }
}

unsafe extern "C" fn option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as in `header_get`.
    unsafe { found(&peer(server).request.options, &string(name)) }
}

unsafe extern "C" fn variable_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as in `header_get`.
    unsafe { found(&peer(server).request.variables, &string(name)) }
}

unsafe extern "C" fn reject(server: *const WebSocketServer, http_status: c_uint) -> c_int {
    // SAFETY: as in `header_get`.
    let mut state = unsafe { peer(server) }.state();
    let status = u16::try_from(http_status).ok();
    let status = status.filter(|status| (300..=599).contains(status) && !state.is_accepted);
    state.status = status.or(state.status);
    c_int::from(status.is_some())
}

unsafe extern "C" fn reject_with(
    server: *const WebSocketServer,
    http_status: c_uint,
    content_type: *const c_char,
    body: *const c_char,
    body_size: usize,
) -> c_int {
    // SAFETY: as in `header_get`; the body has that size.
    unsafe {
        if content_type.is_null() || reject(server, http_status) == 0 {
            return 0;
        }
        let content = bytes(body.cast(), body_size).to_vec();
        peer(server).state().body = Some((string(content_type), content));
    }
    1
}

unsafe extern "C" fn set_timer(server: *const WebSocketServer, milliseconds: c_uint) -> c_int {
    // SAFETY: as in `header_get`.
    let mut state = unsafe { peer(server) }.state();
    if state.has_ended || state.is_closing || milliseconds > 86_400_000 {
        return 0;
    }
    let time = Duration::from_millis(milliseconds.into());
    state.timer = (!time.is_zero()).then(|| state.now + time);
    1
}

unsafe extern "C" fn log_line(server: *const WebSocketServer, level: c_int, line: *const c_char) {
    // SAFETY: as in `header_get`.
    let (peer, line) = unsafe { (peer(server), string(line)) };
    let level = match level {
        ..=WEBSOCKET_LOG_ERROR => log::Level::Error,
        WEBSOCKET_LOG_WARNING => log::Level::Warn,
        WEBSOCKET_LOG_NOTICE | WEBSOCKET_LOG_INFO => log::Level::Info,
        WEBSOCKET_LOG_DEBUG => log::Level::Debug,
        _ => log::Level::Trace,
    };
    peer.state().lines.push((level, line));
}
