//! Both halves of an endpoint as their callers see them: role × direction × opcode × state.

mod support;

use support::{BOTH, KEY, Seen, assert_events, feed, frame, receiver, text};
use websocket_proto::frame::{FrameHeader, Opcode, encode_header};
use websocket_proto::message::MessageAssembler;
use websocket_proto::{
    CloseCode, CloseFrame, Event, MessageKind, Payload, ProtocolError, ReceivingConfig,
    ReceivingHalf, ReservedCloseCodes, Role, SendingHalf,
};

#[test]
fn a_server_and_a_client_receive_the_examples_of_section_5_7() {
    assert_events(Role::Client, 1 << 20, b"\x81\x05Hello", &[text("Hello")]);
    assert_events(
        Role::Server,
        1 << 20,
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        &[text("Hello")],
    );
    assert_events(
        Role::Client,
        1 << 20,
        b"\x01\x03Hel\x80\x02lo",
        &[text("Hello")],
    );
    let ping = Seen::Ping(b"Hello".to_vec());
    assert_events(Role::Client, 1 << 20, b"\x89\x05Hello", &[ping]);
    let pong = Seen::Pong(b"Hello".to_vec());
    assert_events(
        Role::Server,
        1 << 20,
        b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        &[pong],
    );
    let bytes: Vec<u8> = (0..=255).collect();
    let stream = [b"\x82\x7e\x01\x00", &bytes[..]].concat();
    assert_events(Role::Client, 1 << 20, &stream, &[Seen::Binary(bytes)]);
    let bytes = vec![7; 65536];
    let stream = [b"\x82\x7f\0\0\0\0\0\x01\0\0", &bytes[..]].concat();
    assert_events(Role::Client, 1 << 20, &stream, &[Seen::Binary(bytes)]);
}

#[test]
fn messages_of_every_length_class_arrive_in_either_role() {
    for role in BOTH {
        for len in [0, 1, 125, 126, 127, 128, 1000, 65535, 65536, 65537] {
            let payload = vec![b'x'; len];
            for opcode in [Opcode::Text, Opcode::Binary] {
                let event = match opcode {
                    Opcode::Text => Seen::Text("x".repeat(len)),
                    _ => Seen::Binary(payload.clone()),
                };
                let stream = frame(role, true, opcode, &payload);
                assert_events(role, len as u64, &stream, &[event]);
            }
        }
    }
}

#[test]
fn control_frames_between_fragments_come_before_the_message() {
    for role in BOTH {
        let stream = [
            frame(role, false, Opcode::Text, b"Hel"),
            frame(role, true, Opcode::Ping, b"1"),
            frame(role, false, Opcode::Continuation, b""),
            frame(role, true, Opcode::Pong, b"2"),
            frame(role, true, Opcode::Continuation, b"lo"),
            frame(role, true, Opcode::Text, b"!"),
        ]
        .concat();
        let expected = [
            Seen::Ping(b"1".to_vec()),
            Seen::Pong(b"2".to_vec()),
            text("Hello"),
            text("!"),
        ];
        assert_events(role, 100, &stream, &expected);
    }
}

#[test]
fn a_close_inside_a_fragmented_message_ends_the_input() {
    for role in BOTH {
        let stream = [
            frame(role, false, Opcode::Text, b"Hel"),
            frame(role, true, Opcode::Close, b"\x03\xe9bye"),
            frame(role, true, Opcode::Continuation, b"lo"),
        ]
        .concat();
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
        assert_events(role, 100, &stream, &[Seen::Close(Some(close))]);
    }
}

#[test]
fn whatever_follows_a_close_or_a_failure_is_discarded() {
    for role in BOTH {
        let follow_up = [frame(role, true, Opcode::Text, b"more"), vec![0xff; 50]].concat();
        let close = frame(role, true, Opcode::Close, b"");
        let stream = [close, follow_up.clone()].concat();
        assert_events(role, 100, &stream, &[Seen::Close(None)]);
        let stream = [vec![0x83], follow_up].concat();
        let failed = Seen::Failed(ProtocolError::UnknownOpcode(3));
        assert_events(role, 100, &stream, &[failed]);
    }
}

