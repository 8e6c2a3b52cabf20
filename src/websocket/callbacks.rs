//! The calls to the plugin of an open connection.
//!
//! Whoever has the reader makes them: that is one thread at a time, so that they never overlap, and who ends the
//! WebSocket takes the reader for good, so that on_disconnect is the last one.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use websocket_plugin::abi;
use websocket_proto::MessageKind;

use crate::lock::lock;
use crate::plugin::{Plugin, PluginPrivate};
use crate::websocket::connection::Connection;
use crate::websocket::ending::Ending;
use crate::websocket::turn::Reader;

/// The callbacks of a connection, by the number that says which of them runs.
const NAMES: [&str; 9] = [
    "",
    "on_connect",
    "on_open",
    "on_message",
    "on_timer",
    "on_writable",
    "on_pong",
    "on_close",
    "on_disconnect",
];

/// A callback's number.
#[derive(Clone, Copy)]
pub(crate) enum Callback {
    Connect = 1,
    Open,
    Message,
    Timer,
    Writable,
    Pong,
    Close,
    Disconnect,
}

impl Connection {
    /// The name of the callback that runs now.
    pub fn running_callback(&self) -> Option<&'static str> {
        let number = self.running.load(Ordering::Relaxed);
        NAMES
            .get(usize::from(number))
            .copied()
            .filter(|_| number != 0)
    }

    /// The 101 is out.
    pub(crate) fn on_open(&self, _: &mut Reader) {
        self.call(Callback::Open, |plugin, private, server| {
            // SAFETY: as this module's comment says; `call` has the rest.
            unsafe { plugin.on_open(private, server) }
        });
    }

    /// A message has arrived; the plugin may change it in place.
    pub(crate) fn on_message(&self, _: &mut Reader, kind: MessageKind, payload: &mut [u8]) {
        self.call(Callback::Message, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_message(private, server, kind, payload) }
        });
    }

    /// Calls what the plugin has asked to be called for, as far as it is due.
    pub(crate) fn on_asked(&self, _: &mut Reader) {
        if self.asked.is_writable.load(Ordering::Acquire)
            && self.asked.is_writable.swap(false, Ordering::AcqRel)
            && !self.outbox.is_close_sent()
        {
            self.call(Callback::Writable, |plugin, private, server| {
                // SAFETY: as in `on_open`.
                unsafe { plugin.on_writable(private, server) }
            });
        }
        let is_due = |timer: &mut Instant| *timer <= Instant::now();
        if self.timer().is_some()
            && lock(&self.asked.timer).take_if(is_due).is_some()
            && !self.outbox.is_close_sent()
        {
            self.call(Callback::Timer, |plugin, private, server| {
                // SAFETY: as in `on_open`.
                unsafe { plugin.on_timer(private, server) }
            });
        }
    }

    /// When on_timer is due.
    pub(crate) fn timer(&self) -> Option<Instant> {
        match self.plugin.has_on_timer() {
            true => *lock(&self.asked.timer),
            false => None,
        }
    }

    /// A Pong has come. `heartbeat`: how long the ping that it answers was under way, if that was the module's own.
    pub(crate) fn on_pong(&self, _: &mut Reader, payload: &[u8], heartbeat: Option<Duration>) {
        if !self.plugin.has_on_pong() || self.outbox.is_close_sent() {
            return;
        }
        let round_trip = heartbeat.or_else(|| self.round_trip(payload));
        self.call(Callback::Pong, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_pong(private, server, payload, round_trip) }
        });
    }

    /// The WebSocket has ended like this.
    pub(crate) fn on_close(&self, _: &Reader, ending: &Ending) {
        let (code, reason) = ending.code_and_reason();
        self.call(Callback::Close, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_close(private, server, code, reason, ending.is_clean()) }
        });
    }

    /// It is over. The reader has been taken, and nobody gets it again.
    pub(crate) fn on_disconnect(&self, _: &Reader) {
        self.call(Callback::Disconnect, |plugin, private, server| {
            // SAFETY: as in `on_open`; this is called once.
            unsafe { plugin.on_disconnect(private, server) }
        });
    }

    /// What every callback takes; only the plugin that has accepted this connection gets any.
    fn call(
        &self,
        number: Callback,
        callback: impl FnOnce(&Plugin, PluginPrivate, *const abi::WebSocketServer),
    ) {
        if let Some(&private) = self.private.get() {
            self.run(number, || callback(&self.plugin, private, self.server()));
        }
    }

    /// Runs a callback, and lets it be known which.
    pub(crate) fn run<T>(&self, number: Callback, callback: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        self.running.store(number as u8, Ordering::Relaxed);
        let result = callback();
        self.running.store(0, Ordering::Relaxed);
        self.entry().callback_took(start.elapsed());
        result
    }
}
