//! What the fuzz targets under `fuzz/` run. Each function takes arbitrary bytes and panics when
//! something that must hold does not. The first byte picks how the rest is cut.

use std::sync::Arc;

use crate::close::ReservedCloseCodes;
use crate::connection::{Event, Payload, ReceivingConfig, ReceivingHalf, SendingHalf};
use crate::error::ProtocolError;
use crate::extension::negotiation::parse_offers;
use crate::extension::permessage_deflate::{
    CodecPool, CompressionLevel, PermessageDeflateConfig, WindowBits, negotiate,
};
use crate::frame::{FrameDecoder, FrameHeader, NoRules, Opcode, Role, apply_mask, encode_header};
use crate::handshake::{
    ProtocolVersion, Request, SecWebSocketKey, contains_token, parse_subprotocols,
};
use crate::message::MessageKind;
use crate::origin::{Origin, TrustedOrigin};
use crate::utf8::Utf8Validator;

/// Frames decoded from any cut of the input encode to the input again.
pub fn frame(data: &[u8]) {
    let Some((&picker, stream)) = data.split_first() else {
        return;
    };
    for role in [Role::Server, Role::Client] {
        let mut decoder = FrameDecoder::new(role);
        let mut encoded = Vec::new();
        let mut mask_at = (None, 0);
        'input: for piece in Cut::new(picker, stream) {
            let mut piece = piece.to_vec();
            let mut rest = &mut piece[..];
            while !rest.is_empty() {
                if decoder.is_in_header() {
                    let Ok((taken, header)) = decoder.read_header(rest, &NoRules) else {
                        break 'input;
                    };
                    rest = &mut rest[taken..];
                    let Some(header) = header else {
                        assert!(rest.is_empty());
                        break;
                    };
                    encoded.extend_from_slice(&encode_header(&header));
                    mask_at = (header.mask, 0);
                }
                let stretch = decoder.read_payload(rest);
                let start = encoded.len();
                let len = stretch.bytes.len();
                encoded.extend_from_slice(stretch.bytes);
                if let (Some(key), offset) = mask_at {
                    apply_mask(&mut encoded[start..], key, offset);
                }
                mask_at.1 += len;
                assert!(stretch.ends_frame || len == rest.len());
                rest = &mut rest[len..];
            }
        }
        assert!(stream.starts_with(&encoded));
    }
}

/// A message cut into fragments, with Pings between them, arrives as it was, or fails when it is a
/// text that is not UTF-8.
pub fn message(data: &[u8]) {
    let [picker, cut_picker, key @ ..] = data else {
        return;
    };
    let Some((&key, payload)) = key.split_first_chunk() else {
        return;
    };
    for kind in [MessageKind::Text, MessageKind::Binary] {
        let expected = match kind {
            MessageKind::Text if std::str::from_utf8(payload).is_err() => None,
            _ => Some(payload),
        };
        let stream = fragmented(kind, *cut_picker, key, payload);
        let events = receive(Role::Server, u64::MAX, Cut::new(*picker, &stream));
        let last = events.last().expect("an event");
        match expected {
            Some(payload) => assert_eq!(*last, Seen::Message(kind, payload.to_vec())),
            None => assert_eq!(*last, Seen::Failed(ProtocolError::InvalidUtf8)),
        }
        let before = &events[..events.len() - 1];
        assert!(
            before
                .iter()
                .all(|event| *event == Seen::Ping(key.to_vec()))
        );
    }
    let mut validator = Utf8Validator::new();
    let is_valid = Cut::new(*picker, payload).all(|piece| validator.push(piece).is_ok());
    let is_valid = is_valid && validator.finish().is_ok();
    assert_eq!(is_valid, std::str::from_utf8(payload).is_ok());
}

