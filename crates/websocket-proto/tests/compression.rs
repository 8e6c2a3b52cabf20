//! permessage-deflate through both halves of an endpoint: the examples of RFC 7692, and the rules
//! of RSV1, limits, faults and thresholds.

#[allow(dead_code, reason = "not every test file uses all of it")]
mod support;

use std::sync::Arc;

use flate2::{Compress, FlushCompress};
use support::{BOTH, Seen, assert_events_of, feed, frame, frame_with, receiver, text};
use websocket_proto::extension::permessage_deflate::{
    Agreed, CodecPool, CompressionLevel, PermessageDeflateConfig, WindowBits, negotiate,
};
use websocket_proto::frame::Opcode;
use websocket_proto::{
    Compression, LocalError, MessageKind, Payload, ProtocolError, ReceivingHalf, Role, SendingHalf,
};

const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// Everything is compressed.
fn config(context_takeover: bool) -> PermessageDeflateConfig {
    PermessageDeflateConfig {
        min_size: 1,
        context_takeover,
        ..PermessageDeflateConfig::default()
    }
}

fn agree(config: &PermessageDeflateConfig) -> Agreed {
    negotiate([OFFER].into_iter(), config).expect("an acceptable offer")
}

fn pool() -> Arc<CodecPool> {
    Arc::new(CodecPool::new(2))
}

fn inflating(role: Role, max_message_size: u64, context_takeover: bool) -> ReceivingHalf {
    let agreed = agree(&config(context_takeover));
    receiver(role, max_message_size).with_permessage_deflate(&agreed, &pool())
}

fn deflating(config: &PermessageDeflateConfig) -> SendingHalf {
    SendingHalf::new(Role::Server).with_permessage_deflate(&agree(config), &pool())
}

fn send(sender: &mut SendingHalf, kind: MessageKind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sender.send_message(kind, payload, &mut out).unwrap();
    out
}

/// Asserts what a client's stream is to a server, and a server's to a client.
#[track_caller]
fn assert_inflated(frames: &[(bool, bool, Opcode, &[u8])], limit: u64, expected: &[Seen]) {
    for role in BOTH {
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|&(fin, rsv1, opcode, payload)| frame_with(role, fin, rsv1, opcode, payload))
            .collect();
        for context_takeover in [true, false] {
            let new = || inflating(role, limit, context_takeover);
            assert_events_of(new, &stream, expected);
        }
    }
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

/// A whole raw DEFLATE stream, as a sender without sync flushes makes it.
fn finished(payload: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(flate2::Compression::new(9), false);
    let mut out = Vec::with_capacity(payload.len() / 900 + 1000);
    let status = compress.compress_vec(payload, &mut out, FlushCompress::Finish);
    assert_eq!(status.unwrap(), flate2::Status::StreamEnd);
    out
}

#[test]
fn section_7_2_3_1_one_block_in_one_frame_and_in_two() {
    let whole = [(true, true, Opcode::Text, HELLO)];
    assert_inflated(&whole, 100, &[text("Hello")]);
    let fragmented = [
        (false, true, Opcode::Text, &HELLO[..3]),
        (true, false, Opcode::Continuation, &HELLO[3..]),
    ];
    assert_inflated(&fragmented, 100, &[text("Hello")]);
    for context_takeover in [true, false] {
        let mut sender = deflating(&config(context_takeover));
        let mut out = Vec::new();
        let result = sender.send_message(MessageKind::Text, b"Hello", &mut out);
        assert_eq!(result, Ok(()));
        // Seven bytes are not smaller than five, so without takeover it goes as it is.
        let expected: &[u8] = match context_takeover {
            true => b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
            false => b"\x81\x05Hello",
        };
        assert_eq!(out, expected);
    }
}

