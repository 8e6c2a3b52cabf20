//! The peer's frames, and events that can be kept and compared.

use websocket_proto::frame::{FrameHeader, Opcode, apply_mask, encode_header};
use websocket_proto::{
    CloseFrame, Event, MessageKind, Payload, ProtocolError, ReceivingConfig, ReceivingHalf,
    ReservedCloseCodes, Role,
};

pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub const BOTH: [Role; 2] = [Role::Server, Role::Client];

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Failed(ProtocolError),
}

pub fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

pub fn receiver(role: Role, max_message_size: u64) -> ReceivingHalf {
    ReceivingHalf::new(ReceivingConfig {
        role,
        max_message_size,
        reserved_close_codes: ReservedCloseCodes::Refuse,
    })
}

/// A frame as the peer of `role` sends it.
pub fn frame(role: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame_with(role, fin, false, opcode, payload)
}

/// A frame as the peer of `role` sends it, with RSV1 or without.
pub fn frame_with(role: Role, fin: bool, rsv1: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mask = (role == Role::Server).then_some(KEY);
    let header = FrameHeader {
        fin,
        rsv1,
        mask,
        ..FrameHeader::new(opcode, payload.len() as u64)
    };
    let mut bytes = encode_header(&header).to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut bytes[start..], key, 0);
    }
    bytes
}

/// Which of the ways that input has into a receiver are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ways {
    /// The one of all input.
    Long,
    /// Whole messages go the short way.
    Short,
    /// The same, and what is gathered is read into its message's own buffer, from so many bytes on.
    InRoom(usize),
}

impl Ways {
    pub const ALL: [Ways; 4] = [Ways::Long, Ways::Short, Ways::InRoom(1), Ways::InRoom(3)];
}

/// Hands one piece of input over; all its events. Whole messages go the short way, as in a session.
pub fn feed(receiver: &mut ReceivingHalf, piece: &[u8]) -> Vec<Seen> {
    feed_by(receiver, piece, Ways::Short)
}

/// The same, by these ways.
pub fn feed_by(receiver: &mut ReceivingHalf, piece: &[u8], ways: Ways) -> Vec<Seen> {
    let mut piece = piece.to_vec();
    let mut rest = &mut piece[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let before = rest.to_vec();
        // A lent buffer has anything in it.
        if let Ways::InRoom(least) = ways
            && let Some(room) = receiver.room(least..=50, |size| vec![b'?'; size + least])
        {
            assert!((least..=50).contains(&room.len()));
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            let event = receiver.receive_in_room(count);
            events.extend(event.map(|event| seen(receiver, event)));
            rest = &mut rest[count..];
            continue;
        }
        if ways != Ways::Long
            && let Some((kind, place)) = receiver.whole_message(rest)
        {
            let (consumed, bytes) = (place.end, rest[place].to_vec());
            events.push(message(kind, bytes));
            rest = &mut rest[consumed..];
            continue;
        }
        assert_eq!(
            rest, before,
            "the short way changes nothing but whole messages"
        );
        let (consumed, event) = receiver.receive(rest);
        assert!(consumed > 0, "no progress");
        events.extend(event.map(|event| seen(receiver, event)));
        rest = &mut rest[consumed..];
    }
    events
}

fn seen(receiver: &mut ReceivingHalf, event: Event<'_>) -> Seen {
    match event {
        Event::Message { kind, payload } => {
            let bytes = payload.to_vec();
            if let Payload::Owned(buffer) = payload {
                receiver.recycle(buffer);
            }
            message(kind, bytes)
        }
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
        Event::Close(frame) => Seen::Close(frame),
        Event::Failed(error) => Seen::Failed(error),
    }
}

fn message(kind: MessageKind, bytes: Vec<u8>) -> Seen {
    match kind {
        MessageKind::Text => Seen::Text(String::from_utf8(bytes).expect("UTF-8")),
        MessageKind::Binary => Seen::Binary(bytes),
    }
}

/// Asserts the events of a stream in one piece and cut into pieces of each small size.
#[track_caller]
pub fn assert_events(role: Role, max_message_size: u64, stream: &[u8], expected: &[Seen]) {
    let new = || receiver(role, max_message_size);
    assert_events_of(new, stream, expected);
}

/// The same, of any receiver.
#[track_caller]
pub fn assert_events_of(new: impl Fn() -> ReceivingHalf, stream: &[u8], expected: &[Seen]) {
    let sizes = (1..=stream.len().min(20)).chain([stream.len().max(1)]);
    for (size, ways) in sizes.flat_map(|size| Ways::ALL.map(|ways| (size, ways))) {
        let mut receiver = new();
        let events: Vec<Seen> = stream
            .chunks(size)
            .flat_map(|piece| feed_by(&mut receiver, piece, ways))
            .collect();
        assert_eq!(events, expected, "pieces of {size}, by {ways:?}");
    }
}
