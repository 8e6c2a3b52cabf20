//! A client of a world, and what it gets.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::peer::Peer;
use super::received::Received;
use crate::abi;

/// A client whose WebSocket is open, or has been. Dropped, it vanishes without a Close frame.
pub struct Client<'w> {
    pub(super) world: &'w World,
    pub(super) peer: Arc<Peer>,
}

/// A handshake that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body, where the plugin has given one of its own: media type and content.
    pub body: Option<(String, Vec<u8>)>,
    /// The header fields that the plugin has set.
    pub headers: Vec<(String, String)>,
    /// What it has logged.
    pub lines: Vec<(log::Level, String)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handshake was refused with {}", self.status)
    }
}

impl std::error::Error for Refusal {}

impl Client<'_> {
    /// Sends a text message. A plugin that has closed does not get it.
    pub fn send_text(&self, text: &str) {
        self.world
            .deliver(&self.peer, abi::MESSAGE_TYPE_TEXT, text.as_bytes());
    }

    /// Sends a binary message; as [`Client::send_text`].
    pub fn send_binary(&self, payload: &[u8]) {
        self.world
            .deliver(&self.peer, abi::MESSAGE_TYPE_BINARY, payload);
    }

    /// Sends a Pong, asked for or not. One that says what the plugin's latest ping says answers it: `pong` gets the time
    /// between the two, on the world's clock.
    ///
    /// # Panics
    /// When the payload has more than 125 bytes (RFC 6455 §5.5).
    pub fn pong(&self, payload: &[u8]) {
        assert!(payload.len() <= 125, "a Pong has at most 125 bytes");
        self.world.pong(&self.peer, payload);
    }

    /// Answers the latest ping, as clients do that have got several; says whether there was one that had no answer yet.
    /// A client that is silent does not call it.
    pub fn answer_ping(&self) -> bool {
        let ping = self.peer.latest_ping();
        if let Some(payload) = &ping {
            self.pong(payload);
        }
        ping.is_some()
    }

    /// What has come since the last call of this or of [`Client::next`].
    pub fn received(&self) -> Vec<Received> {
        self.peer.take_received()
    }

    /// What comes next, for which a thread of the plugin's may take up to 5 seconds of real time.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn next(&self) -> Received {
        let received = self.peer.wait_for_next(Duration::from_secs(5));
        received.expect("nothing came in 5 seconds")
    }

    /// The client takes nothing any more: `try_send` says that it would block. `send` goes on, as into a buffer without
    /// end, since nobody else could have it return.
    pub fn stop_reading(&self) {
        self.peer.set_room(false);
    }

    /// It takes what there is again; `writable` is called if somebody waits for that.
    pub fn read_again(&self) {
        self.peer.set_room(true);
        self.world.settle();
    }

    /// Closes, and gets the answer.
    pub fn close(&self, code: u16, reason: &str) {
        self.world.end(&self.peer, code, reason, true);
        self.world.settle();
    }

    /// Goes without a Close frame.
    pub fn vanish(&self) {
        self.world.end(&self.peer, 1006, "", false);
        self.world.settle();
    }

    /// Whether the WebSocket is open.
    pub fn is_open(&self) -> bool {
        self.peer.private().is_some()
    }

    /// A header field that the plugin has set for the 101.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = self.peer.headers().into_iter();
        let mut named = headers.filter(|(set, _)| set.eq_ignore_ascii_case(name));
        named.next_back().map(|(_, value)| value)
    }

    /// The subprotocol that the plugin has chosen.
    pub fn subprotocol(&self) -> Option<String> {
        self.peer.subprotocol()
    }

    /// What the plugin has logged about this connection.
    pub fn lines(&self) -> Vec<(log::Level, String)> {
        self.peer.lines()
    }
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.vanish();
    }
}
