//! Plugins that panic, each in one callback, and echo where they can:
//!
//! | init function            | panics |
//! |--------------------------|--------|
//! | `panic_init_init`        | in the init function, which then returns NULL |
//! | `panic_configure_init`   | in `configure`: a configuration error |
//! | `panic_child_start_init` | in `child_start`: every connection gets 500 |
//! | `panic_connect_init`     | in every `on_connect` |
//! | `panic_open_init`        | in every `on_open` |
//! | `panic_message_init`     | in `on_message`, except for texts that begin with `echo` |
//! | `panic_timer_init`       | in `on_timer`, at once after the 101 |
//! | `panic_close_init`       | in every `on_close` |
//! | `panic_disconnect_init`  | in every `on_disconnect` |
//! | `panic_child_stop_init`  | in `child_stop` |
//! | `panic_destroy_init`     | in `destroy` |
//!
//! What they leave in the error log, at level error: `panicked at <place>: on purpose: in <callback>`,
//! then `<init function>: panic in <callback>`. (After that a backtrace, if RUST_BACKTRACE asks for
//! it.) For `init`, `configure` and `destroy` the lines are not httpd's own, and begin with
//! `websocket plugin: error: `.

#![forbid(unsafe_code)]

use std::time::Duration;

use websocket_plugin::{
    Closing, Handshake, Message, Options, Plugin, Process, Rejection, Sender, export_plugin,
};

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Init,
    Configure,
    ChildStart,
    Connect,
    Open,
    Message,
    Timer,
    Close,
    Disconnect,
    ChildStop,
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

    fn configure(&self, _options: &Options<'_>) -> Result<(), String> {
        assert!(self.0 != Place::Configure, "on purpose: in configure");
        Ok(())
    }

    fn child_start(&self, _process: &Process) {
        assert!(self.0 != Place::ChildStart, "on purpose: in child_start");
    }

    fn child_stop(&self, _graceful: bool) {
        assert!(self.0 != Place::ChildStop, "on purpose: in child_stop");
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        assert!(self.0 != Place::Connect, "on purpose: in on_connect");
        if self.0 == Place::Timer {
            handshake.sender().set_timer(Duration::ZERO)?;
        }
        Ok(())
    }

    fn open(&self, (): &mut (), _peer: &Sender) {
        assert!(self.0 != Place::Open, "on purpose: in on_open");
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        let echo = message.as_bytes().starts_with(b"echo");
        assert!(
            echo || self.0 != Place::Message,
            "on purpose: in on_message"
        );
        let _ = peer.send(message);
    }

    fn timer(&self, (): &mut (), _peer: &Sender) {
        panic!("on purpose: in on_timer");
    }

    fn closed(&self, (): &mut (), _closing: &Closing<'_>) {
        assert!(self.0 != Place::Close, "on purpose: in on_close");
    }

    fn disconnect(&self, (): ()) {
        websocket_plugin::log::info!("disconnected");
        assert!(self.0 != Place::Disconnect, "on purpose: in on_disconnect");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        assert!(self.0 != Place::Destroy, "on purpose: in destroy");
    }
}

export_plugin!(panic_init_init, Panicking::new(Place::Init));
export_plugin!(panic_configure_init, Panicking::new(Place::Configure));
export_plugin!(panic_child_start_init, Panicking::new(Place::ChildStart));
export_plugin!(panic_connect_init, Panicking::new(Place::Connect));
export_plugin!(panic_open_init, Panicking::new(Place::Open));
export_plugin!(panic_message_init, Panicking::new(Place::Message));
export_plugin!(panic_timer_init, Panicking::new(Place::Timer));
export_plugin!(panic_close_init, Panicking::new(Place::Close));
export_plugin!(panic_disconnect_init, Panicking::new(Place::Disconnect));
export_plugin!(panic_child_stop_init, Panicking::new(Place::ChildStop));
export_plugin!(panic_destroy_init, Panicking::new(Place::Destroy));
