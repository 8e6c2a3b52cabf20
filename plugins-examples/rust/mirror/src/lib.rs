//! Everybody in a room sees what anybody draws.
//!
//! ```text
//! <Location "/mirror">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_mirror.so mirror_init
//! </Location>
//! ```
//!
//! `/mirror?mirror=blue` is the room `blue`, and `/mirror` the room `main`. A room's name is 1 to 64
//! letters, digits, `_` and `-`; any other is refused with HTTP status 400. Rooms are per child
//! process of httpd: who meets whom there depends on the process that has got their connections. For
//! one room for all, have one child (`MaxRequestWorkers` the same as `ThreadsPerChild`) and the event
//! or worker MPM.
//!
//! Messages are JSON texts. A client sends circles, of at most 256 bytes each:
//!
//! ```text
//! {"x": 0.5, "y": 0.25, "r": 0.01, "c": "#2f80ed"}
//! ```
//!
//! `x` and `y` are the centre, from 0 to 1; `r` is the radius, from 0.005 to 0.2; `c` is the colour.
//! Every member of the room gets the same text, the one who has drawn it included. Any other message
//! closes its sender's connection with 1008, `not a circle`. When somebody comes or goes, everybody
//! in the room gets
//!
//! ```text
//! {"members": 2}
//! ```
//!
//! A member who reads slowly misses circles, and holds up nobody.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin};

const DEFAULT_ROOM: &str = "main";
const MAX_NAME: usize = 64;
const MAX_CIRCLE: usize = 256;
/// Close code "policy violation" (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;

#[derive(Default)]
struct Mirror {
    rooms: Mutex<Rooms>,
}

/// One connection: its room, and its number there.
struct Member {
    room: String,
    number: u64,
}

impl Plugin for Mirror {
    type Connection = Member;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Member, Rejection> {
        let room = handshake.query("mirror");
        let room = room.unwrap_or_else(|| DEFAULT_ROOM.to_owned());
        if !is_room_name(&room) {
            return Err(Rejection::bad_request());
        }
        Ok(self.rooms().enter(room, handshake.sender().clone()))
    }

    fn message(&self, member: &mut Member, peer: &Sender, message: Message<'_>) {
        match message {
            Message::Text(text) if is_circle(text) => self.rooms().tell(&member.room, text),
            _ => {
                let _ = peer.close_with(POLICY_VIOLATION, "not a circle");
            }
        }
    }

    /// A slow member catches up: the circles are gone, but the number of members may be old.
    fn writable(&self, member: &mut Member, peer: &Sender) {
        // Kept until it is sent, or a newer number could overtake this one.
        let rooms = self.rooms();
        // Still no room: then this is called again.
        let _ = peer.try_send(Message::Text(&rooms.members(&member.room)));
    }

    fn disconnect(&self, member: Member) {
        self.rooms().leave(&member);
    }
}

impl Mirror {
    /// Whoever has the rooms may send: `try_send` never waits, and everybody sees the same order.
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rooms that somebody is in.
#[derive(Default)]
struct Rooms {
    by_name: HashMap<String, BTreeMap<u64, Sender>>,
    next_number: u64,
}

impl Rooms {
    fn enter(&mut self, room: String, peer: Sender) -> Member {
        let number = self.next_number;
        self.next_number += 1;
        let members = self.by_name.entry(room.clone()).or_default();
        members.insert(number, peer);
        self.tell(&room, &self.members(&room));
        Member { room, number }
    }

    fn leave(&mut self, Member { room, number }: &Member) {
        let Some(members) = self.by_name.get_mut(room) else {
            return;
        };
        members.remove(number);
        if members.is_empty() {
            self.by_name.remove(room);
        } else {
            self.tell(room, &self.members(room));
        }
    }

    fn tell(&self, room: &str, text: &str) {
        let members = self.by_name.get(room);
        for peer in members.into_iter().flat_map(BTreeMap::values) {
            // Whoever has no room for it, or is leaving, misses it.
            let _ = peer.try_send(Message::Text(text));
        }
    }

    fn members(&self, room: &str) -> String {
        let count = self.by_name.get(room).map_or(0, BTreeMap::len);
        serde_json::json!({ "members": count }).to_string()
    }
}

fn is_room_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Circle {
    x: f64,
    y: f64,
    r: f64,
    c: String,
}

fn is_circle(text: &str) -> bool {
    // A list of the four values would do for serde, but not for those who get it.
    if text.len() > MAX_CIRCLE || !text.trim_start().starts_with('{') {
        return false;
    }
    let Ok(Circle { x, y, r, c }) = serde_json::from_str(text) else {
        return false;
    };
    (0.0..=1.0).contains(&x)
        && (0.0..=1.0).contains(&y)
        && (0.005..=0.2).contains(&r)
        && is_color(&c)
}

/// `#rrggbb`
fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

export_plugin!(mirror_init, Mirror::default());

#[cfg(test)]
mod tests;
