//! Idempotency keys.

use super::*;

#[test]
fn a_key_is_good_for_one_record() {
    let log = log(SMALL);
    let (a, b) = (topic("a"), topic("b"));
    let keyed = |topic, payload, key| {
        send(
            log,
            &Message {
                key: Some(key),
                ..message(topic, payload)
            },
        )
    };
    let first = keyed(&a, b"1", "key").unwrap();
    assert_eq!((first.id, first.is_repeated), (RecordId(1), false));
    let again = keyed(&a, b"1", "key").unwrap();
    assert_eq!((again.id, again.is_repeated), (RecordId(1), true));
    assert_eq!(keyed(&a, b"2", "key"), Err(PublishError::KeyReused));
    assert_eq!(
        keyed(&b, b"1", "key").unwrap().id,
        RecordId(2),
        "it is a key of its topic"
    );
    assert_eq!(keyed(&a, b"1", "other").unwrap().id, RecordId(3));
    assert_eq!(log.latest(), RecordId(3));
}

#[test]
fn a_message_is_the_same_to_the_last_byte() {
    let log = log(SMALL);
    let topic = topic("a");
    let text = Message {
        kind: Kind::Text,
        key: Some("key"),
        ..message(&topic, b"1")
    };
    send(log, &text).unwrap();
    let others = [
        Message {
            // Records are padded with zeros.
            payload: b"1\0",
            ..text
        },
        Message {
            kind: Kind::Binary,
            ..text
        },
        Message {
            flags: Flags {
                retain: true,
                ..text.flags
            },
            ..text
        },
    ];
    for other in others {
        assert_eq!(send(log, &other), Err(PublishError::KeyReused), "{other:?}");
    }
    assert!(send(log, &text).unwrap().is_repeated);
    assert_eq!(log.latest(), RecordId(1));
}

#[test]
fn the_latest_keys_are_remembered() {
    let log = log(SMALL);
    let topic = topic("a");
    let keyed = |key: u64| {
        let key = key.to_string();
        send(
            log,
            &Message {
                key: Some(&key),
                ..message(&topic, b"")
            },
        )
        .unwrap()
        .is_repeated
    };
    for key in 0..20_000 {
        assert!(!keyed(key));
    }
    assert!((19_500..20_000).rev().all(keyed));
    // For so many there is no room.
    assert!(!keyed(0));
}