#[test]
fn section_7_2_3_2_the_second_message_refers_to_the_first_one() {
    let mut sender = deflating(&config(true));
    let first = send(&mut sender, MessageKind::Text, b"Hello");
    let second = send(&mut sender, MessageKind::Text, b"Hello");
    assert_eq!(first, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(second, b"\xc1\x05\xf2\x00\x11\x00\x00");

    let stream = [first, second].concat();
    let new = || inflating(Role::Client, 100, true);
    assert_events_of(new, &stream, &[text("Hello"), text("Hello")]);
    let new = || inflating(Role::Client, 100, false);
    let failed = Seen::Failed(ProtocolError::InvalidDeflate);
    assert_events_of(new, &stream, &[text("Hello"), failed]);
}

#[test]
fn section_7_2_3_3_a_block_without_compression() {
    let payload = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    let frames = [(true, true, Opcode::Text, &payload[..])];
    assert_inflated(&frames, 100, &[text("Hello")]);
}

#[test]
fn section_7_2_3_4_a_final_block_ends_no_connection() {
    let payload = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    let frames = [
        (true, true, Opcode::Text, &payload[..]),
        (true, true, Opcode::Text, HELLO),
        // Without the octet that stands for the block left out.
        (true, true, Opcode::Text, &payload[..7]),
        (true, true, Opcode::Text, HELLO),
    ];
    assert_inflated(&frames, 100, &[(); 4].map(|()| text("Hello")));
}

#[test]
fn final_blocks_inside_a_message_are_followed_by_a_new_stream() {
    let twice = [finished(b"Hello, "), finished(b"world"), vec![0]].concat();
    let (first, last) = twice.split_at(4);
    let frames = [
        (false, true, Opcode::Binary, first),
        (true, false, Opcode::Continuation, last),
    ];
    assert_inflated(&frames, 12, &[Seen::Binary(b"Hello, world".to_vec())]);
}

#[test]
fn section_7_2_3_5_two_blocks_in_one_message() {
    let payload = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    let frames = [(true, true, Opcode::Text, &payload[..])];
    assert_inflated(&frames, 100, &[text("Hello")]);
}

#[test]
fn section_7_2_3_6_an_empty_fragment_ends_a_message_and_is_one() {
    let flushed = [HELLO, &[0, 0, 0xff, 0xff]].concat();
    let frames = [
        (false, true, Opcode::Text, &flushed[..]),
        (true, false, Opcode::Continuation, b"\x00"),
        (true, true, Opcode::Text, b"\x00"),
        (false, true, Opcode::Text, b""),
        (true, false, Opcode::Continuation, b"\x00"),
        // No bytes at all, as from a compressor that has nothing to flush.
        (true, true, Opcode::Binary, b""),
        (true, true, Opcode::Text, HELLO),
    ];
    let expected = [
        text("Hello"),
        text(""),
        text(""),
        Seen::Binary(Vec::new()),
        text("Hello"),
    ];
    assert_inflated(&frames, 100, &expected);
}

#[test]
fn compressed_and_plain_messages_mix_with_control_frames_between() {
    let frames = [
        (true, false, Opcode::Text, &b"plain"[..]),
        (false, true, Opcode::Text, &HELLO[..3]),
        (true, false, Opcode::Ping, b"1"),
        (false, false, Opcode::Continuation, b""),
        (true, false, Opcode::Continuation, &HELLO[3..]),
        (false, false, Opcode::Binary, HELLO),
        (true, false, Opcode::Continuation, HELLO),
        (true, true, Opcode::Text, HELLO),
    ];
    let expected = [
        text("plain"),
        Seen::Ping(b"1".to_vec()),
        text("Hello"),
        Seen::Binary([HELLO, HELLO].concat()),
        text("Hello"),
    ];
    assert_inflated(&frames, 100, &expected);
}

#[test]
fn rsv1_anywhere_but_on_the_first_frame_of_an_agreed_message_fails() {
    let failed = || Seen::Failed(ProtocolError::ReservedBits);
    let close = |fin, opcode| (fin, true, opcode, &b"\x03\xe8"[..]);
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        assert_inflated(&[close(true, opcode)], 100, &[failed()]);
        let inside = [(false, true, Opcode::Text, HELLO), close(true, opcode)];
        assert_inflated(&inside, 100, &[failed()]);
    }
    for fin in [true, false] {
        for rsv1 in [true, false] {
            let first = (false, rsv1, Opcode::Text, &b""[..]);
            let frames = [first, (fin, true, Opcode::Continuation, HELLO)];
            assert_inflated(&frames, 100, &[failed()]);
        }
        let frames = [(fin, true, Opcode::Continuation, HELLO)];
        assert_inflated(&frames, 100, &[failed()]);
        for opcode in [Opcode::Text, Opcode::Binary] {
            let expected = Seen::Failed(ProtocolError::ExpectedContinuation);
            let frames = [
                (false, true, Opcode::Text, HELLO),
                (fin, true, opcode, HELLO),
            ];
            assert_inflated(&frames, 100, &[expected]);
            // Not agreed on.
            for role in BOTH {
                let stream = frame_with(role, fin, true, opcode, HELLO);
                assert_events_of(|| receiver(role, 100), &stream, &[failed()]);
            }
        }
    }
}

