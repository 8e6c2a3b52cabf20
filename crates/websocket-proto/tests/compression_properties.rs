//! Properties of permessage-deflate: any message, parameters, fragmentation and cut of the input.

#[allow(dead_code, reason = "not every test file uses all of it")]
mod support;

use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;
use proptest::sample::Index;
use support::{KEY, Seen, feed, frame_with, receiver};
use websocket_proto::extension::permessage_deflate::{
    Agreed, CodecPool, CompressionLevel, PermessageDeflateConfig, WindowBits, negotiate,
};
use websocket_proto::frame::{FrameDecoder, NoRules, Opcode};
use websocket_proto::{
    Compression, MessageKind, PreparedMessage, ReceivingHalf, Role, SendingHalf,
};

fn agreed() -> impl Strategy<Value = Agreed> {
    let offers = prop_oneof![
        Just(""),
        Just("; client_max_window_bits"),
        Just("; client_max_window_bits=9; server_max_window_bits=9"),
        Just("; server_no_context_takeover; client_max_window_bits=12"),
        Just("; client_no_context_takeover; server_max_window_bits=11"),
    ];
    (offers, 1u8..10, 9u8..16, any::<bool>(), 0usize..40).prop_map(
        |(offer, level, bits, context_takeover, min_size)| {
            let offer = format!("permessage-deflate{offer}");
            let config = PermessageDeflateConfig {
                level: CompressionLevel::new(level).expect("1 to 9"),
                min_size,
                max_window_bits: WindowBits::new(bits).expect("9 to 15"),
                context_takeover,
            };
            negotiate([&*offer].into_iter(), &config).expect("an acceptable offer")
        },
    )
}

/// Something like text, something like noise, and something with far repeats.
fn message() -> impl Strategy<Value = Seen> {
    let words = proptest::collection::vec("[a-z]{1,6}|κόσμε|\n", 0..200);
    let far = (any::<[u8; 32]>(), 0usize..40_000);
    prop_oneof![
        words.prop_map(|words| Seen::Text(words.join(" "))),
        any::<String>().prop_map(Seen::Text),
        proptest::collection::vec(any::<u8>(), 0..2000).prop_map(Seen::Binary),
        far.prop_map(|(end, gap)| Seen::Binary([&end[..], &vec![0; gap], &end].concat())),
    ]
}

fn content(message: &Seen) -> (MessageKind, &[u8]) {
    match message {
        Seen::Text(text) => (MessageKind::Text, text.as_bytes()),
        Seen::Binary(bytes) => (MessageKind::Binary, &bytes[..]),
        _ => unreachable!("messages are text or binary"),
    }
}

fn sent(sender: &mut SendingHalf, message: &Seen, compression: Compression) -> Vec<u8> {
    let (kind, payload) = content(message);
    let mut out = Vec::new();
    let result = sender.send_message_with(kind, payload, compression, &mut out);
    result.expect("it may be sent");
    out
}

/// The frame of `peer`'s message again, cut into fragments at these places.
fn fragmented(peer: Role, stream: &mut [u8], cuts: &[Index]) -> Vec<u8> {
    let mut decoder = FrameDecoder::new(peer);
    let (taken, header) = decoder.read_header(stream, &NoRules).expect("a frame");
    let header = header.expect("a whole one");
    let payload = decoder.read_payload(&mut stream[taken..]).bytes;
    let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(payload.len() + 1)).collect();
    cuts.sort_unstable();
    let mut frames = Vec::new();
    let (mut from, mut rsv1, mut opcode) = (0, header.rsv1, header.opcode);
    for to in cuts {
        frames.extend(frame_with(peer, false, rsv1, opcode, &payload[from..to]));
        (from, rsv1, opcode) = (to, false, Opcode::Continuation);
    }
    frames.extend(frame_with(peer, true, rsv1, opcode, &payload[from..]));
    frames
}

/// How a message goes out.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By its connection's own compressor, or not compressed.
    Own(Compression),
    /// Prepared for many.
    Prepared(Compression),
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        3 => Just(Way::Own(Compression::Default)),
        1 => Just(Way::Own(Compression::Skip)),
        3 => Just(Way::Prepared(Compression::Default)),
        1 => Just(Way::Prepared(Compression::Skip)),
    ]
}

/// The frames of a server, read by an inflater with no more window than was agreed on, and nothing else of this crate but
/// the headers: what each message consists of.
fn inflated(stream: &[u8], window_bits: u8, has_context: bool) -> Vec<Vec<u8>> {
    let mut inflater = Decompress::new_with_window_bits(false, window_bits);
    let mut stream = stream.to_vec();
    let mut rest = &mut stream[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let mut decoder = FrameDecoder::new(Role::Client);
        let (taken, header) = decoder.read_header(rest, &NoRules).expect("a frame");
        let header = header.expect("a whole one");
        let (_, behind) = rest.split_at_mut(taken);
        let (payload, behind) = behind.split_at_mut(header.payload_length as usize);
        rest = behind;
        if !header.rsv1 {
            messages.push(payload.to_vec());
            continue;
        }
        if !has_context {
            inflater.reset(false);
        }
        // RFC 7692 §7.2.2.
        let compressed = [&*payload, &[0, 0, 0xff, 0xff]].concat();
        let mut message = Vec::with_capacity(100_000);
        let before = inflater.total_in();
        inflater
            .decompress_vec(&compressed, &mut message, FlushDecompress::Sync)
            .expect("what any inflater understands");
        assert_eq!(inflater.total_in() - before, compressed.len() as u64);
        messages.push(message);
    }
    messages
}

