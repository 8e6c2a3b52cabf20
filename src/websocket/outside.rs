//! What a session is given of the outside: its plugin, its driver, its figures, this machine.

use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use httpd::random::random;
use server_functions::{Pings, ServerTable};
use session::footprint::addresses;
use session::{Application, Environment, Machine, Observer, Receiver, ThreadId, Waiter};
use subscribers::{Attendance, Letter};
use websocket_plugin::abi;
use websocket_proto::MessageKind;

use crate::board::{Callback, Calling, Entry};
use crate::plugin::{Plugin, PluginPrivate};
use crate::websocket::driver::Driver;
use crate::websocket::listener::Listener;
use crate::websocket::place::Place;
use crate::websocket::purpose::Purpose;
use crate::websocket::transport::Transport;

/// Whom an outside tells what it cannot do itself.
pub trait Overseer: Send + Sync {
    /// A callback has returned, after this very long time.
    fn took_very_long(&self, name: &'static str, time: Duration);

    /// It, kept until what others have given it is written.
    fn receiver(self: Arc<Self>) -> Arc<dyn Receiver>;

    /// Publishes a message of the client's, which is closed when it may not be.
    fn publishes(&self, listener: &Listener, kind: MessageKind, payload: &[u8]);

    /// There is room, or a letter: goes on with the plugin's subscriptions.
    fn goes_on(&self, attendance: &Attendance);
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
    /// Its plugin's subscriptions, once it has had one.
    pub(super) attendance: OnceLock<Box<Attendance>>,
    /// The plugin's pings that no Pong has answered yet.
    pings: Pings,
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
            attendance: OnceLock::new(),
            pings: Pings::default(),
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

    /// A plugin looks at what was published; says whether it goes to the client. In a turn, like any other callback.
    pub(super) fn on_topic(&self, letter: &Letter) -> bool {
        let mut passes = false;
        self.call(Callback::Topic, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            passes = unsafe { plugin.on_topic(private, server, letter) };
        });
        passes
    }

    /// The WebSocket ends, and its plugin's subscriptions with it.
    pub(super) fn end_attendance(&self) {
        if let Some(attendance) = self.attendance.get() {
            attendance.end();
        }
    }

    /// The plugin's pings, when their round trips are its to know.
    pub fn pings(&self) -> Option<&Pings> {
        self.has_on_pong().then_some(&self.pings)
    }

    fn has_on_pong(&self) -> bool {
        let plugin = self.purpose.plugin();
        plugin.is_some_and(|plugin| plugin.has_on_pong())
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
        let under_way = self.calling.begins(callback, begin);
        let result = call();
        let returned = under_way.returned();
        if returned.is_to_be_told
            && let Some(connection) = self.connection.upgrade()
        {
            connection.took_very_long(callback.name(), returned.time);
        }
        self.entry().callback_took(returned.time);
        (result, returned.end)
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
            if let Some(connection) = self.connection.upgrade() {
                connection.publishes(listener, kind, payload);
            }
            return Instant::now();
        }
        self.call_at(Callback::Message, begin, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_message(private, server, kind, payload) }
        })
    }

    fn on_writable(&self) {
        self.on_called();
        self.call(Callback::Writable, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_writable(private, server) }
        });
    }

    fn on_called(&self) {
        if let Some(listener) = self.purpose.listener() {
            listener.go_on();
        }
        if let (Some(attendance), Some(connection)) =
            (self.attendance.get(), self.connection.upgrade())
        {
            connection.goes_on(attendance);
        }
    }

    fn on_timer(&self) {
        self.call(Callback::Timer, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_timer(private, server) }
        });
    }

    fn on_pong(&self, payload: &[u8], heartbeat: Option<Duration>) -> Option<Range<Instant>> {
        if !self.has_on_pong() {
            return None;
        }
        let round_trip = heartbeat.or_else(|| self.pings.answered(payload));
        let begin = Instant::now();
        let end = self.call_at(Callback::Pong, begin, |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_pong(private, server, payload, round_trip) }
        });
        Some(begin..end)
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
        self.end_attendance();
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

    fn wait_to_write(&self, deadline: Option<Instant>) {
        if let Some(driver) = self.driver() {
            driver.wait_to_write(deadline);
        }
    }
}

impl Observer for Outside {
    fn footprint(&self) -> [Range<usize>; 2] {
        [addresses(&self.place), self.entry().counted_at()]
    }

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