#[test]
fn rsv2_and_rsv3_fail_whatever_is_agreed_on() {
    for first in [0xa1, 0x91, 0xe1, 0xd1, 0xa2, 0xf2, 0xa9, 0x99] {
        let failed = [Seen::Failed(ProtocolError::ReservedBits)];
        assert_events_of(|| inflating(Role::Client, 100, true), &[first], &failed);
    }
}

#[test]
fn the_limit_is_on_what_a_message_inflates_to() {
    let payload = vec![7; 100_000];
    let compressed = finished(&payload);
    let too_big = || Seen::Failed(ProtocolError::MessageTooBig(None));
    let (first, last) = compressed.split_at(compressed.len() / 2);
    let whole = [(true, true, Opcode::Binary, &compressed[..])];
    let fragmented = [
        (false, true, Opcode::Binary, first),
        (true, false, Opcode::Continuation, last),
    ];
    for frames in [&whole[..], &fragmented[..]] {
        assert_inflated(frames, 100_000, &[Seen::Binary(payload.clone())]);
        for limit in [99_999, 50_000, 4096, 511, 1, 0] {
            assert_inflated(frames, limit, &[too_big()]);
        }
    }
}

#[test]
fn a_compressed_form_above_the_limit_is_read_for_what_it_inflates_to() {
    // Empty blocks before the text: the form is longer than the limit, the message is not.
    let payload = [&[0, 0, 0, 0xff, 0xff].repeat(50), HELLO].concat();
    let (first, last) = payload.split_at(100);
    let frames = [
        (false, true, Opcode::Text, first),
        (true, false, Opcode::Continuation, last),
        (true, true, Opcode::Text, &payload[..]),
    ];
    assert_inflated(&frames, 5, &[text("Hello"), text("Hello")]);
}

#[test]
fn uncompressed_messages_and_control_frames_stay_limited_around_compressed_ones() {
    let too_big = || Seen::Failed(ProtocolError::MessageTooBig(std::num::NonZeroU64::new(6)));
    let hello = (true, true, Opcode::Text, HELLO);
    let first = (false, true, Opcode::Text, HELLO);
    let long = (true, false, Opcode::Text, &b"123456"[..]);
    let short = (true, false, Opcode::Text, &b"12345"[..]);
    let ping = (true, false, Opcode::Ping, &b"123456"[..]);
    assert_inflated(&[long], 5, &[too_big()]);
    assert_inflated(&[hello, long], 5, &[text("Hello"), too_big()]);
    let expected = [text("Hello"), text("12345"), too_big()];
    assert_inflated(&[hello, short, long], 5, &expected);
    assert_inflated(&[hello, ping], 5, &[text("Hello"), too_big()]);
    assert_inflated(&[first, ping], 5, &[too_big()]);
    let frames = [
        hello,
        (false, false, Opcode::Binary, b"123"),
        (true, false, Opcode::Continuation, b"456"),
    ];
    assert_inflated(&frames, 5, &[text("Hello"), too_big()]);
}

#[test]
fn data_that_is_not_deflate_fails() {
    let failed = || Seen::Failed(ProtocolError::InvalidDeflate);
    for payload in [
        // A block type that does not exist.
        &b"\x07"[..],
        // A stored block whose lengths contradict each other.
        b"\x00\x05\x00\x05\x00Hello",
        // A distance beyond the beginning.
        b"\xf2\x00\x11\x00\x00",
        // Code lengths that make no code.
        b"\xfd\xff\xff\xff",
    ] {
        assert_inflated(&[(true, true, Opcode::Binary, payload)], 100, &[failed()]);
    }
}

