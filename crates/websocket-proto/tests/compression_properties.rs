//! Properties of permessage-deflate: any message, parameters, fragmentation and cut of the input.

#[allow(dead_code, reason = "not every test file uses all of it")]
mod support;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use support::{KEY, Seen, feed, frame_with, receiver};
use websocket_proto::extension::permessage_deflate::{
    Agreed, CodecPool, CompressionLevel, PermessageDeflateConfig, WindowBits, negotiate,
};
use websocket_proto::frame::{FrameDecoder, NoRules, Opcode};
use websocket_proto::{Compression, MessageKind, ReceivingHalf, Role, SendingHalf};

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

fn sent(sender: &mut SendingHalf, message: &Seen, compression: Compression) -> Vec<u8> {
    let (kind, payload) = match message {
        Seen::Text(text) => (MessageKind::Text, text.as_bytes()),
        Seen::Binary(bytes) => (MessageKind::Binary, &bytes[..]),
        _ => unreachable!("messages are text or binary"),
    };
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