#[test]
fn each_opcode_out_of_its_state_fails_in_either_role() {
    use ProtocolError::{ExpectedContinuation, UnexpectedContinuation};
    for role in BOTH {
        for fin in [true, false] {
            let first = frame(role, false, Opcode::Text, b"");
            for (opcode, mid_message, error) in [
                (Opcode::Continuation, false, UnexpectedContinuation),
                (Opcode::Text, true, ExpectedContinuation),
                (Opcode::Binary, true, ExpectedContinuation),
            ] {
                let mut stream = if mid_message {
                    first.clone()
                } else {
                    Vec::new()
                };
                stream.extend_from_slice(&frame(role, fin, opcode, b"x"));
                assert_events(role, 100, &stream, &[Seen::Failed(error)]);
            }
        }
    }
}

#[test]
fn a_continuation_after_the_last_fragment_fails() {
    let role = Role::Server;
    let stream = [
        frame(role, false, Opcode::Text, b"a"),
        frame(role, true, Opcode::Continuation, b"b"),
        frame(role, true, Opcode::Continuation, b"c"),
    ]
    .concat();
    let failed = Seen::Failed(ProtocolError::UnexpectedContinuation);
    assert_events(role, 100, &stream, &[text("ab"), failed]);
}

#[test]
fn faults_of_a_frame_header_fail_with_the_byte_that_shows_them() {
    use ProtocolError as E;
    let cases: [(&[u8], E); 13] = [
        (b"\xc1", E::ReservedBits),
        (b"\xa2", E::ReservedBits),
        (b"\x99", E::ReservedBits),
        (b"\x83", E::UnknownOpcode(3)),
        (b"\x8b", E::UnknownOpcode(11)),
        (b"\x09", E::FragmentedControl),
        (b"\x80", E::UnexpectedContinuation),
        (b"\x81\x05", E::Unmasked),
        (b"\x88\xfe", E::ControlTooLong),
        (b"\x88\x81", E::TruncatedClose),
        (b"\x82\xfe\x00\x7d", E::NonMinimalLength),
        (b"\x82\xff\x80\0\0\0\0\0\0\0", E::LengthOverflow),
        (
            b"\x82\xfe\x03\xe9",
            E::MessageTooBig(std::num::NonZeroU64::new(1001)),
        ),
    ];
    for (stream, error) in cases {
        let mut receiver = receiver(Role::Server, 1000);
        let (last, before) = stream.split_last().unwrap();
        assert_eq!(feed(&mut receiver, before), [], "{stream:x?}");
        assert_eq!(
            feed(&mut receiver, &[*last]),
            [Seen::Failed(error)],
            "{stream:x?}"
        );
        assert_eq!(
            feed(&mut receiver, b"\x88\x80\0\0\0\0"),
            [],
            "it was the last"
        );
        assert_events(Role::Server, 1000, stream, &[Seen::Failed(error)]);
    }
}

#[test]
fn a_masked_frame_fails_a_client() {
    let stream = frame(Role::Server, true, Opcode::Text, b"x");
    assert_events(
        Role::Client,
        100,
        &stream,
        &[Seen::Failed(ProtocolError::Masked)],
    );
}

#[test]
fn a_limit_counts_all_fragments_and_each_control_frame() {
    let role = Role::Server;
    let too_big = Seen::Failed(ProtocolError::MessageTooBig(std::num::NonZeroU64::new(5)));
    let fits = [
        frame(role, true, Opcode::Text, b"1234"),
        frame(role, true, Opcode::Ping, b"1234"),
        frame(role, false, Opcode::Text, b"12"),
        frame(role, true, Opcode::Pong, b"1234"),
        frame(role, true, Opcode::Continuation, b"34"),
        frame(role, true, Opcode::Close, b"\x03\xe8ab"),
    ]
    .concat();
    let close = CloseFrame::new(CloseCode::NORMAL_CLOSURE, "ab");
    assert_events(
        role,
        4,
        &fits,
        &[
            text("1234"),
            Seen::Ping(b"1234".to_vec()),
            Seen::Pong(b"1234".to_vec()),
            text("1234"),
            Seen::Close(Some(close)),
        ],
    );
    for stream in [
        frame(role, true, Opcode::Text, b"12345"),
        frame(role, true, Opcode::Close, b"\x03\xe8abc"),
        [
            frame(role, false, Opcode::Text, b"123"),
            frame(role, true, Opcode::Continuation, b"45"),
        ]
        .concat(),
    ] {
        assert_events(role, 4, &stream, std::slice::from_ref(&too_big));
    }
}