/// Nothing in a request makes its parsers panic, and what they accept is well-formed.
pub fn handshake(data: &[u8]) {
    let Some((&picker, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let mut fields = text.split('\n');
    let mut field = |bit: u8| fields.next().filter(|_| picker & bit == 0);
    let request = Request {
        method_is_get: picker & 0x01 == 0,
        http_1_1_or_later: picker & 0x02 == 0,
        host: field(0x04),
        upgrade: field(0x08),
        connection: field(0x10),
        key: field(0x20),
        version: field(0x40),
        protocol: field(0x80),
    };
    match request.accept() {
        Ok(accepted) => {
            assert!(request.is_upgrade());
            assert_eq!(accepted.accept.len(), 28);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(version) = ProtocolVersion::parse(text) {
        assert_eq!(version.to_string(), text);
    }
    if let Ok(key) = SecWebSocketKey::parse(text) {
        assert_eq!(key.accept().len(), 28);
    }
    if let Ok(subprotocols) = parse_subprotocols(text) {
        assert!(subprotocols.iter().all(|name| contains_token(text, name)));
    }
    if let Ok(origin) = Origin::parse(text) {
        let normalised = origin.to_string();
        assert_eq!(Origin::parse(&normalised).as_ref(), Ok(&origin));
        assert!(TrustedOrigin::parse(&normalised).is_ok_and(|trusted| trusted.matches(&origin)));
    }
    if let Ok(trusted) = TrustedOrigin::parse(text) {
        let normalised = trusted.to_string();
        assert_eq!(TrustedOrigin::parse(&normalised).as_ref(), Ok(&trusted));
        if let Some((scheme, domain)) = normalised.split_once("://*.") {
            let member = |front: &str| Origin::parse(&format!("{scheme}://{front}{domain}"));
            assert!(member("a.b.").is_ok_and(|origin| trusted.matches(&origin)));
            assert!(member("").is_ok_and(|origin| !trusted.matches(&origin)));
        }
    }
}

/// A connection's input gives the same events however it is cut, and what they are answered with is
/// received by the peer as it was sent.
pub fn connection(data: &[u8]) {
    let [picker, limit, stream @ ..] = data else {
        return;
    };
    let max_message_size = match limit {
        0 => u64::MAX,
        &limit => u64::from(limit) * 4,
    };
    for (role, peer) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        let whole = receive(role, max_message_size, [stream].into_iter());
        let cut = receive(role, max_message_size, Cut::new(*picker, stream));
        assert_eq!(whole, cut, "{role:?}");
        let least = usize::from(*limit % 8) + 1;
        let receiver = receiver(role, max_message_size);
        let pieces = Cut::new(*picker, stream);
        let in_room = receive_with(receiver, max_message_size, pieces, Some(least));
        assert_eq!(whole, in_room, "{role:?}");

        let mut sender = SendingHalf::new(role).with_mask_key([*picker, *limit, 1, 2]);
        let mut answer = Vec::new();
        let answered: Vec<Seen> = whole
            .into_iter()
            .filter(|event| event.send(&mut sender, &mut answer))
            .collect();
        let received = receive(peer, u64::MAX, Cut::new(*picker, &answer));
        assert_eq!(received, answered, "{role:?}");
    }
}

/// Nothing in Sec-WebSocket-Extensions makes its parser panic, and what is answered is itself a
/// list of one offer that is accepted in the same words.
pub fn negotiation(data: &[u8]) {
    let [picker, text @ ..] = data else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let config = config(*picker);
    let is_valid = text.split('\n').all(|field| parse_offers(field).is_ok());
    let Some(agreed) = negotiate(text.split('\n'), &config) else {
        return;
    };
    assert!(is_valid);
    let response = agreed.response();
    let offers = parse_offers(&response).expect("a valid response");
    let [offer] = &offers[..] else {
        panic!("not one extension: {response}");
    };
    // Each parameter is one that the client knows; two of them only when it has named them.
    for parameter in &offer.parameters {
        let may_be_unasked = parameter.name.ends_with("_no_context_takeover");
        assert!(may_be_unasked || text.contains(parameter.name));
    }
    let again = negotiate([&*response].into_iter(), &config).expect("an acceptable offer");
    assert_eq!(again.response(), response);
}

/// Compressed messages of arbitrary bytes give the same events however they are cut, and inflate to
/// no more than the limit; the same bytes as a message arrive as they were.
pub fn inflate(data: &[u8]) {
    let [picker, cut_picker, limit, payload @ ..] = data else {
        return;
    };
    let agreed = negotiate(["permessage-deflate"].into_iter(), &config(*picker));
    let agreed = agreed.expect("an acceptable offer");
    let codecs = (agreed, Arc::new(CodecPool::new(1)));
    let limit = 1 << (limit % 24);
    for kind in [MessageKind::Text, MessageKind::Binary] {
        // Twice and plain, for what the first one leaves behind.
        let mut stream = compressed(kind, *cut_picker, payload);
        let plain = MessageKind::Binary.opcode();
        append_frame(true, false, plain, [0; 4], payload, &mut stream);
        stream.extend_from_slice(&compressed(kind, 0, payload));
        let receive = |picker| {
            let receiver = receiver(Role::Server, limit);
            let receiver = receiver.with_permessage_deflate(&codecs.0, &codecs.1);
            let in_room = (picker % 2 == 1).then_some(1);
            receive_with(receiver, limit, Cut::new(picker, &stream), in_room)
        };
        assert_eq!(receive(0), receive(*cut_picker));
    }

    let mut sender = SendingHalf::new(Role::Server).with_permessage_deflate(&codecs.0, &codecs.1);
    let mut stream = Vec::new();
    for _ in 0..3 {
        let result = sender.send_message(MessageKind::Binary, payload, &mut stream);
        assert_eq!(result, Ok(()));
    }
    let receiver = receiver(Role::Client, payload.len() as u64);
    let receiver = receiver.with_permessage_deflate(&codecs.0, &codecs.1);
    let events = receive_with(receiver, u64::MAX, Cut::new(*cut_picker, &stream), None);
    let expected = Seen::Message(MessageKind::Binary, payload.to_vec());
    assert!(events.len() == 3 && events.iter().all(|event| *event == expected));
}

/// Some configuration for each byte.
fn config(picker: u8) -> PermessageDeflateConfig {
    PermessageDeflateConfig {
        level: CompressionLevel::new(1 + picker % 9).expect("1 to 9"),
        min_size: 0,
        max_window_bits: WindowBits::new(9 + (picker >> 1) % 7).expect("9 to 15"),
        context_takeover: picker & 0x80 == 0,
    }
}

/// An [`Event`] that owns its bytes.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(ProtocolError),
}

impl Seen {
    /// Sends the same event on; false when it is none that can be sent.
    fn send(&self, sender: &mut SendingHalf, out: &mut Vec<u8>) -> bool {
        match self {
            Seen::Message(kind, payload) => sender.send_message(*kind, payload, out),
            Seen::Ping(payload) => sender.send_ping(payload, out),
            Seen::Pong(payload) => sender.send_pong(payload, out),
            Seen::Close(content) => {
                let frame = content.as_ref().map(|(number, reason)| {
                    let reserved = ReservedCloseCodes::Allow;
                    let code = crate::CloseCode::from_wire(*number, reserved).expect("it came in");
                    crate::CloseFrame::new(code, reason)
                });
                sender.send_close(frame.as_ref(), out)
            }
            Seen::Failed(_) => return false,
        }
        .expect("what came in can go out");
        true
    }
}

fn receiver(role: Role, max_message_size: u64) -> ReceivingHalf {
    ReceivingHalf::new(ReceivingConfig {
        role,
        max_message_size,
        reserved_close_codes: ReservedCloseCodes::Allow,
    })
}

/// All events of an input that comes in these pieces.
fn receive<'a>(
    role: Role,
    max_message_size: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<Seen> {
    let receiver = receiver(role, max_message_size);
    receive_with(receiver, max_message_size, pieces, None)
}

/// The same, of any receiver; asserts what holds in between. `in_room`: what is gathered is read into its message's own
/// buffer, from so many bytes on.
fn receive_with<'a>(
    mut receiver: ReceivingHalf,
    max_message_size: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
    in_room: Option<usize>,
) -> Vec<Seen> {
    let mut events = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let was_finished = receiver.is_finished();
            let len = rest.len();
            // A lent buffer has anything in it.
            if let Some(least) = in_room
                && let Some(room) = receiver.room(least..=100, |size| vec![b'?'; size])
            {
                assert!(!was_finished && (least..=100).contains(&room.len()));
                let count = room.len().min(len);
                room[..count].copy_from_slice(&rest[..count]);
                let event = receiver.receive_in_room(count);
                events.extend(event.map(|event| seen(&mut receiver, max_message_size, event)));
                rest = &mut rest[count..];
                continue;
            }
            if let Some((kind, place)) = receiver.whole_message(rest) {
                assert!(!was_finished && place.len() as u64 <= max_message_size);
                let consumed = place.end;
                events.push(Seen::Message(kind, rest[place].to_vec()));
                rest = &mut rest[consumed..];
                continue;
            }
            let (consumed, event) = receiver.receive(rest);
            assert!(consumed > 0 && consumed <= len);
            // The smallest fragment has two bytes.
            let least = len.min(2 * ReceivingHalf::MOST_FRAMES);
            assert!(event.is_some() || consumed >= least);
            assert!(event.is_none() || !was_finished);
            let is_last = matches!(event, Some(Event::Close(_) | Event::Failed(_)));
            assert!(!is_last || receiver.is_finished());
            events.extend(event.map(|event| seen(&mut receiver, max_message_size, event)));
            rest = &mut rest[consumed..];
        }
    }
    events
}

