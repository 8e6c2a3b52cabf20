//! What one sends, all receive, by the SDK's own [`Room`].

#![forbid(unsafe_code)]

use websocket_plugin::{Handshake, Message, Plugin, Rejection, Room, Seat, Sender, export_plugin};

#[derive(Default)]
struct Everybody(Room);

impl Plugin for Everybody {
    type Connection = Seat;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Seat, Rejection> {
        Ok(self.0.join(handshake.sender(), ()))
    }

    fn message(&self, _: &mut Seat, _: &Sender, message: Message<'_>) {
        self.0.send(message);
    }
}

export_plugin!(room_init, Everybody::default());