#[test]
fn a_continuation_of_63_bits_after_one_byte_is_too_big_before_its_key_arrives() {
    let role = Role::Server;
    for limit in [32 << 20, i64::MAX as u64] {
        let mut receiver = receiver(role, limit);
        assert_eq!(
            feed(&mut receiver, &frame(role, false, Opcode::Text, b"x")),
            []
        );
        let header = b"\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff";
        let events = feed(&mut receiver, header);
        let announced = std::num::NonZeroU64::new(1 << 63);
        assert_eq!(
            events,
            [Seen::Failed(ProtocolError::MessageTooBig(announced))]
        );
    }
}

#[test]
fn a_frame_of_62_bits_is_taken_piece_by_piece_when_the_limit_allows_it() {
    let mut receiver = receiver(Role::Client, u64::MAX);
    let header = encode_header(&FrameHeader::new(Opcode::Text, 1 << 62));
    assert_eq!(feed(&mut receiver, &header), []);
    for _ in 0..100 {
        assert_eq!(feed(&mut receiver, &[b'x'; 8000]), []);
    }
    assert!(receiver.is_mid_message());
    let events = feed(&mut receiver, b"\xff");
    assert_eq!(events, [Seen::Failed(ProtocolError::InvalidUtf8)]);
}

#[test]
fn text_that_cannot_become_utf8_fails_at_its_first_wrong_byte() {
    let role = Role::Client;
    let valid = "κόσμε".as_bytes();
    for (wrong, fault) in [
        (&b"\xf4\x90\x80\x80"[..], 1),
        (b"\xed\xa0\x80", 1),
        (b"\xf0\x80\x80\x80", 1),
        (b"\xc0\x80", 0),
        (b"\xf5\x80\x80\x80", 0),
        (b"\xe2\x28", 1),
    ] {
        let payload = [valid, wrong, b"edited"].concat();
        for first_len in 0..=payload.len() {
            let (first, last) = payload.split_at(first_len);
            let stream = [
                frame(role, false, Opcode::Text, first),
                frame(role, true, Opcode::Continuation, last),
            ]
            .concat();
            // The wrong byte's place in the stream: past one frame header or two.
            let at = valid.len() + fault;
            let at = if at < first_len { at + 2 } else { at + 4 };
            let mut receiver = receiver(role, 100);
            assert_eq!(feed(&mut receiver, &stream[..at]), [], "{wrong:x?}");
            let events = feed(&mut receiver, &stream[at..=at]);
            let failed = Seen::Failed(ProtocolError::InvalidUtf8);
            assert_eq!(events, [failed], "{wrong:x?} cut at {first_len}");
        }
    }
}

#[test]
fn text_that_ends_inside_a_character_fails_in_one_frame_and_in_many() {
    let failed = [Seen::Failed(ProtocolError::InvalidUtf8)];
    for role in BOTH {
        assert_events(
            role,
            100,
            &frame(role, true, Opcode::Text, b"a\xce"),
            &failed,
        );
        let stream = [
            frame(role, false, Opcode::Text, b"a\xce"),
            frame(role, true, Opcode::Continuation, b""),
        ]
        .concat();
        assert_events(role, 100, &stream, &failed);
    }
}

#[test]
fn close_frames_with_bad_content_fail() {
    use ProtocolError as E;
    for role in BOTH {
        for (payload, error) in [
            (&b"\x03"[..], E::TruncatedClose),
            (b"\x00\x00", E::BadCloseCode(0)),
            (b"\x03\xe7", E::BadCloseCode(999)),
            (b"\x03\xec", E::BadCloseCode(1004)),
            (b"\x03\xed", E::BadCloseCode(1005)),
            (b"\x03\xf7", E::BadCloseCode(1015)),
            (b"\x03\xf8", E::BadCloseCode(1016)),
            (b"\x0b\xb7", E::BadCloseCode(2999)),
            (b"\x13\x88", E::BadCloseCode(5000)),
            (b"\x03\xe8\xff", E::InvalidUtf8),
        ] {
            let stream = frame(role, true, Opcode::Close, payload);
            assert_events(role, 1000, &stream, &[Seen::Failed(error)]);
        }
    }
}

#[test]
fn unregistered_close_codes_are_accepted_when_allowed() {
    let mut receiver = ReceivingHalf::new(ReceivingConfig {
        role: Role::Client,
        max_message_size: 1000,
        reserved_close_codes: ReservedCloseCodes::Allow,
    });
    let stream = frame(Role::Client, true, Opcode::Close, b"\x07\xd0");
    let [Seen::Close(Some(frame))] = &feed(&mut receiver, &stream)[..] else {
        panic!("no close");
    };
    assert_eq!(frame.code.as_u16(), 2000);
}

