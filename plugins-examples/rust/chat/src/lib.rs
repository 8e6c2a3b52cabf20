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
//! The room is per child process of httpd: who meets whom depends on the process that has got their
//! connections. For one room for all, have one child (`MaxRequestWorkers` the same as
//! `ThreadsPerChild`) and the event or worker MPM.
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
//! | `{"type": "history", "messages": [{"nick", "text", "time"}, …]}` | after joining: the last 50 messages |
//! | `{"type": "join", "nick", "time", "members"}` | somebody has joined, perhaps oneself |
//! | `{"type": "leave", "nick", "time", "members"}` | somebody has left |
//! | `{"type": "message", "nick", "text", "time"}` | somebody has said something, perhaps oneself |
//! | `{"type": "error", "error"}` | what one has sent was not accepted, and why; one can try again |
//!
//! `time` is in seconds since 1970. Whoever reads so slowly that there is no room for a message
//! (`WebSocketSendBuffer`) is closed with 1013, `too slow`: nobody waits for them, and nobody misses
//! a part of the conversation.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use websocket_plugin::{Handshake, Message, Plugin, Rejection, SendError, Sender, export_plugin};

const MAX_NICK: usize = 24;
const MAX_TEXT: usize = 1000;
const MAX_HISTORY: usize = 50;
/// Close code "try again later" (registered with IANA).
const TRY_AGAIN_LATER: u16 = 1013;

#[derive(Default)]
struct Chat {
    room: Mutex<Room>,
}

impl Plugin for Chat {
    /// The nickname, once there is one.
    type Connection = Option<String>;

    fn connect(&self, _handshake: &Handshake<'_>) -> Result<Option<String>, Rejection> {
        Ok(None)
    }

    fn message(&self, nick: &mut Option<String>, peer: &Sender, message: Message<'_>) {
        let Message::Text(text) = message else {
            return tell(peer, &error("messages are texts"));
        };
        let done = match nick {
            None => self.join(peer, text).map(|joined| *nick = Some(joined)),
            Some(nick) => self.say(nick, text),
        };
        if let Err(problem) = done {
            tell(peer, &error(problem));
        }
    }

    fn disconnect(&self, nick: Option<String>) {
        if let Some(nick) = nick {
            self.room().leave(&nick);
        }
    }
}

impl Chat {
    fn join(&self, peer: &Sender, text: &str) -> Result<String, &'static str> {
        let Introduction { nick } =
            serde_json::from_str(text).map_err(|_| "first say who you are: {\"nick\": …}")?;
        let nick = nick.trim();
        if !(1..=MAX_NICK).contains(&nick.chars().count()) {
            return Err("a nickname has 1 to 24 characters");
        }
        if nick.contains(char::is_control) {
            return Err("a nickname has no control characters");
        }
        self.room().join(nick, peer)?;
        Ok(nick.to_owned())
    }

    fn say(&self, nick: &str, text: &str) -> Result<(), &'static str> {
        let Utterance { text } =
            serde_json::from_str(text).map_err(|_| "this is no message: {\"text\": …}")?;
        if !(1..=MAX_TEXT).contains(&text.chars().count()) {
            return Err("a message has 1 to 1000 characters");
        }
        self.room().say(nick, text);
        Ok(())
    }

    /// Whoever has the room may send: [`tell`] never waits, and everybody reads the same order.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
enum News<'a> {
    History {
        messages: &'a VecDeque<Said>,
    },
    Join {
        nick: &'a str,
        time: f64,
        members: usize,
    },
    Leave {
        nick: &'a str,
        time: f64,
        members: usize,
    },
    Message(&'a Said),
    Error {
        error: &'a str,
    },
}

#[derive(Serialize)]
struct Said {
    nick: String,
    text: String,
    time: f64,
}

#[derive(Default)]
struct Room {
    members: HashMap<String, Sender>,
    history: VecDeque<Said>,
}

impl Room {
    fn join(&mut self, nick: &str, peer: &Sender) -> Result<(), &'static str> {
        if self.members.contains_key(nick) {
            return Err("somebody has this nickname");
        }
        self.members.insert(nick.to_owned(), peer.clone());
        let messages = &self.history;
        tell(peer, &News::History { messages });
        let (time, members) = (now(), self.members.len());
        self.tell_all(&News::Join {
            nick,
            time,
            members,
        });
        Ok(())
    }

    fn say(&mut self, nick: &str, text: String) {
        let (nick, time) = (nick.to_owned(), now());
        let said = Said { nick, text, time };
        self.tell_all(&News::Message(&said));
        self.history.push_back(said);
        if self.history.len() > MAX_HISTORY {
            self.history.pop_front();
        }
    }

    fn leave(&mut self, nick: &str) {
        self.members.remove(nick);
        let (time, members) = (now(), self.members.len());
        self.tell_all(&News::Leave {
            nick,
            time,
            members,
        });
    }

    fn tell_all(&self, news: &News<'_>) {
        let text = json(news);
        for peer in self.members.values() {
            send_or_close(peer, &text);
        }
    }
}

fn tell(peer: &Sender, news: &News<'_>) {
    send_or_close(peer, &json(news));
}

fn send_or_close(peer: &Sender, text: &str) {
    if peer.try_send(Message::Text(text)) == Err(SendError::WouldBlock) {
        let _ = peer.close_with(TRY_AGAIN_LATER, "too slow");
    }
}

fn error(error: &str) -> News<'_> {
    News::Error { error }
}

fn json(news: &News<'_>) -> String {
    serde_json::to_string(news).expect("texts and finite numbers")
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0.0, |time| time.as_secs_f64())
}

export_plugin!(chat_init, Chat::default());

#[cfg(test)]
mod tests;
