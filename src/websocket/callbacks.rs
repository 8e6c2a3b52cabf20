//! The calls to the plugin of an open connection.
//!
//! Whoever has the reader makes them: that is one thread at a time, so that they never overlap, and who ends the
//! WebSocket takes the reader for good, so that on_disconnect is the last one.

use std::sync::atomic::Ordering;
use std::time::Instant;

use websocket_plugin::abi;
use websocket_proto::MessageKind;

use crate::lock::lock;
use crate::plugin::{Plugin, PluginPrivate};
use crate::websocket::calling::Callback;
use crate::websocket::connection::Connection;
use crate::websocket::ending::Ending;
use crate::websocket::turn::Reader;

impl Connection {
    /// The 101 is out.
    pub(crate) fn on_open(&self, _: &mut Reader) {
        self.call(Callback::OnOpen, |plugin, private, server| {
            // SAFETY: as this module's comment says; `call` has the rest.
            unsafe { plugin.on_open(private, server) }
        });
    }

    /// A message has arrived; the plugin may change it in place.
    pub(crate) fn on_message(&self, _: &mut Reader, kind: MessageKind, payload: &mut [u8]) {
        self.call(Callback::OnMessage, |plugin, private, server| {
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
            self.call(Callback::OnWritable, |plugin, private, server| {
                // SAFETY: as in `on_open`.
                unsafe { plugin.on_writable(private, server) }
            });
        }
        let is_due = |timer: &mut Instant| *timer <= Instant::now();
        if self.timer().is_some()
            && lock(&self.asked.timer).take_if(is_due).is_some()
            && !self.outbox.is_close_sent()
        {
            self.call(Callback::OnTimer, |plugin, private, server| {
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

    /// The WebSocket has ended like this.
    pub(crate) fn on_close(&self, _: &Reader, ending: &Ending) {
        let (code, reason) = ending.code_and_reason();
        self.call(Callback::OnClose, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_close(private, server, code, reason, ending.is_clean()) }
        });
    }

    /// It is over. The reader has been taken, and nobody gets it again.
    pub(crate) fn on_disconnect(&self, _: &Reader) {
        self.call(Callback::OnDisconnect, |plugin, private, server| {
            // SAFETY: as in `on_open`; this is called once.
            unsafe { plugin.on_disconnect(private, server) }
        });
    }

    /// What every callback takes; only the plugin that has accepted this connection gets any.
    fn call(
        &self,
        name: Callback,
        callback: impl FnOnce(&Plugin, PluginPrivate, *const abi::WebSocketServer),
    ) {
        if let Some(&private) = self.private.get() {
            let start = Instant::now();
            self.calling.begin(name, start);
            callback(&self.plugin, private, self.server());
            let time = start.elapsed();
            self.called(start, time);
            self.entry().callback_took(time);
        }
    }
}