#[test]
fn a_whole_frame_is_borrowed_from_its_place_in_the_input() {
    let mut receiver = receiver(Role::Server, 100);
    let mut input = [
        frame(Role::Server, true, Opcode::Text, b"Hello"),
        frame(Role::Server, true, Opcode::Binary, b"next"),
    ]
    .concat();
    let payload_at = input[6..].as_ptr();
    let (consumed, event) = receiver.receive(&mut input);
    assert_eq!(consumed, 11);
    let Some(Event::Message { payload, .. }) = event else {
        panic!("no message");
    };
    let Payload::Borrowed(bytes) = payload else {
        panic!("a copy");
    };
    assert_eq!(bytes, b"Hello");
    assert_eq!(bytes.as_ptr(), payload_at);
}

#[test]
fn the_receiver_can_be_used_while_an_event_lives() {
    let mut receiver = receiver(Role::Client, 100);
    let mut first = *b"\x81\x01a";
    let mut second = *b"\x81\x01b";
    let (_, first) = receiver.receive(&mut first);
    let (_, second) = receiver.receive(&mut second);
    assert!(!receiver.is_mid_message());
    assert_ne!(first, second);
}

#[test]
fn a_recycled_buffer_serves_the_next_message() {
    let mut receiver = receiver(Role::Client, u64::MAX);
    let stream = frame(Role::Client, true, Opcode::Binary, &[7; 4000]);
    let mut place = None;
    for _ in 0..3 {
        let (mut head, mut tail) = (stream[..2000].to_vec(), stream[2000..].to_vec());
        assert_eq!(receiver.receive(&mut head), (2000, None));
        let (_, Some(Event::Message { payload, .. })) = receiver.receive(&mut tail) else {
            panic!("no message");
        };
        let Payload::Owned(buffer) = payload else {
            panic!("borrowed");
        };
        assert!(buffer.capacity() <= MessageAssembler::MAX_RECYCLED);
        assert_eq!(*place.get_or_insert(buffer.as_ptr()), buffer.as_ptr());
        receiver.recycle(buffer);
    }
}

#[test]
fn a_message_in_many_fragments_is_consumed_a_few_at_a_time() {
    let mut receiver = receiver(Role::Client, 1 << 20);
    let fragment = [0x00, 1, b'x'];
    let mut input = [[0x01, 1, b'x']]
        .into_iter()
        .chain([fragment; 99])
        .flatten()
        .collect::<Vec<_>>();
    let many = 3 * ReceivingHalf::MOST_FRAMES;
    assert_eq!(receiver.receive(&mut input), (many, None));
    assert_eq!(receiver.receive(&mut input[many..]), (300 - many, None));
    let mut last = [0x80, 1, b'x'];
    let (3, Some(Event::Message { payload, .. })) = receiver.receive(&mut last) else {
        panic!("no message");
    };
    assert_eq!(payload.len(), 101);
}

#[test]
fn a_message_is_under_way_from_its_first_header_to_its_last_byte() {
    let mut receiver = receiver(Role::Client, 100);
    let mut states = Vec::new();
    for byte in b"\x01\x01a\x89\x00\x80\x01b\x82\x01c" {
        feed(&mut receiver, &[*byte]);
        states.push(receiver.is_mid_message());
    }
    let t = true;
    let f = false;
    assert_eq!(states, [f, t, t, t, t, t, t, f, f, t, f]);
}

#[test]
fn what_either_role_sends_its_peer_receives() {
    for (role, peer) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        let mut sender = SendingHalf::new(role).with_mask_key(KEY);
        let mut out = Vec::new();
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
        sender
            .send_message(MessageKind::Text, "κόσμε".as_bytes(), &mut out)
            .unwrap();
        sender
            .send_message(MessageKind::Binary, &[0xff; 300], &mut out)
            .unwrap();
        sender.send_ping(b"1", &mut out).unwrap();
        sender.send_pong(b"2", &mut out).unwrap();
        sender.send_close(Some(&close), &mut out).unwrap();
        let expected = [
            text("κόσμε"),
            Seen::Binary(vec![0xff; 300]),
            Seen::Ping(b"1".to_vec()),
            Seen::Pong(b"2".to_vec()),
            Seen::Close(Some(close)),
        ];
        assert_events(peer, 1000, &out, &expected);
    }
}
