//! Messages that go to many: one frame for all who take the same form.

#[allow(dead_code, reason = "not every test file uses all of it")]
mod support;

use std::sync::Arc;

use support::{KEY, feed, receiver, text};
use websocket_proto::extension::permessage_deflate::{
    CodecPool, CompressionLevel, PermessageDeflateConfig, WindowBits, negotiate,
};
use websocket_proto::{Compression, LocalError, MessageKind, PreparedMessage, Role, SendingHalf};

fn prepared(payload: &[u8], compression: Compression) -> PreparedMessage {
    PreparedMessage::new(MessageKind::Text, payload, compression).unwrap()
}

fn deflating(level: CompressionLevel, bits: u8, min_size: usize) -> SendingHalf {
    let config = PermessageDeflateConfig {
        level,
        min_size,
        max_window_bits: WindowBits::new(bits).unwrap(),
        ..PermessageDeflateConfig::default()
    };
    let agreed = negotiate(["permessage-deflate"].into_iter(), &config).unwrap();
    SendingHalf::new(Role::Server).with_permessage_deflate(&agreed, &Arc::new(CodecPool::new(1)))
}

#[test]
fn a_plain_frame_is_one_for_all_and_the_hello_of_section_5_7() {
    let message = prepared(b"Hello", Compression::Default);
    let [first, second] = [(); 2].map(|()| {
        SendingHalf::new(Role::Server)
            .send_prepared(&message)
            .unwrap()
    });
    assert_eq!(&*first, b"\x81\x05Hello");
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(
        (message.kind(), message.payload()),
        (MessageKind::Text, &b"Hello"[..])
    );
}

#[test]
fn a_frame_is_compressed_once_for_each_level_and_window() {
    let message = prepared(&b"again and ".repeat(40), Compression::Default);
    let kinds = [
        (CompressionLevel::DEFAULT, 15),
        (CompressionLevel::DEFAULT, 9),
        (CompressionLevel::FASTEST, 15),
    ];
    let frames = kinds.map(|(level, bits)| {
        let [first, second] =
            [(); 2].map(|()| deflating(level, bits, 1).send_prepared(&message).unwrap());
        assert!(Arc::ptr_eq(&first, &second), "{level:?} {bits}");
        assert_eq!(first[0], 0xc1, "RSV1");
        assert!(first.len() < 100);
        first
    });
    assert!(!Arc::ptr_eq(&frames[0], &frames[1]) && !Arc::ptr_eq(&frames[0], &frames[2]));
}

#[test]
fn it_goes_plain_when_it_is_short_or_grows_or_is_not_to_be_compressed() {
    let words = b"again and ".repeat(40);
    for (payload, min_size, compression, first) in [
        (&words[..], 1, Compression::Skip, 0x81),
        (&words, words.len() + 1, Compression::Default, 0x81),
        (&words, words.len(), Compression::Default, 0xc1),
        (b"Hello", 1, Compression::Default, 0x81),
        (b"Hello", 0, Compression::Default, 0xc1),
        (b"", 0, Compression::Default, 0x81),
    ] {
        let mut sender = deflating(CompressionLevel::DEFAULT, 15, min_size);
        let message = prepared(payload, compression);
        assert_eq!(sender.send_prepared(&message).unwrap()[0], first);
    }
}

#[test]
fn a_compressor_begins_anew_behind_it_and_not_behind_a_plain_one() {
    let mut sender = deflating(CompressionLevel::DEFAULT, 15, 1);
    let send_own = |sender: &mut SendingHalf, payload: &str| {
        let mut out = Vec::new();
        let kind = MessageKind::Text;
        sender
            .send_message(kind, payload.as_bytes(), &mut out)
            .unwrap();
        out
    };
    let own = "what has been said before";
    let anew = send_own(&mut sender, own);
    let plain = prepared(b"short", Compression::Skip);
    assert_eq!(sender.send_prepared(&plain).unwrap()[0], 0x81);
    let again = send_own(&mut sender, own);
    assert!(again.len() < anew.len(), "it refers to the first one");
    let compressed = prepared(&b"again and ".repeat(40), Compression::Default);
    assert_eq!(sender.send_prepared(&compressed).unwrap()[0], 0xc1);
    assert_eq!(send_own(&mut sender, own), anew);
}

#[test]
fn a_client_masks_it() {
    let mut sender = SendingHalf::new(Role::Client).with_mask_key(KEY);
    let frame = sender.send_prepared(&prepared(b"Hello", Compression::Default));
    let frame = frame.unwrap();
    assert_eq!(&frame[..2], b"\x81\x85");
    assert_eq!(
        feed(&mut receiver(Role::Server, 100), &frame),
        [text("Hello")]
    );
}

#[test]
fn it_is_refused_like_any_other() {
    let bad = PreparedMessage::new(MessageKind::Text, b"\xff", Compression::Default);
    assert_eq!(bad.err(), Some(LocalError::InvalidUtf8));
    let message = prepared(b"Hello", Compression::Default);
    let mut sender = SendingHalf::new(Role::Server);
    let mut out = Vec::new();
    sender
        .send_fragment(MessageKind::Binary, b"", false, &mut out)
        .unwrap();
    let refused = sender.send_prepared(&message).err();
    assert_eq!(refused, Some(LocalError::MessageUnfinished));
    assert_eq!(sender.check_prepared(&message), Ok(()));
    sender.send_close(None, &mut out).unwrap();
    let refused = sender.send_prepared(&message).err();
    assert_eq!(refused, Some(LocalError::CloseSent));
    assert_eq!(sender.check_prepared(&message), Err(LocalError::CloseSent));
}
