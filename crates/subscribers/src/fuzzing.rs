//! What the fuzz targets under `fuzz/` run. Each function takes arbitrary bytes and panics when something that must hold
//! does not.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use topics::{
    Batch, CannotResume, Epoch, Flags, Futex, Kind, Layout, Limits, Log, Message, PublishError,
    Publisher, RecordId, Token, Topic,
};

use crate::body::kind_of;
use crate::form;

const EPOCH: Epoch = Epoch(NonZeroU64::MIN);
const ALL: Limits = Limits {
    messages: usize::MAX,
    age: None,
    now: 0,
};

/// A publish request: the topic's name and the media type, each in a line, then the body. Somebody who resumes from
/// before it gets exactly that, and as JSON it is what it was.
pub fn publication(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (name, media_type, payload) = (part(), part(), part());
    let Ok(topic) = Topic::from_bytes(name) else {
        return;
    };
    let Ok(kind) = kind_of(&String::from_utf8_lossy(media_type), payload) else {
        assert!(str::from_utf8(payload).is_err());
        return;
    };
    let log = log();
    let before = log.latest();
    let published = publish(log, &topic, kind, payload);
    let id = match published {
        Err(PublishError::TooLarge { limit }) => return assert!(payload.len() > limit),
        other => other.expect("room").id,
    };
    let history = log.history(&topic).expect("the lock").expect("the topic");
    let since = Token {
        epoch: EPOCH,
        id: before,
    };
    let mut batch = Batch::new();
    history
        .resume(since, &ALL, &mut batch)
        .expect("it is there");
    assert_eq!(batch.len(), 1);
    for record in batch.iter() {
        assert_eq!((record.id, record.kind), (id, kind));
        assert_eq!((record.topic, record.payload), (topic.as_str(), payload));
        is_read_as(&form::message(&record, EPOCH), &topic, id, kind, payload);
    }
}

/// Whether a browser reads the message as what was published.
fn is_read_as(message: &str, topic: &Topic, id: RecordId, kind: Kind, payload: &[u8]) {
    let message: Value = serde_json::from_str(message).expect("JSON");
    let text = |field: &str| message[field].as_str().expect("a text");
    assert_eq!(text("topic"), topic.as_str());
    assert_eq!(text("id").parse(), Ok(Token { epoch: EPOCH, id }));
    match kind {
        Kind::Text => {
            assert_eq!(message.get("encoding"), None);
            assert_eq!(text("data").as_bytes(), payload);
        }
        _ => {
            assert_eq!(text("encoding"), "base64");
            assert_eq!(STANDARD.decode(text("data")).expect("base64"), payload);
        }
    }
}

/// What a client says that it has seen last. If it is a token at all, it is one that is written like this; who comes back
/// with it gets what came later, all of it and nothing else, or is told why not.
pub fn token(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(token) = text.parse::<Token>() else {
        return;
    };
    assert_eq!(token.to_string(), text);
    let log = log();
    let topic = Topic::new("/token").expect("a good name");
    publish(log, &topic, Kind::Text, data).expect("room");
    let history = log.history(&topic).expect("the lock").expect("the topic");
    let mut batch = Batch::new();
    match history.resume(token, &ALL, &mut batch) {
        Ok(()) => {
            assert!(token.epoch == EPOCH && token.id <= log.latest());
            let ids: Vec<RecordId> = batch.iter().map(|record| record.id).collect();
            assert!(ids.iter().all(|&id| id > token.id));
            assert!(ids.is_sorted());
            assert_eq!(ids, history.missed(token, &ALL).expect("the same"));
        }
        Err(why) => {
            assert!(batch.is_empty());
            match why {
                CannotResume::OtherEpoch => assert_ne!(token.epoch, EPOCH),
                CannotResume::NeverSeen => assert!(token.id > log.latest()),
                CannotResume::Overrun | CannotResume::Forgotten => {}
                CannotResume::Limit => panic!("there is none"),
            }
        }
    }
}

/// A log for all runs, which soon has gone round its ring.
fn log() -> Log<'static> {
    static LOG: OnceLock<Log<'static>> = OnceLock::new();
    *LOG.get_or_init(|| {
        let layout = Layout {
            ring: 64 << 10,
            topics: 16,
            seats: 1,
        };
        let words = 0..layout.words().expect("a good layout");
        let words: Vec<AtomicU64> = words.map(|_| AtomicU64::new(0)).collect();
        Log::new(words.leak(), layout, EPOCH, [1, 2]).expect("a log")
    })
}

fn publish(
    log: Log<'_>,
    topic: &Topic,
    kind: Kind,
    payload: &[u8],
) -> Result<topics::Published, PublishError> {
    Publisher::new(log, Futex).publish(&Message {
        topic,
        kind,
        flags: Flags::default(),
        origin: 0,
        time: 1,
        key: None,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_what_the_targets_look_for() {
        publication(b"/a\ntext/plain\n\"quoted\" \\ \0 \xe2\x80\xa8 \xf0\x9f\x90\xa2");
        publication(b"/a\nimage/png\n\xff\xfe");
        publication(b"\"\\\n\n");
        publication(&[b"/a\n\n".to_vec(), vec![b'x'; 10_000]].concat());
        for text in [
            "0000000000000001-0",
            "0000000000000001-1",
            "0000000000000002-1",
            "1-1",
        ] {
            token(text.as_bytes());
        }
    }
}
