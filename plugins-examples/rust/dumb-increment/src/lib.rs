//! Counts up on every WebSocket, one number each 50 ms; the text `reset\n` starts again from 0.
//!
//! ```text
//! <Location "/dumb-increment">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_dumb_increment.so dumb_increment_init
//! </Location>
//! ```
//!
//! It speaks the subprotocol `dumb-increment-protocol`, and refuses a client that does not offer it
//! with HTTP status 403. Each number is a text message. A client that reads slowly gets all of them,
//! later; meanwhile nothing waits for it.
//!
//! There is no thread: each connection has the server call [`Plugin::timer`] after 50 ms, so that
//! thousands of them count on two threads.

#![forbid(unsafe_code)]

use std::time::Duration;

use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin};

const SUBPROTOCOL: &str = "dumb-increment-protocol";
const INTERVAL: Duration = Duration::from_millis(50);

struct DumbIncrement;

impl Plugin for DumbIncrement {
    /// The next number.
    type Connection = u64;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<u64, Rejection> {
        if !handshake.choose_subprotocol(SUBPROTOCOL) {
            return Err(Rejection::forbidden());
        }
        handshake.sender().set_timer(INTERVAL)?;
        Ok(0)
    }

    fn message(&self, next: &mut u64, _peer: &Sender, message: Message<'_>) {
        if message.as_bytes() == b"reset\n" {
            *next = 0;
        }
    }

    fn timer(&self, next: &mut u64, peer: &Sender) {
        // When the peer is slow, `writable` sends this number, and the counting goes on from there.
        if peer.try_send(Message::Text(&next.to_string())).is_ok() {
            *next += 1;
            // An error says that the connection is closing: there is nothing more to count.
            let _ = peer.set_timer(INTERVAL);
        }
    }

    fn writable(&self, next: &mut u64, peer: &Sender) {
        self.timer(next, peer);
    }
}

export_plugin!(dumb_increment_init, DumbIncrement);

#[cfg(test)]
mod tests;
