//! Plugins that panic, each in one callback, and echo where they can:
//!
//! | init function           | panics |
//! |-------------------------|--------|
//! | `panic_init_init`       | in the init function, which then returns NULL |
//! | `panic_connect_init`    | in every `on_connect` |
//! | `panic_message_init`    | in `on_message`, except for texts that begin with `echo` |
//! | `panic_disconnect_init` | in every `on_disconnect` |
//! | `panic_destroy_init`    | in `destroy` |
//!
//! What they leave in the error log: the panic hook's lines (`panicked at`, then `on purpose: in
//! <callback>`), then `websocket plugin <init function>: panic in <callback>`.

#![forbid(unsafe_code)]

use websocket_plugin::{Handshake, Message, Plugin, Sender, export_plugin};

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Init,
    Connect,
    Message,
    Disconnect,
    Destroy,
}

struct Panicking(Place);

impl Panicking {
    fn new(place: Place) -> Self {
        assert!(place != Place::Init, "on purpose: in init");
        Self(place)
    }
}

impl Plugin for Panicking {
    type Connection = ();

    fn connect(&self, _handshake: &Handshake<'_>) -> Option<()> {
        assert!(self.0 != Place::Connect, "on purpose: in on_connect");
        Some(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        let echo = message.as_bytes().starts_with(b"echo");
        assert!(
            echo || self.0 != Place::Message,
            "on purpose: in on_message"
        );
        let _ = peer.send(message);
    }

    fn disconnect(&self, (): ()) {
        assert!(self.0 != Place::Disconnect, "on purpose: in on_disconnect");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        assert!(self.0 != Place::Destroy, "on purpose: in destroy");
    }
}

export_plugin!(panic_init_init, Panicking::new(Place::Init));
export_plugin!(panic_connect_init, Panicking::new(Place::Connect));
export_plugin!(panic_message_init, Panicking::new(Place::Message));
export_plugin!(panic_disconnect_init, Panicking::new(Place::Disconnect));
export_plugin!(panic_destroy_init, Panicking::new(Place::Destroy));