fn seen(receiver: &mut ReceivingHalf, max_message_size: u64, event: Event<'_>) -> Seen {
    match event {
        Event::Message { kind, payload } => {
            assert!(payload.len() as u64 <= max_message_size);
            let copy = payload.to_vec();
            if let Payload::Owned(buffer) = payload {
                receiver.recycle(buffer);
            }
            Seen::Message(kind, copy)
        }
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
        Event::Close(frame) => Seen::Close(frame.map(|f| (f.code.as_u16(), f.reason.to_string()))),
        Event::Failed(error) => Seen::Failed(error),
    }
}

/// A client's frames of one message, a Ping after each fragment but the last.
fn fragmented(kind: MessageKind, cut_picker: u8, key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut append = |fin, opcode, payload: &[u8]| {
        append_frame(fin, false, opcode, key, payload, &mut stream);
    };
    let mut opcode = kind.opcode();
    for fragment in Cut::new(cut_picker, payload) {
        append(false, opcode, fragment);
        append(true, Opcode::Ping, &key);
        opcode = Opcode::Continuation;
    }
    append(true, opcode, b"");
    stream
}

/// A client's frames of one compressed message.
fn compressed(kind: MessageKind, cut_picker: u8, payload: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let (mut rsv1, mut opcode) = (true, kind.opcode());
    for fragment in Cut::new(cut_picker, payload) {
        append_frame(false, rsv1, opcode, [1, 2, 3, 4], fragment, &mut stream);
        (rsv1, opcode) = (false, Opcode::Continuation);
    }
    append_frame(true, rsv1, opcode, [0; 4], b"", &mut stream);
    stream
}

fn append_frame(
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
    key: [u8; 4],
    payload: &[u8],
    stream: &mut Vec<u8>,
) {
    stream.extend_from_slice(&encode_header(&FrameHeader {
        fin,
        rsv1,
        mask: Some(key),
        ..FrameHeader::new(opcode, payload.len() as u64)
    }));
    let start = stream.len();
    stream.extend_from_slice(payload);
    apply_mask(&mut stream[start..], key, 0);
}

/// Pieces of a slice: all of it for the picker 0, pieces of that many bytes up to 127, pieces of
/// changing lengths from 1 to 64 above.
struct Cut<'a> {
    picker: u8,
    state: u32,
    rest: &'a [u8],
}

impl<'a> Cut<'a> {
    fn new(picker: u8, rest: &'a [u8]) -> Cut<'a> {
        Cut {
            picker,
            state: u32::from(picker),
            rest,
        }
    }
}

impl<'a> Iterator for Cut<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let len = match self.picker {
            0 => self.rest.len(),
            1..=127 => usize::from(self.picker),
            _ => {
                self.state = self
                    .state
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                1 + (self.state >> 26) as usize
            }
        };
        let (piece, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}
