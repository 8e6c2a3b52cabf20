//! What a plugin sends.

use std::ffi::{c_char, c_int, c_uchar, c_uint};

use session::{Outgoing, Refused, Session};
use websocket_plugin::abi::{self, WebSocketServer};
use websocket_proto::{Compression, MessageKind};

use crate::arguments::{BAD_BUFFER, bytes, with};
use crate::served::Served;

pub(crate) unsafe extern "C" fn send<C: Served>(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> usize {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, 0, |connection: &C| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return 0;
            };
            let word = match outgoing(message_type, payload) {
                Some(outgoing) => give(connection, outgoing, Session::send),
                // MESSAGE_TYPE_CLOSE, and everything else, as in the C module.
                None => start_to_close(connection, payload),
            };
            match word {
                abi::WEBSOCKET_SEND_ACCEPTED => payload.len(),
                _ => 0,
            }
        })
    }
}

pub(crate) unsafe extern "C" fn try_send<C: Served>(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_SEND_CLOSED, |connection: &C| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return abi::WEBSOCKET_SEND_INVALID;
            };
            match outgoing(message_type, payload) {
                Some(outgoing) => give(connection, outgoing, Session::try_send),
                None if connection.session().has_ended() => abi::WEBSOCKET_SEND_CLOSED,
                None => start_to_close(connection, payload),
            }
        })
    }
}

pub(crate) unsafe extern "C" fn send_fragment<C: Served>(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    is_final: c_int,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_SEND_CLOSED, |connection: &C| {
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
            let fragment = Outgoing::Fragment {
                kind,
                payload,
                is_final: is_final != 0,
            };
            give(connection, fragment, Session::send)
        })
    }
}

pub(crate) unsafe extern "C" fn close<C: Served>(server: *const WebSocketServer) {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, (), |connection: &C| {
            start_to_close(connection, &[]);
        });
    }
}

pub(crate) unsafe extern "C" fn close_with<C: Served>(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a reason of that size or NULL.
    unsafe {
        with(server, 0, |connection: &C| {
            let (Ok(code), Some(reason)) = (u16::try_from(code), bytes(reason.cast(), reason_size))
            else {
                connection.log_misuse(&"close_with has a bad code or reason");
                return 0;
            };
            let payload = [&code.to_be_bytes(), reason].concat();
            let word = start_to_close(connection, &payload);
            c_int::from(word == abi::WEBSOCKET_SEND_ACCEPTED)
        })
    }
}

pub(crate) unsafe extern "C" fn buffered_amount<C: Served>(
    server: *const WebSocketServer,
) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection: &C| connection.session().buffered()) }
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

/// Has the session send; the ABI's word for what became of it.
fn give<C: Served>(
    connection: &C,
    outgoing: Outgoing<'_>,
    send: impl FnOnce(&Session<C::Environment>, Outgoing<'_>) -> Result<(), Refused>,
) -> c_int {
    let ping = match outgoing {
        Outgoing::Ping(payload) => connection.pings().map(|pings| (pings, payload)),
        _ => None,
    };
    if let Some((pings, payload)) = ping {
        pings.begin(payload);
    }
    let sent = send(connection.session(), outgoing);
    if let (Err(_), Some((pings, payload))) = (&sent, ping) {
        pings.take_back(payload);
    }
    word(connection, sent)
}

/// The ABI's word for what has become of something to be sent.
#[inline(always)]
pub(crate) fn word(connection: &impl Served, sent: Result<(), Refused>) -> c_int {
    match sent {
        Ok(()) => abi::WEBSOCKET_SEND_ACCEPTED,
        Err(Refused::Full) => abi::WEBSOCKET_SEND_WOULD_BLOCK,
        Err(Refused::Ended) => abi::WEBSOCKET_SEND_CLOSED,
        Err(Refused::Invalid(reason)) => {
            connection.log_misuse(&reason);
            abi::WEBSOCKET_SEND_INVALID
        }
    }
}

/// Starts the closing handshake, with the payload data of a Close frame; the ABI's word for whether it was this call that did.
fn start_to_close(connection: &impl Served, payload: &[u8]) -> c_int {
    match connection.session().close_with_payload(payload) {
        Ok(true) => abi::WEBSOCKET_SEND_ACCEPTED,
        Ok(false) => abi::WEBSOCKET_SEND_CLOSED,
        Err(reason) => {
            connection.log_misuse(&reason);
            abi::WEBSOCKET_SEND_INVALID
        }
    }
}
