//! A chat room: nicknames, who comes and goes, and what was said before one came.
//!
//! ```text
//! <Location "/chat">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_chat.so chat_init
//!   WebSocketSendBuffer 256K
//! </Location>
//! ```
//!
//! There is one room, however many child processes httpd has: what is said is published to the topic `chat`, whose
//! members are those who have a nickname, and whose history is what a newcomer reads first.
//!
//! Messages are JSON texts. A client first says who it is, and then talks:
//!
//! ```text
//! {"nick": "Ada"}
//! {"text": "Hello!"}
//! ```
//!
//! A nickname has 1 to 24 characters without control characters; blanks around it do not count.
//! Nobody else in the room may have it. What is said has 1 to 1000 characters. The server sends
//!
//! | message | when |
//! |---|---|
//! | `{"type": "message", "nick", "text", "time"}` | somebody has said something, perhaps oneself; after joining, the last 50 of them |
//! | `{"type": "join", "nick", "time", "members"}` | somebody has joined; oneself, behind the last messages |
//! | `{"type": "leave", "nick", "time", "members"}` | somebody has left |
//! | `{"type": "members", "time", "members"}` | some have joined or left, while one was slow |
//! | `{"type": "error", "error"}` | what one has sent was not accepted, and why; one can try again |
//!
//! `time` is in seconds since 1970. Whoever reads so slowly that there is no room for a message
//! (`WebSocketSendBuffer`) is closed with 1013, `slow`: nobody waits for them, and nobody misses
//! a part of the conversation.
//!
//! Where there are no topics (an older server, or one that has no memory for them), nobody can join, and is told so.

#![forbid(unsafe_code)]

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use websocket_plugin::{
    Delivery, Handshake, Message, News, Plugin, Rejection, Sender, Subscribe, TopicError,
    TopicEvent, export_plugin,
};

const TOPIC: &str = "chat";
const MAX_NICK: usize = 24;
const MAX_TEXT: usize = 1000;
const HISTORY: u32 = 50;

struct Chat;

impl Plugin for Chat {
    /// The nickname, once there is one.
    type Connection = Option<Guest>;

    fn connect(&self, _handshake: &Handshake<'_>) -> Result<Option<Guest>, Rejection> {
        Ok(None)
    }

    fn message(&self, guest: &mut Option<Guest>, peer: &Sender, message: Message<'_>) {
        let Message::Text(text) = message else {
            return tell(peer, &error("messages are texts"));
        };
        let done = match guest {
            None => join(peer, text).map(|nick| {
                *guest = Some(Guest {
                    nick,
                    is_told: false,
                });
            }),
            Some(guest) => say(peer, &guest.nick, text),
        };
        if let Err(problem) = done {
            tell(peer, &error(problem));
        }
    }

    /// What is said goes to the client as it was published; who joins and who leaves is put into words here.
    fn topic(&self, guest: &mut Option<Guest>, peer: &Sender, event: &TopicEvent<'_>) -> Delivery {
        let time = now();
        match event.news {
            News::Joined { member, members } => {
                if let Some(guest) = guest.as_mut().filter(|guest| guest.nick == member)
                    && std::mem::replace(&mut guest.is_told, true)
                {
                    return Delivery::Pass;
                }
                tell(peer, &join_of(member, time, members));
            }
            News::Left { member, members } => tell(peer, &leave_of(member, time, members)),
            News::Members(members) => match guest {
                // Its own join is among what it has missed.
                Some(guest) if !guest.is_told => {
                    guest.is_told = true;
                    tell(peer, &join_of(&guest.nick, time, members));
                }
                _ => tell(peer, &Said::Members { time, members }),
            },
            _ => {}
        }
        Delivery::Pass
    }
}

/// Who has joined.
pub struct Guest {
    nick: String,
    /// It has been told so.
    is_told: bool,
}

fn join(peer: &Sender, text: &str) -> Result<String, &'static str> {
    let Introduction { nick } =
        serde_json::from_str(text).map_err(|_| "first say who you are: {\"nick\": …}")?;
    let nick = nick.trim();
    if !(1..=MAX_NICK).contains(&nick.chars().count()) {
        return Err("a nickname has 1 to 24 characters");
    }
    if nick.contains(char::is_control) {
        return Err("a nickname has no control characters");
    }
    let wanted = Subscribe::new().last(HISTORY).member(nick).unique();
    match peer.subscribe(TOPIC, &wanted.watched().presence()) {
        Ok(_) => Ok(nick.to_owned()),
        Err(TopicError::Taken) => Err("somebody has this nickname"),
        Err(TopicError::Full) => Err("the room is full"),
        Err(_) => Err("there is no room here: this server has no topics"),
    }
}

fn say(peer: &Sender, nick: &str, text: &str) -> Result<(), &'static str> {
    let Utterance { text } =
        serde_json::from_str(text).map_err(|_| "this is no message: {\"text\": …}")?;
    if !(1..=MAX_TEXT).contains(&text.chars().count()) {
        return Err("a message has 1 to 1000 characters");
    }
    let time = now();
    let text = json(&Said::Message { nick, text, time });
    let published = peer.topics().publish(TOPIC, Message::Text(&text));
    published.map(drop).map_err(|_| "nobody could be told")
}

#[derive(Deserialize)]
struct Introduction {
    nick: String,
}

#[derive(Deserialize)]
struct Utterance {
    text: String,
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said<'a> {
    Join {
        nick: &'a str,
        time: f64,
        members: u64,
    },
    Leave {
        nick: &'a str,
        time: f64,
        members: u64,
    },
    Members {
        time: f64,
        members: u64,
    },
    Message {
        nick: &'a str,
        text: String,
        time: f64,
    },
    Error {
        error: &'a str,
    },
}

fn join_of(nick: &str, time: f64, members: u64) -> Said<'_> {
    Said::Join {
        nick,
        time,
        members,
    }
}

fn leave_of(nick: &str, time: f64, members: u64) -> Said<'_> {
    Said::Leave {
        nick,
        time,
        members,
    }
}

fn tell(peer: &Sender, said: &Said<'_>) {
    // Who does not read is closed by its subscription; who has not joined is nobody that anybody waits for.
    let _ = peer.try_send(Message::Text(&json(said)));
}

fn error(error: &str) -> Said<'_> {
    Said::Error { error }
}

fn json(said: &Said<'_>) -> String {
    serde_json::to_string(said).expect("texts and finite numbers")
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0.0, |time| time.as_secs_f64())
}

export_plugin!(chat_init, Chat);

#[cfg(test)]
mod tests;
