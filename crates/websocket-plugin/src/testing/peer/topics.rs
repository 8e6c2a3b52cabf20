//! The functions of topics.

use core::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::sync::Weak;

use super::{bytes, peer, string};
use crate::abi::*;
use crate::testing::board::Guest;
use crate::testing::received::Received;

/// # Safety
/// As [`string`].
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { string(text) })
}

pub(super) unsafe extern "C" fn subscribe(
    server: *const WebSocketServer,
    topic: *const c_char,
    since: *const c_char,
    member: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: as in `header_get`.
    let (peer, topic, since, member) =
        unsafe { (peer(server), string(topic), text(since), text(member)) };
    let is_open = {
        let state = peer.state();
        !state.has_ended && !state.is_closing
    };
    if !is_open {
        return WEBSOCKET_TOPIC_CLOSED;
    }
    let guest = (peer.who(), peer.this.clone() as Weak<dyn Guest>);
    let since = since.as_deref();
    peer.board.subscribe(guest, &topic, since, member, flags)
}

pub(super) unsafe extern "C" fn unsubscribe(
    server: *const WebSocketServer,
    topic: *const c_char,
) -> c_int {
    // SAFETY: as in `header_get`.
    let (peer, topic) = unsafe { (peer(server), string(topic)) };
    match peer.board.unsubscribe(peer.who(), &topic) {
        true => WEBSOCKET_TOPIC_DONE,
        false if peer.state().has_ended => WEBSOCKET_TOPIC_CLOSED,
        false => WEBSOCKET_TOPIC_NOT_SO,
    }
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
    // SAFETY: as in `send`.
    let (peer, topic, payload) =
        unsafe { (peer(server), string(topic), bytes(buffer, buffer_size)) };
    let payload = payload.to_vec();
    let message = match message_type {
        MESSAGE_TYPE_TEXT => String::from_utf8(payload).ok().map(Received::Text),
        MESSAGE_TYPE_BINARY => Some(Received::Binary(payload)),
        _ => None,
    };
    match peer.board.publish(peer.who(), &topic, message, flags) {
        Ok(token) => {
            if !id.is_null() {
                // SAFETY: the SDK gives room for an id.
                unsafe {
                    id.copy_from_nonoverlapping(token.as_ptr().cast(), token.len());
                    id.add(token.len()).write(0);
                }
            }
            WEBSOCKET_TOPIC_DONE
        }
        Err(refusal) => refusal,
    }
}

pub(super) unsafe extern "C" fn topic_count(
    server: *const WebSocketServer,
    topic: *const c_char,
    _scope: c_int,
) -> c_long {
    // SAFETY: as in `header_get`.
    let (peer, topic) = unsafe { (peer(server), string(topic)) };
    let count = peer.board.look(&topic, |members| members.len() as c_long);
    count.unwrap_or_else(c_long::from)
}

pub(super) unsafe extern "C" fn topic_members(
    server: *const WebSocketServer,
    topic: *const c_char,
    each: WsMember,
    data: *mut c_void,
) -> c_long {
    // SAFETY: as in `header_get`.
    let (peer, topic) = unsafe { (peer(server), string(topic)) };
    let members = peer.board.look(&topic, |members| members.to_vec());
    match members {
        Ok(members) => {
            let members: Vec<String> = members.into_iter().flatten().collect();
            if let Some(each) = each {
                for member in &members {
                    // SAFETY: the SDK gives a function and its data; the text lives for the call.
                    unsafe { each(data, member.as_ptr().cast(), member.len()) };
                }
            }
            members.len() as c_long
        }
        Err(refusal) => refusal.into(),
    }
}