#[test]
fn inflated_text_is_checked_as_it_comes() {
    let failed = || Seen::Failed(ProtocolError::InvalidUtf8);
    let cut = finished(b"a\xce");
    assert_inflated(&[(true, true, Opcode::Text, &cut)], 100, &[failed()]);
    let wrong = [&b"\xff"[..], &[b'x'; 5000]].concat();
    let wrong = finished(&wrong);
    let frames = [(false, true, Opcode::Text, &wrong[..])];
    assert_inflated(&frames, 10_000, &[failed()]);
    // The wrong byte comes before the limit is passed, and after.
    assert_inflated(&frames, 100, &[failed()]);
    let frames = [(true, true, Opcode::Binary, &wrong[..])];
    let too_big = Seen::Failed(ProtocolError::MessageTooBig(None));
    assert_inflated(&frames, 100, &[too_big]);
    // A character may be cut between fragments.
    let (first, last) = HELLO.split_at(2);
    let valid = "κόσμε".as_bytes();
    let stored = |part: &[u8]| {
        let len = part.len() as u16;
        [&[0], &len.to_le_bytes()[..], &(!len).to_le_bytes(), part].concat()
    };
    let (one, two) = (stored(&valid[..3]), [stored(&valid[3..]), vec![0]].concat());
    let frames = [
        (false, true, Opcode::Text, &one[..]),
        (true, false, Opcode::Continuation, &two),
        (false, true, Opcode::Text, first),
        (true, false, Opcode::Continuation, last),
    ];
    assert_inflated(&frames, 100, &[text("κόσμε"), text("Hello")]);
}

#[test]
fn an_inflated_message_is_owned_and_its_buffer_comes_back() {
    let mut receiver = inflating(Role::Client, 100, false);
    let mut place = None;
    for _ in 0..3 {
        let mut input = frame_with(Role::Client, true, true, Opcode::Text, HELLO);
        let (consumed, event) = receiver.receive(&mut input);
        assert_eq!(consumed, 9);
        let Some(websocket_proto::Event::Message { payload, .. }) = event else {
            panic!("no message");
        };
        let Payload::Owned(buffer) = payload else {
            panic!("borrowed");
        };
        assert_eq!(buffer, b"Hello");
        assert_eq!(*place.get_or_insert(buffer.as_ptr()), buffer.as_ptr());
        receiver.recycle(buffer);
    }
}

#[test]
fn short_messages_and_skipped_ones_go_uncompressed() {
    let config = PermessageDeflateConfig {
        min_size: 100,
        ..config(true)
    };
    let mut sender = deflating(&config);
    let message = [b'x'; 100];
    let plain = |len: u8| [&[0x82, len], &message[..usize::from(len)]].concat();
    for len in [0, 1, 99] {
        let payload = &message[..usize::from(len)];
        assert_eq!(send(&mut sender, MessageKind::Binary, payload), plain(len));
    }
    let mut out = Vec::new();
    sender
        .send_message_with(MessageKind::Binary, &message, Compression::Skip, &mut out)
        .unwrap();
    assert_eq!(out, plain(100));
    let compressed = send(&mut sender, MessageKind::Binary, &message);
    assert_eq!(compressed[0], 0xc2);
    assert!(compressed.len() < 20);
}

#[test]
fn an_empty_message_is_never_compressed() {
    let mut sender = deflating(&config(true));
    assert_eq!(send(&mut sender, MessageKind::Text, b""), b"\x81\x00");
    assert_eq!(send(&mut sender, MessageKind::Binary, b""), b"\x82\x00");
}

