//! Properties: how the input is cut makes no difference to the events.

#[allow(dead_code, reason = "not every test file uses all of it")]
mod support;

use proptest::prelude::*;
use support::{Seen, Ways, feed, feed_by, frame, receiver};
use websocket_proto::frame::Opcode;
use websocket_proto::{CloseCode, CloseFrame, ReceivingHalf, ReservedCloseCodes, Role};

/// Frames in an order that the protocol allows, and the events that they are to give.
fn valid_stream(role: Role) -> impl Strategy<Value = (Vec<u8>, Vec<Seen>)> {
    let control = (
        any::<bool>(),
        proptest::collection::vec(any::<u8>(), 0..126),
    );
    let body = prop_oneof![
        any::<String>().prop_map(Seen::Text),
        proptest::collection::vec(any::<u8>(), 0..400).prop_map(Seen::Binary),
    ];
    let fragments = proptest::collection::vec(any::<prop::sample::Index>(), 0..4);
    let message = (body, fragments, proptest::option::of(control));
    let close = proptest::option::of(proptest::option::of((1000u16..1004, "[a-zé]{0,60}")));
    (proptest::collection::vec(message, 0..6), close).prop_map(move |(messages, close)| {
        let mut stream = Vec::new();
        let mut events = Vec::new();
        for (body, cuts, control) in messages {
            let (mut opcode, payload) = match &body {
                Seen::Text(text) => (Opcode::Text, text.as_bytes()),
                Seen::Binary(bytes) => (Opcode::Binary, &bytes[..]),
                _ => unreachable!("bodies are text or binary"),
            };
            let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for to in cuts {
                stream.extend(frame(role, false, opcode, &payload[from..to]));
                (from, opcode) = (to, Opcode::Continuation);
            }
            if let Some((is_ping, payload)) = control {
                let opcode = if is_ping { Opcode::Ping } else { Opcode::Pong };
                stream.extend(frame(role, true, opcode, &payload));
                events.push(if is_ping {
                    Seen::Ping(payload)
                } else {
                    Seen::Pong(payload)
                });
            }
            stream.extend(frame(role, true, opcode, &payload[from..]));
            events.push(body);
        }
        if let Some(content) = close {
            let content = content.map(|(number, reason)| {
                let code = CloseCode::from_wire(number, ReservedCloseCodes::Refuse);
                CloseFrame::new(code.expect("registered"), &reason)
            });
            let payload = content.as_ref().map_or(Vec::new(), |content| {
                let number = content.code.as_u16().to_be_bytes();
                [&number, content.reason.as_bytes()].concat()
            });
            stream.extend(frame(role, true, Opcode::Close, &payload));
            events.push(Seen::Close(content));
        }
        (stream, events)
    })
}

/// Feeds a stream cut at these places, by these ways.
fn feed_cut(
    receiver: &mut ReceivingHalf,
    stream: &[u8],
    cuts: &[prop::sample::Index],
    ways: Ways,
) -> Vec<Seen> {
    let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .flat_map(|ends| feed_by(receiver, &stream[ends[0]..ends[1]], ways))
        .collect()
}

proptest! {
    #[test]
    fn any_split_of_a_valid_stream_gives_the_events_it_was_made_of(
        ((stream, expected), role) in prop_oneof![
            (valid_stream(Role::Server), Just(Role::Server)),
            (valid_stream(Role::Client), Just(Role::Client)),
        ],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let events = feed(&mut receiver(role, 10_000), &stream);
        prop_assert_eq!(&events, &expected);
        for ways in Ways::ALL {
            let events = feed_cut(&mut receiver(role, 10_000), &stream, &cuts, ways);
            prop_assert_eq!(&events, &expected, "{:?}", ways);
        }
        let mut by_byte = receiver(role, 10_000);
        let events: Vec<_> = stream.iter().flat_map(|&b| feed(&mut by_byte, &[b])).collect();
        prop_assert_eq!(&events, &expected);
    }

    #[test]
    fn any_split_of_a_damaged_stream_gives_the_same_events(
        (stream, _) in valid_stream(Role::Server),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let mut stream = stream;
        for (place, byte) in damage {
            if !stream.is_empty() {
                let place = place.index(stream.len());
                stream[place] = byte;
            }
        }
        let whole = feed(&mut receiver(Role::Server, 300), &stream);
        for ways in Ways::ALL {
            let cut = feed_cut(&mut receiver(Role::Server, 300), &stream, &cuts, ways);
            prop_assert_eq!(&whole, &cut, "{:?}", ways);
        }
    }
}
