//! Everybody in a room sees what anybody draws.
//!
//! ```text
//! <Location "/mirror">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_mirror.so mirror_init
//!   WebSocketTopicSlow drop
//! </Location>
//! ```
//!
//! `/mirror?mirror=blue` is the room `blue`, and `/mirror` the room `main`. A room's name is 1 to 64
//! letters, digits, `_` and `-`; any other is refused with HTTP status 400. A room is the same for all child processes of
//! httpd: circles are published to the topic `mirror/blue`. Where there are no topics (an older server, or one that has no
//! memory for them), the handshake is refused with 503.
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
//! {"members": 2, "process": 4711}
//! ```
//!
//! with the number of the process that has its WebSocket.
//!
//! A member who reads slowly misses circles (`WebSocketTopicSlow drop`; without that, it is closed with 1013), and holds up
//! nobody.

#![forbid(unsafe_code)]

use serde::Deserialize;
use websocket_plugin::{
    Delivery, Handshake, Message, News, Plugin, Publish, Rejection, Sender, Subscribe, TopicEvent,
    export_plugin,
};

const DEFAULT_ROOM: &str = "main";
const MAX_NAME: usize = 64;
const MAX_CIRCLE: usize = 256;
/// Close code "policy violation" (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;
/// What each member of a room is called: they are counted, and have no names.
const MEMBER: &str = "painter";
/// A circle that is late is none: no history keeps them.
const CIRCLE: Publish = Publish::new().volatile();

struct Mirror;

impl Plugin for Mirror {
    /// The topic of the room.
    type Connection = String;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<String, Rejection> {
        let room = handshake.query("mirror");
        let room = room.unwrap_or_else(|| DEFAULT_ROOM.to_owned());
        if !is_room_name(&room) {
            return Err(Rejection::bad_request());
        }
        let topic = format!("mirror/{room}");
        let wanted = Subscribe::new().member(MEMBER).watched().presence();
        let subscribed = handshake.sender().subscribe(&topic, &wanted);
        subscribed.map_err(|_| Rejection::service_unavailable())?;
        Ok(topic)
    }

    fn message(&self, topic: &mut String, peer: &Sender, message: Message<'_>) {
        match message {
            Message::Text(text) if is_circle(text) => {
                // A room without its server's memory is no room: nobody sees the circle, and the next one may be seen.
                let _ = peer.topics().publish_with(topic, message, CIRCLE);
            }
            _ => {
                let _ = peer.close_with(POLICY_VIOLATION, "not a circle");
            }
        }
    }

    /// Circles go to the client as they were published; how many members there are is put into words here.
    fn topic(&self, _topic: &mut String, peer: &Sender, event: &TopicEvent<'_>) -> Delivery {
        if let News::Joined { members, .. } | News::Left { members, .. } | News::Members(members) =
            event.news
        {
            let news = serde_json::json!({ "members": members, "process": std::process::id() });
            let text = news.to_string();
            let _ = peer.send_text(&text);
        }
        Delivery::Pass
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

export_plugin!(mirror_init, Mirror);

#[cfg(test)]
mod tests;
