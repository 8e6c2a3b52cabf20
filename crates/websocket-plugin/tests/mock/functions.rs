//! The mock's server functions: each records what it was called with, and answers as the test has said.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::ptr;

use websocket_plugin::abi::*;

use super::{Answer, Call, State};

pub(super) fn state<'a>(server: *const WebSocketServer) -> &'a State {
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
        Answer::Yes | Answer::Late => WEBSOCKET_SEND_ACCEPTED,
        Answer::WouldBlock => WEBSOCKET_SEND_WOULD_BLOCK,
        Answer::Closed => WEBSOCKET_SEND_CLOSED,
        Answer::Invalid => WEBSOCKET_SEND_INVALID,
    }
}

fn is_yes(server: *const WebSocketServer) -> c_int {
    c_int::from(matches!(answer(server), Answer::Yes))
}

pub(super) fn text(pointer: *const c_char) -> String {
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

pub(super) unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    let key = text(key).to_ascii_lowercase();
    found(&state(server).request_headers, &key)
}

pub(super) unsafe extern "C" fn header_set(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    record(server, Call::HeaderSet(text(key), text(value)));
}

pub(super) unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    state(server).offered.len()
}

pub(super) unsafe extern "C" fn protocol_index(
    server: *const WebSocketServer,
    index: usize,
) -> *const c_char {
    state(server)
        .offered
        .get(index)
        .map_or(ptr::null(), |name| name.as_ptr())
}

pub(super) unsafe extern "C" fn protocol_set(
    server: *const WebSocketServer,
    protocol: *const c_char,
) {
    record(server, Call::ProtocolSet(text(protocol)));
}

pub(super) unsafe extern "C" fn send(
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

pub(super) unsafe extern "C" fn try_send(
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

pub(super) unsafe extern "C" fn send_many(
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

pub(super) unsafe extern "C" fn send_fragment(
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

pub(super) unsafe extern "C" fn buffered_amount(server: *const WebSocketServer) -> usize {
    state(server).calls.lock().unwrap().len() * 100
}

pub(super) unsafe extern "C" fn close(server: *const WebSocketServer) {
    record(server, Call::Close);
}

pub(super) unsafe extern "C" fn close_with(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    let reason = String::from_utf8(bytes(reason.cast(), reason_size)).unwrap();
    record(server, Call::CloseWith(code, reason));
    is_yes(server)
}

pub(super) unsafe extern "C" fn option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    found(&state(server).options, &text(name))
}

pub(super) unsafe extern "C" fn variable_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    found(&state(server).variables, &text(name))
}

pub(super) unsafe extern "C" fn reject(
    server: *const WebSocketServer,
    http_status: c_uint,
) -> c_int {
    record(server, Call::Reject(http_status));
    1
}

pub(super) unsafe extern "C" fn reject_with(
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

pub(super) unsafe extern "C" fn set_timer(
    server: *const WebSocketServer,
    milliseconds: c_uint,
) -> c_int {
    let before = state(server).before_timer.lock().unwrap().take();
    if let Some(before) = before {
        before();
    }
    record(server, Call::SetTimer(milliseconds));
    is_yes(server)
}

pub(super) unsafe extern "C" fn log(
    server: *const WebSocketServer,
    level: c_int,
    line: *const c_char,
) {
    let line = (level, text(line));
    state(server).lines.lock().unwrap().push(line);
}

fn topic_answer(server: *const WebSocketServer) -> c_int {
    *state(server).topic_answer.lock().unwrap()
}

fn optional(pointer: *const c_char) -> Option<String> {
    (!pointer.is_null()).then(|| text(pointer))
}

pub(super) unsafe extern "C" fn subscribe(
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

pub(super) unsafe extern "C" fn unsubscribe(
    server: *const WebSocketServer,
    topic: *const c_char,
) -> c_int {
    record(server, Call::Unsubscribe(text(topic)));
    topic_answer(server)
}

pub(super) unsafe extern "C" fn publish(
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

pub(super) unsafe extern "C" fn topic_count(
    server: *const WebSocketServer,
    topic: *const c_char,
    scope: c_int,
) -> c_long {
    record(server, Call::TopicCount(text(topic), scope));
    topic_answer(server).into()
}

pub(super) unsafe extern "C" fn topic_members(
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