#[test]
fn a_minimum_of_zero_compresses_what_becomes_longer_too() {
    for context_takeover in [true, false] {
        let config = PermessageDeflateConfig {
            min_size: 0,
            ..config(context_takeover)
        };
        let sent = send(&mut deflating(&config), MessageKind::Text, b"Hello");
        assert_eq!(sent, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
    }
}

#[test]
fn what_does_not_compress_goes_plain_without_takeover_and_grows_little_with_it() {
    for len in [1, 5, 100, 125, 126, 10_000, 65_535, 65_536, 300_000] {
        let payload = noise(len);
        let plain = send(
            &mut SendingHalf::new(Role::Server),
            MessageKind::Binary,
            &payload,
        );
        let mut sender = deflating(&config(false));
        assert_eq!(send(&mut sender, MessageKind::Binary, &payload), plain);

        let mut sender = deflating(&config(true));
        let compressed = send(&mut sender, MessageKind::Binary, &payload);
        assert_eq!(compressed[0], 0xc2);
        assert!(compressed.len() <= plain.len() + 16 + len / 1000, "{len}");
        let new = || inflating(Role::Client, len as u64, true);
        let mut receiver = new();
        assert_eq!(feed(&mut receiver, &compressed), [Seen::Binary(payload)]);
    }
}

#[test]
fn nothing_is_appended_for_what_may_not_be_sent() {
    let mut sender = deflating(&config(true));
    let mut out = Vec::new();
    let result = sender.send_message(MessageKind::Text, b"aaaa\xff", &mut out);
    assert_eq!(result, Err(LocalError::InvalidUtf8));
    sender.send_close(None, &mut out).unwrap();
    let result = sender.send_message(MessageKind::Text, b"aaaa", &mut out);
    assert_eq!(result, Err(LocalError::CloseSent));
    assert_eq!(out, b"\x88\x00");
}

#[test]
fn a_message_is_appended_behind_what_waits() {
    let mut sender = deflating(&config(true));
    let mut out = Vec::new();
    sender.send_ping(b"1", &mut out).unwrap();
    for _ in 0..2 {
        sender
            .send_message(MessageKind::Text, &[b'x'; 70_000], &mut out)
            .unwrap();
    }
    let message = text(&"x".repeat(70_000));
    let mut receiver = inflating(Role::Client, 70_000, true);
    assert_eq!(
        feed(&mut receiver, &out),
        [Seen::Ping(b"1".to_vec()), message.clone(), message]
    );
}

#[test]
fn every_level_and_window_in_either_role_arrives() {
    let words = ["alpha ", "beta ", "gamma ", "delta\n"];
    let message: String = (noise(6000).iter())
        .map(|byte| words[usize::from(byte % 4)])
        .collect();
    for level in (1..=9).filter_map(CompressionLevel::new) {
        for max_window_bits in (9..=15).filter_map(WindowBits::new) {
            let config = PermessageDeflateConfig {
                level,
                max_window_bits,
                ..config(level.get() % 2 == 0)
            };
            let agreed = agree(&config);
            for (role, peer) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
                let pool = pool();
                let mut sender = SendingHalf::new(role)
                    .with_mask_key(support::KEY)
                    .with_permessage_deflate(&agreed, &pool);
                let mut receiver = receiver(peer, 1 << 20).with_permessage_deflate(&agreed, &pool);
                for part in [&message[..], &message[..999], &message[500..]] {
                    let stream = send(&mut sender, MessageKind::Text, part.as_bytes());
                    assert_eq!(stream[0], 0xc1);
                    assert_eq!(feed(&mut receiver, &stream), [text(part)]);
                }
            }
        }
    }
}

#[test]
fn a_sender_refers_back_as_far_as_its_window_and_no_farther() {
    for bits in 9..=15 {
        let config = PermessageDeflateConfig {
            max_window_bits: WindowBits::new(bits).unwrap(),
            ..config(true)
        };
        // What cannot be compressed but for its repeat, at a distance out of reach and in reach;
        // compressors keep some bytes of the window for themselves.
        let window = 1 << bits;
        for (distance, is_found) in [(window + 1, false), (window - 300, true)] {
            let message = noise(distance).repeat(2);
            let stream = send(&mut deflating(&config), MessageKind::Binary, &message);
            let is_small = stream.len() < message.len() * 3 / 4;
            assert_eq!(is_small, is_found, "{bits}: {distance}, {}", stream.len());
        }
    }
}

#[test]
fn without_takeover_nothing_stays_with_a_connection_and_the_pool_has_it() {
    let pool = pool();
    let agreed = agree(&config(false));
    let mut sender = SendingHalf::new(Role::Server).with_permessage_deflate(&agreed, &pool);
    let mut receiver = receiver(Role::Server, 100).with_permessage_deflate(&agreed, &pool);
    assert_eq!(pool.idle(), (0, 0));
    send(&mut sender, MessageKind::Text, &[b'x'; 100]);
    assert_eq!(pool.idle(), (1, 0));
    let stream = frame_with(Role::Server, true, true, Opcode::Text, HELLO);
    for _ in 0..3 {
        feed(&mut receiver, &stream[..8]);
        assert_eq!(pool.idle(), (1, 0));
        assert_eq!(feed(&mut receiver, &stream[8..]), [text("Hello")]);
        assert_eq!(pool.idle(), (1, 1));
    }
    let plain = frame(Role::Server, true, Opcode::Text, b"Hello");
    assert_eq!(feed(&mut receiver, &plain), [text("Hello")]);
    assert_eq!(pool.idle(), (1, 1));
}

#[test]
fn off_takes_a_pointer_in_each_half() {
    assert!(
        size_of::<SendingHalf>() <= 24,
        "{}",
        size_of::<SendingHalf>()
    );
    assert!(
        size_of::<ReceivingHalf>() <= 304,
        "{}",
        size_of::<ReceivingHalf>()
    );
}
