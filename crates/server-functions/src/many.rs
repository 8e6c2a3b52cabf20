//! One message to many.

use std::ffi::{c_int, c_uchar};
use std::mem::offset_of;
use std::slice;

use session::Outgoing;
use websocket_plugin::abi::{self, WebSocketServer};
use websocket_proto::{Compression, MessageKind, PreparedMessage};

use crate::arguments::{BAD_BUFFER, bytes, connection, guard};
use crate::messages::word;
use crate::served::Served;

pub(crate) unsafe extern "C" fn send_many<C: Served>(
    server: *const WebSocketServer,
    receivers: *const *const WebSocketServer,
    count: usize,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    results: *mut c_int,
) -> usize {
    const MOST: usize = isize::MAX as usize / size_of::<*const WebSocketServer>();
    if server.is_null() || receivers.is_null() || count > MOST {
        return 0;
    }
    // SAFETY: a plugin passes tables that it was given (one of a process has no connection), a list of that length, and a
    // buffer of that size or NULL.
    let (giver, receivers, payload) = unsafe {
        let receivers = slice::from_raw_parts(receivers, count);
        (
            connection::<C>(server),
            receivers,
            bytes(buffer, buffer_size),
        )
    };
    // SAFETY: as above, for each of them.
    let connection_of = |receiver: &*const WebSocketServer| unsafe { connection::<C>(*receiver) };
    let answer = |place: usize, result: c_int| {
        if !results.is_null() {
            // SAFETY: a plugin passes NULL, or room for as many as there are receivers.
            unsafe { results.add(place).write(result) };
        }
    };
    let message = match guard(Err(None), || prepare(message_type, payload)) {
        Ok(message) => message,
        Err(reason) => {
            let told = giver.or_else(|| receivers.iter().find_map(connection_of));
            if let Some((connection, reason)) = told.zip(reason) {
                guard((), || connection.log_misuse(&reason));
            }
            (0..count).for_each(|place| answer(place, abi::WEBSOCKET_SEND_INVALID));
            return 0;
        }
    };
    let mut accepted = 0;
    for (place, receiver) in receivers.iter().enumerate() {
        // SAFETY: as above.
        unsafe { fetch_ahead::<C>(&receivers[place..]) };
        let result = connection_of(receiver).map_or(abi::WEBSOCKET_SEND_CLOSED, |receiver| {
            guard(abi::WEBSOCKET_SEND_CLOSED, || {
                give(giver, receiver, &message)
            })
        });
        accepted += usize::from(result == abi::WEBSOCKET_SEND_ACCEPTED);
        answer(place, result);
    }
    accepted
}

/// While one takes the message, the memory of the next ones comes: at each distance what the one before has brought the
/// address of.
///
/// # Safety
/// As [`connection`], for each of the receivers.
#[inline(always)]
unsafe fn fetch_ahead<C: Served>(receivers: &[*const WebSocketServer]) {
    if let Some(&table) = receivers.get(3) {
        let state = table.addr() + offset_of!(WebSocketServer, state);
        C::fetch(state..state + 1);
    }
    // SAFETY: the caller's promise.
    let session_of = |&receiver| unsafe { connection::<C>(receiver) }.map(C::session);
    if let Some(session) = receivers.get(2).and_then(session_of) {
        session.footprint().into_iter().for_each(C::fetch);
    }
    if let Some(session) = receivers.get(1).and_then(session_of) {
        let far = session.far_footprint();
        far.into_iter().flatten().for_each(C::fetch);
    }
}

/// Makes the message; the error is what is wrong with it.
fn prepare(message_type: c_int, payload: Option<&[u8]>) -> Result<PreparedMessage, Option<String>> {
    let compression = match message_type & abi::MESSAGE_TYPE_UNCOMPRESSED {
        0 => Compression::Default,
        _ => Compression::Skip,
    };
    let kind = match message_type & !abi::MESSAGE_TYPE_UNCOMPRESSED {
        abi::MESSAGE_TYPE_TEXT => MessageKind::Text,
        abi::MESSAGE_TYPE_BINARY => MessageKind::Binary,
        _ => {
            return Err(Some(
                "a message to many is neither text nor binary".to_owned(),
            ));
        }
    };
    let payload = payload.ok_or_else(|| Some(BAD_BUFFER.to_owned()))?;
    PreparedMessage::new(kind, payload, compression).map_err(|reason| Some(reason.to_string()))
}

fn give<C: Served>(giver: Option<&C>, receiver: &C, message: &PreparedMessage) -> c_int {
    let outgoing = Outgoing::Prepared(message);
    let session = receiver.session();
    let sent = match giver {
        Some(giver) => giver
            .session()
            .try_send_to(session, outgoing, || receiver.receiver()),
        None => session.try_send(outgoing),
    };
    word(receiver, sent)
}
