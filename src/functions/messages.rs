//! What a plugin sends.

use std::ffi::{c_char, c_int, c_uchar, c_uint};

use session::{Outgoing, Refused};
use websocket_plugin::abi::{self, WebSocketServer};
use websocket_proto::{Compression, MessageKind};

use super::arguments::{BAD_BUFFER, bytes, with};

pub(super) unsafe extern "C" fn send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> usize {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return 0;
            };
            let is_accepted = match outgoing(message_type, payload) {
                Some(outgoing) => connection.send(outgoing).is_ok(),
                // MESSAGE_TYPE_CLOSE, and everything else, as in the C module.
                None => connection.close_with_payload(payload),
            };
            if is_accepted { payload.len() } else { 0 }
        })
    }
}

pub(super) unsafe extern "C" fn try_send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_SEND_CLOSED, |connection| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return abi::WEBSOCKET_SEND_INVALID;
            };
            match outgoing(message_type, payload) {
                Some(outgoing) => outcome(connection.try_send(outgoing)),
                None if connection.session().has_ended() => abi::WEBSOCKET_SEND_CLOSED,
                None if connection.close_with_payload(payload) => abi::WEBSOCKET_SEND_ACCEPTED,
                None => abi::WEBSOCKET_SEND_INVALID,
            }
        })
    }
}

pub(super) unsafe extern "C" fn send_fragment(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    is_final: c_int,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_SEND_CLOSED, |connection| {
            let kind = match message_type & !abi::MESSAGE_TYPE_UNCOMPRESSED {
                abi::MESSAGE_TYPE_TEXT => MessageKind::Text,
                abi::MESSAGE_TYPE_BINARY => MessageKind::Binary,
                _ => {
                    connection.log_misuse(&"a part of a message is neither text nor binary");
                    return abi::WEBSOCKET_SEND_INVALID;
                }
            };
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return abi::WEBSOCKET_SEND_INVALID;
            };
            outcome(connection.send(Outgoing::Fragment {
                kind,
                payload,
                is_final: is_final != 0,
            }))
        })
    }
}

pub(super) unsafe extern "C" fn close(server: *const WebSocketServer) {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, (), |connection| {
            connection.close_with_payload(&[]);
        });
    }
}

pub(super) unsafe extern "C" fn close_with(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a reason of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let (Ok(code), Some(reason)) = (u16::try_from(code), bytes(reason.cast(), reason_size))
            else {
                connection.log_misuse(&"close_with has a bad code or reason");
                return 0;
            };
            c_int::from(connection.close_with_payload(&[&code.to_be_bytes(), reason].concat()))
        })
    }
}

pub(super) unsafe extern "C" fn buffered_amount(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection| connection.session().buffered()) }
}

/// What a message type and a payload are together; `None` for a Close.
fn outgoing(message_type: c_int, payload: &[u8]) -> Option<Outgoing<'_>> {
    let compression = match message_type & abi::MESSAGE_TYPE_UNCOMPRESSED {
        0 => Compression::Default,
        _ => Compression::Skip,
    };
    Some(match message_type & !abi::MESSAGE_TYPE_UNCOMPRESSED {
        abi::MESSAGE_TYPE_TEXT => Outgoing::Message(MessageKind::Text, compression, payload),
        abi::MESSAGE_TYPE_BINARY => Outgoing::Message(MessageKind::Binary, compression, payload),
        abi::MESSAGE_TYPE_PING => Outgoing::Ping(payload),
        abi::MESSAGE_TYPE_PONG => Outgoing::Pong(payload),
        _ => return None,
    })
}

/// The ABI's words for what became of a message.
fn outcome(sent: Result<(), Refused>) -> c_int {
    match sent {
        Ok(()) => abi::WEBSOCKET_SEND_ACCEPTED,
        Err(Refused::Full) => abi::WEBSOCKET_SEND_WOULD_BLOCK,
        Err(Refused::Ended) => abi::WEBSOCKET_SEND_CLOSED,
        Err(Refused::Invalid(_)) => abi::WEBSOCKET_SEND_INVALID,
    }
}