/// Feeds a stream cut at these places.
fn feed_cut(receiver: &mut ReceivingHalf, stream: &[u8], cuts: &[Index]) -> Vec<Seen> {
    let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .flat_map(|ends| feed(receiver, &stream[ends[0]..ends[1]]))
        .collect()
}

proptest! {
    #[test]
    fn any_messages_arrive_under_any_parameters_however_fragmented_and_cut(
        agreed in agreed(),
        (role, peer) in prop_oneof![
            Just((Role::Server, Role::Client)),
            Just((Role::Client, Role::Server)),
        ],
        messages in proptest::collection::vec((message(), any::<bool>()), 1..6),
        fragment_cuts in proptest::collection::vec(any::<Index>(), 0..5),
        cuts in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let pool = Arc::new(CodecPool::new(1));
        let mut sender = SendingHalf::new(role)
            .with_mask_key(KEY)
            .with_permessage_deflate(&agreed, &pool);
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (message, skips) in messages {
            let compression = if skips { Compression::Skip } else { Compression::Default };
            let mut frame = sent(&mut sender, &message, compression);
            stream.extend(fragmented(peer, &mut frame, &fragment_cuts));
            expected.push(message);
        }
        let new = || receiver(peer, 100_000).with_permessage_deflate(&agreed, &pool);
        prop_assert_eq!(&feed(&mut new(), &stream), &expected);
        prop_assert_eq!(&feed_cut(&mut new(), &stream, &cuts), &expected);
        let mut by_byte = new();
        let events: Vec<_> = stream.iter().flat_map(|&b| feed(&mut by_byte, &[b])).collect();
        prop_assert_eq!(&events, &expected);
    }

    #[test]
    fn any_inflater_understands_what_was_prepared_for_many_between_messages_of_ones_own(
        agreements in proptest::collection::vec(agreed(), 1..4),
        messages in proptest::collection::vec((message(), way()), 1..8),
    ) {
        let pool = Arc::new(CodecPool::new(1));
        let mut senders: Vec<SendingHalf> = agreements
            .iter()
            .map(|agreed| SendingHalf::new(Role::Server).with_permessage_deflate(agreed, &pool))
            .collect();
        let mut streams = vec![Vec::new(); agreements.len()];
        for (message, way) in &messages {
            let (kind, payload) = content(message);
            let prepared = match *way {
                Way::Own(_) => None,
                Way::Prepared(compression) => {
                    Some(PreparedMessage::new(kind, payload, compression).expect("it may be sent"))
                }
            };
            for (sender, stream) in senders.iter_mut().zip(&mut streams) {
                match (&prepared, *way) {
                    (Some(prepared), _) => {
                        stream.extend_from_slice(&sender.send_prepared(prepared).expect("it may be sent"));
                    }
                    (None, Way::Own(compression) | Way::Prepared(compression)) => {
                        stream.extend(sent(sender, message, compression));
                    }
                }
            }
        }
        let expected: Vec<&Seen> = messages.iter().map(|(message, _)| message).collect();
        let payloads: Vec<&[u8]> = expected.iter().map(|message| content(message).1).collect();
        for (agreed, stream) in agreements.iter().zip(&streams) {
            let mut receiver =
                receiver(Role::Client, 100_000).with_permessage_deflate(agreed, &pool);
            let seen = feed(&mut receiver, stream);
            prop_assert_eq!(seen.iter().collect::<Vec<_>>(), expected.clone());
            let bits = agreed.server_window_bits().get();
            let has_context = agreed.server_context_takeover();
            prop_assert_eq!(inflated(stream, bits, has_context), payloads.clone());
        }
    }

    #[test]
    fn any_cut_of_damaged_messages_gives_the_same_events(
        agreed in agreed(),
        messages in proptest::collection::vec(message(), 1..4),
        damage in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        limit in 0u64..3000,
        cuts in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let pool = Arc::new(CodecPool::new(1));
        let mut sender = SendingHalf::new(Role::Client).with_permessage_deflate(&agreed, &pool);
        let mut stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| sent(&mut sender, message, Compression::Default))
            .collect();
        for (place, byte) in damage {
            let place = place.index(stream.len());
            stream[place] = byte;
        }
        let new = || receiver(Role::Server, limit).with_permessage_deflate(&agreed, &pool);
        let whole = feed(&mut new(), &stream);
        prop_assert_eq!(&feed_cut(&mut new(), &stream, &cuts), &whole);
        let mut by_byte = new();
        let events: Vec<_> = stream.iter().flat_map(|&b| feed(&mut by_byte, &[b])).collect();
        prop_assert_eq!(&events, &whole);
    }
}
