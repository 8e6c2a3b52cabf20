//! Sends every message back to the client that it came from.
//!
//! ```text
//! <Location "/echo">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_echo.so echo_init
//! </Location>
//! ```

#![forbid(unsafe_code)]

use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin};

struct Echo;

impl Plugin for Echo {
    type Connection = ();

    fn connect(&self, _handshake: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        // An error says that the connection is closing; there is nobody to echo to then.
        let _ = peer.send(message);
    }
}

export_plugin!(echo_init, Echo);

#[cfg(test)]
mod tests;
