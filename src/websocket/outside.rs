//! What a session is given of the outside: its plugin, its driver, its figures, this machine.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use httpd::random::random;
use server_functions::ServerTable;
use session::{Application, Environment, Machine, Observer, Outgoing, Receiver, ThreadId, Waiter};
use websocket_plugin::abi;
use websocket_proto::MessageKind;

use crate::board::{Callback, Calling, Entry};
use crate::lock::lock;
use crate::plugin::{Plugin, PluginPrivate};
use crate::websocket::driver::Driver;
use crate::websocket::listener::NotTaken;
use crate::websocket::place::Place;
use crate::websocket::purpose::Purpose;
use crate::websocket::transport::Transport;

/// Whom an outside tells what it cannot do itself.
pub trait Overseer: Send + Sync {
    /// A callback has returned, after this very long time.
    fn took_very_long(&self, name: &'static str, time: Duration);

    /// It, kept until what others have given it is written.
    fn receiver(self: Arc<Self>) -> Arc<dyn Receiver>;

    /// A message of the client's is not published, and it is closed with this code and reason.
    fn refuses_message(&self, why: NotTaken);
}

/// The outside of one WebSocket.
pub struct Outside {
    /// What the plugin sees; its `state` is the connection.
    pub(super) server: ServerTable,
    pub(super) purpose: Purpose,
    /// The plugin's, once it has accepted.
    pub(super) private: OnceLock<PluginPrivate>,
    pub(super) driver: OnceLock<Weak<dyn Driver>>,
    pub(super) place: Place,
    /// Lets the board say which callback runs.
    pub(super) calling: Calling,
    /// The plugin's latest ping, and when it went out.
    pinged: Mutex<Option<(Vec<u8>, Instant)>>,
    /// Whose outside it is.
    pub(super) connection: Weak<dyn Overseer>,
}

impl Outside {
    /// The outside of a WebSocket whose plugin has not been asked yet.
    pub fn new(
        connection: Weak<dyn Overseer>,
        server: ServerTable,
        purpose: Purpose,
        place: Place,
    ) -> Self {
        Outside {
            calling: Calling::of_connection(place.entry(), purpose.name()),
            server,
            purpose,
            private: OnceLock::new(),
            driver: OnceLock::new(),
            place,
            pinged: Mutex::default(),
            connection,
        }
    }

    /// Its figures.
    pub fn entry(&self) -> &Entry {
        self.place.entry()
    }

    /// Who waits for the socket, once the connection is open and while it is driven.
    pub fn driver(&self) -> Option<Arc<dyn Driver>> {
        self.driver.get().and_then(Weak::upgrade)
    }

    /// The plugin sends something: the round trip of a ping is its to know.
    #[inline(always)]
    pub fn sends(&self, outgoing: &Outgoing<'_>) {
        if let Outgoing::Ping(payload) = outgoing
            && self.has_on_pong()
        {
            *lock(&self.pinged) = Some((payload.to_vec(), Instant::now()));
        }
    }

    fn has_on_pong(&self) -> bool {
        let plugin = self.purpose.plugin();
        plugin.is_some_and(|plugin| plugin.has_on_pong())
    }

    /// How long the plugin's latest ping was under way, when this pong answers it.
    fn round_trip(&self, payload: &[u8]) -> Option<Duration> {
        let is_answered = |pinged: &mut (Vec<u8>, Instant)| pinged.0 == payload;
        let (_, sent) = lock(&self.pinged).take_if(is_answered)?;
        Some(sent.elapsed())
    }

    /// What every callback takes; only the plugin that has accepted this connection gets any.
    fn call(
        &self,
        name: Callback,
        callback: impl FnOnce(&Plugin, PluginPrivate, *const abi::WebSocketServer),
    ) {
        self.call_at(name, Instant::now(), callback);
    }

    /// The same, when the time is known. Says what time it is afterwards.
    #[inline]
    fn call_at(
        &self,
        name: Callback,
        begin: Instant,
        callback: impl FnOnce(&Plugin, PluginPrivate, *const abi::WebSocketServer),
    ) -> Instant {
        let (Some(plugin), Some(&private)) = (self.purpose.plugin(), self.private.get()) else {
            return begin;
        };
        let call = || callback(plugin, private, self.server.as_ptr());
        self.run_at(name, begin, call).1
    }

