//! The messages of the subprotocol `topics.json`. Each is one JSON object, in a text message.
//!
//! | message | is |
//! |---|---|
//! | `{"topics":["/a"],"id":"…"}` | the first one: what the client is subscribed to, and the id that it may come back with |
//! | the same with `"recovered":true` | it has come back: what it has missed follows, before anything new |
//! | the same with `"recovered":false,"reason":"…"` | it has come back, and what it has missed cannot be told exactly: it begins with what is new |
//! | `{"topic":"/a","id":"…","data":"…"}` | what was published: text |
//! | the same with `"encoding":"base64"` | what was published: bytes, in base64 |
//! | `{"topic":"/a","joined":"Ada","members":2}` | a member has joined; for who asked to be told |
//! | `{"topic":"/a","left":"Ada","members":1}` | a member has left |
//! | `{"topic":"/a","members":2}` | joins or leaves have gone by untold |
//! | `{"dropped":3}` | so many messages were dropped here, because the client was slow |
//! | `{"recovered":false,"reason":"…","id":"…"}` | some messages are missing here |
//!
//! An id is `epoch-id`, a [`Token`]: the last one that a client has seen is what it comes back with. A retained message, which
//! a newcomer gets behind the first one, has that one's id, not its own: an older one would have what came since come twice.

use std::cell::OnceCell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use topics::{Epoch, Kind, Notice, Record, Token, Topic};
use websocket_proto::{Compression, MessageKind, PreparedMessage};

use crate::letter::{Letter, News};
use crate::outlet::{Message, Outlet, Refused};
use crate::terms::Form;

/// A record, with what it looks like to each who wants it, made once.
pub(crate) struct Prepared<'a> {
    pub record: Record<'a>,
    epoch: Epoch,
    is_for_many: bool,
    plain: OnceCell<Option<PreparedMessage>>,
    json: OnceCell<Option<PreparedMessage>>,
    letter: OnceCell<Arc<Letter>>,
}

impl<'a> Prepared<'a> {
    /// For so many subscribers.
    pub fn new(record: Record<'a>, epoch: Epoch, subscribers: usize) -> Self {
        Prepared {
            record,
            epoch,
            is_for_many: subscribers > 1,
            plain: OnceCell::new(),
            json: OnceCell::new(),
            letter: OnceCell::new(),
        }
    }

    /// Hands it on, as whoever is there wants it.
    pub fn give(&self, form: Form, outlet: &dyn Outlet) -> Result<(), Refused> {
        if form == Form::Letters {
            let letter = self
                .letter
                .get_or_init(|| Arc::new(letter(&self.record, self.epoch)));
            return outlet.deliver(letter);
        }
        let compression = match self.record.flags.uncompressed {
            true => Compression::Skip,
            false => Compression::Default,
        };
        let kind = match self.record.kind {
            Kind::Text => MessageKind::Text,
            _ => MessageKind::Binary,
        };
        let prepared = |kind, payload: &[u8]| PreparedMessage::new(kind, payload, compression).ok();
        let message = match (form, self.is_for_many) {
            (Form::Plain | Form::Letters, false) => {
                let message = Message::ToOne(kind, compression, self.record.payload);
                return outlet.take(message);
            }
            (Form::Json, false) => {
                let json = message(&self.record, self.epoch);
                return outlet.take(Message::ToOne(
                    MessageKind::Text,
                    compression,
                    json.as_bytes(),
                ));
            }
            (Form::Plain | Form::Letters, true) => self
                .plain
                .get_or_init(|| prepared(kind, self.record.payload)),
            (Form::Json, true) => self.json.get_or_init(|| {
                let json = message(&self.record, self.epoch);
                prepared(MessageKind::Text, json.as_bytes())
            }),
        };
        match message {
            Some(message) => outlet.take(Message::ToMany(message)),
            // A text that is none; what publishes has checked that.
            None => Err(Refused::Ended),
        }
    }
}

/// How a client's coming back has turned out, as its first message says it.
pub(crate) enum Recovery {
    /// It has not been here before.
    New,
    /// It gets what it has missed.
    Recovered,
    /// It does not.
    Lost(String),
}

/// The first message.
pub(crate) fn hello<'t>(
    topics: impl Iterator<Item = &'t Topic>,
    recovery: &Recovery,
    token: Token,
) -> String {
    let topics: Vec<String> = topics.map(|topic| quoted(topic.as_str())).collect();
    let recovered = match recovery {
        Recovery::New => String::new(),
        Recovery::Recovered => "\"recovered\":true,".to_owned(),
        Recovery::Lost(reason) => lost(reason),
    };
    format!(
        "{{\"topics\":[{}],{recovered}\"id\":\"{token}\"}}",
        topics.join(",")
    )
}

/// A record, as a letter.
fn letter(record: &Record<'_>, epoch: Epoch) -> Letter {
    let news = match notice(record) {
        Some(notice) if notice.has_left => News::Left(notice.member.into(), notice.members),
        Some(notice) => News::Joined(notice.member.into(), notice.members),
        None => News::Message {
            kind: record.kind,
            may_compress: !record.flags.uncompressed,
            payload: record.payload.into(),
        },
    };
    Letter {
        topic: record.topic.into(),
        id: Token {
            epoch,
            id: record.id,
        },
        news,
    }
}

fn notice<'a>(record: &Record<'a>) -> Option<Notice<'a>> {
    let is_notice = record.kind == Kind::Notice;
    is_notice.then(|| Notice::read(record.payload)).flatten()
}

/// So many members there are.
pub(crate) fn members(topic: &str, members: u32) -> String {
    format!("{{\"topic\":{},\"members\":{members}}}", quoted(topic))
}

/// What was published, or who has joined or left.
pub(crate) fn message(record: &Record<'_>, epoch: Epoch) -> String {
    let token = Token {
        epoch,
        id: record.id,
    };
    let topic = quoted(record.topic);
    if let Some(notice) = notice(record) {
        let what = if notice.has_left { "left" } else { "joined" };
        return format!(
            "{{\"topic\":{topic},\"{what}\":{},\"members\":{}}}",
            quoted(notice.member),
            notice.members
        );
    }
    match (record.kind, str::from_utf8(record.payload)) {
        (Kind::Text, Ok(text)) => {
            format!(
                "{{\"topic\":{topic},\"id\":\"{token}\",\"data\":{}}}",
                quoted(text)
            )
        }
        _ => format!(
            "{{\"topic\":{topic},\"id\":\"{token}\",\"encoding\":\"base64\",\"data\":\"{}\"}}",
            STANDARD.encode(record.payload)
        ),
    }
}

/// So many messages were dropped.
pub(crate) fn dropped(count: u64) -> String {
    format!("{{\"dropped\":{count}}}")
}

/// Messages are missing up to this one.
pub(crate) fn gap(reason: &str, token: Token) -> String {
    format!("{{{}\"id\":\"{token}\"}}", lost(reason))
}

fn lost(reason: &str) -> String {
    format!("\"recovered\":false,\"reason\":{},", quoted(reason))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