    /// Runs a callback of the plugin's, and lets it be known which.
    pub(super) fn run<T>(&self, callback: Callback, call: impl FnOnce() -> T) -> T {
        self.run_at(callback, Instant::now(), call).0
    }

    #[inline]
    fn run_at<T>(
        &self,
        callback: Callback,
        begin: Instant,
        call: impl FnOnce() -> T,
    ) -> (T, Instant) {
        let returned = self.calling.run(callback, begin, call);
        if returned.is_to_be_told
            && let Some(connection) = self.connection.upgrade()
        {
            connection.took_very_long(callback.name(), returned.time);
        }
        self.entry().callback_took(returned.time);
        (returned.result, returned.end)
    }
}

impl Environment for Outside {
    type Transport = Transport;
}

/// The calls to the plugin. The session makes them on one thread at a time, so that they never overlap, and
/// on_disconnect last.
impl Application for Outside {
    fn on_open(&self) {
        self.call(Callback::Open, |plugin, private, server| {
            // SAFETY: the table lives as long as this does; the rest is as this `impl`'s comment says, and `call`.
            unsafe { plugin.on_open(private, server) }
        });
    }

    fn on_message(&self, kind: MessageKind, payload: &mut [u8], begin: Instant) -> Instant {
        if let Some(listener) = self.purpose.listener() {
            if let Err(why) = listener.publish(kind, payload)
                && let Some(connection) = self.connection.upgrade()
            {
                connection.refuses_message(why);
            }
            return Instant::now();
        }
        self.call_at(Callback::Message, begin, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_message(private, server, kind, payload) }
        })
    }

    fn on_writable(&self) {
        if let Some(listener) = self.purpose.listener() {
            listener.go_on();
            return;
        }
        self.call(Callback::Writable, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_writable(private, server) }
        });
    }

    fn on_timer(&self) {
        self.call(Callback::Timer, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_timer(private, server) }
        });
    }

    fn on_pong(&self, payload: &[u8], heartbeat: Option<Duration>) {
        if !self.has_on_pong() {
            return;
        }
        let round_trip = heartbeat.or_else(|| self.round_trip(payload));
        self.call(Callback::Pong, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_pong(private, server, payload, round_trip) }
        });
    }

    fn on_close(&self, code: u16, reason: &str, is_clean: bool) {
        self.call(Callback::Close, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_close(private, server, code, reason, is_clean) }
        });
    }

    fn on_disconnect(&self) {
        if let Some(listener) = self.purpose.listener() {
            listener.leave();
            return;
        }
        self.call(Callback::Disconnect, |plugin, private, server| {
            // SAFETY: as in `on_open`; the session calls this once.
            unsafe { plugin.on_disconnect(private, server) }
        });
    }

    fn while_blocked(&self, wait: impl FnOnce()) {
        self.calling.outside(wait);
    }
}

impl Waiter for Outside {
    fn wake(&self) {
        if let Some(driver) = self.driver() {
            driver.wake();
        }
    }

    fn stalled(&self, deadline: Option<Instant>) {
        if let Some(driver) = self.driver() {
            driver.stalled(deadline);
        }
    }

    fn wait_to_write(&self, deadline: Option<Instant>) -> bool {
        self.driver()
            .is_some_and(|driver| driver.wait_to_write(deadline))
    }
}

impl Observer for Outside {
    fn bytes_in(&self, count: usize) {
        self.entry().bytes_in(count);
    }

    fn bytes_out(&self, count: usize) {
        self.entry().bytes_out(count);
    }

    fn queued(&self, count: usize) {
        self.entry().queued(count);
    }

    fn message_in(&self) {
        self.entry().message_in();
    }

    fn message_out(&self) {
        self.entry().message_out();
    }

    fn ping_round_trip(&self, time: Duration) {
        self.entry().ping_round_trip(time);
    }

    fn closing(&self) {
        self.entry().closing();
    }

    fn closed(&self, code: u16) {
        self.place.closed();
        self.entry().closed(code);
    }
}

impl Machine for Outside {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> u64 {
        random()
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(httpd::socket::current_thread())
    }
}
