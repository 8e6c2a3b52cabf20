//! What a session is given of the outside: its plugin, its driver, this machine.

use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use loaded_plugin::{Plugin, PluginPrivate, Verdict};
use server_functions::{Pings, ServerTable, letters};
use session::{Application, Environment, Machine, Observer, ThreadId, Waiter};
use subscribers::Attendance;
use websocket_plugin::abi;
use websocket_proto::MessageKind;

use crate::driver::Driver;
use crate::generation::Generation;
use crate::running::Begun;
use crate::transport::Transport;

/// The outside of one WebSocket.
pub struct Outside {
    /// What the plugin sees; its state is the connection.
    pub server: ServerTable,
    pub generation: Arc<Generation>,
    /// The plugin's, once it has accepted.
    pub private: OnceLock<PluginPrivate>,
    pub driver: OnceLock<Weak<Driver>>,
    pub number: u64,
    /// Its subscriptions.
    pub attendance: Attendance,
    pub pings: Pings,
}

impl Outside {
    /// Asks whether the plugin takes the connection. Before any other callback, on the thread that has made it.
    pub fn on_connect(&self) -> Verdict {
        let _begun = self.begin("on_connect");
        // SAFETY: the connection is new, and lives for the call; nobody else runs its callbacks.
        unsafe { self.generation.plugin().on_connect(self.server.as_ptr()) }
    }

    /// The plugin has accepted a connection that it had refused before: it gets back what it keeps for it.
    pub fn give_back(&self, private: PluginPrivate) {
        let _begun = self.begin("on_disconnect");
        // SAFETY: as in `on_connect`; this is called once, and `private` is from this acceptance.
        unsafe {
            self.generation
                .plugin()
                .on_disconnect(private, self.server.as_ptr());
        }
    }

    /// Who drives it, from its opening on and while somebody does.
    pub fn driver(&self) -> Option<Arc<Driver>> {
        self.driver.get().and_then(Weak::upgrade)
    }

    /// There is room, or a letter.
    fn goes_on(&self) {
        let Some(connection) = self.generation.connection(self.number) else {
            return;
        };
        letters::go_on(connection.session(), &self.attendance, |letter| {
            let mut passes = false;
            self.call("on_topic", |plugin, private, server| {
                // SAFETY: as in `on_open`.
                passes = unsafe { plugin.on_topic(private, server, letter) };
            });
            passes
        });
    }

    fn begin(&self, name: &'static str) -> Begun {
        self.generation.begin_callback(name, self.number)
    }

    /// What every callback takes; only the plugin that has accepted this connection gets any.
    fn call(
        &self,
        name: &'static str,
        callback: impl FnOnce(&Plugin, PluginPrivate, *const abi::WebSocketServer),
    ) {
        if let Some(&private) = self.private.get() {
            let _begun = self.begin(name);
            callback(self.generation.plugin(), private, self.server.as_ptr());
        }
    }
}

impl Environment for Outside {
    type Transport = Transport;
}

/// The calls to the plugin. The session makes them on one thread at a time, so that they never overlap, and
/// on_disconnect last.
impl Application for Outside {
    fn on_open(&self) {
        self.call("on_open", |plugin, private, server| {
            // SAFETY: the table lives as long as this does; the rest is as this `impl`'s comment says, and `call`.
            unsafe { plugin.on_open(private, server) }
        });
    }

    fn on_message(&self, kind: MessageKind, payload: &mut [u8], _begin: Instant) -> Instant {
        self.call("on_message", |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_message(private, server, kind, payload) }
        });
        Instant::now()
    }

    fn on_writable(&self) {
        self.goes_on();
        self.call("on_writable", |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_writable(private, server) }
        });
    }

    fn on_called(&self) {
        self.goes_on();
    }

    fn on_timer(&self) {
        self.call("on_timer", |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_timer(private, server) }
        });
    }

    fn on_pong(&self, payload: &[u8], heartbeat: Option<Duration>) -> Option<Range<Instant>> {
        if !self.generation.plugin().has_on_pong() {
            return None;
        }
        let round_trip = heartbeat.or_else(|| self.pings.answered(payload));
        let begin = Instant::now();
        self.call("on_pong", |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_pong(private, server, payload, round_trip) }
        });
        Some(begin..Instant::now())
    }

    fn on_close(&self, code: u16, reason: &str, is_clean: bool) {
        self.call("on_close", |plugin, private, server| {
            // SAFETY: as in `on_open`.
            unsafe { plugin.on_close(private, server, code, reason, is_clean) }
        });
    }

    fn on_disconnect(&self) {
        self.attendance.end();
        self.call("on_disconnect", |plugin, private, server| {
            // SAFETY: as in `on_open`; the session calls this once.
            unsafe { plugin.on_disconnect(private, server) }
        });
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
            driver.set_timer(deadline);
        }
    }

    fn wait_to_write(&self, deadline: Option<Instant>) {
        if let Some(driver) = self.driver() {
            driver.wait_to_write(deadline);
        }
    }
}

/// Nobody counts.
impl Observer for Outside {
    fn bytes_in(&self, _count: usize) {}

    fn bytes_out(&self, _count: usize) {}

    fn queued(&self, _count: usize) {}

    fn message_in(&self) {}

    fn message_out(&self) {}

    fn ping_round_trip(&self, _time: Duration) {}

    fn closing(&self) {}

    fn closed(&self, _code: u16) {
        self.generation.remove(self.number);
    }
}

impl Machine for Outside {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }

    fn current_thread(&self) -> ThreadId {
        // The address of what each thread has of its own; never 0.
        thread_local!(static HERE: u8 = const { 0 });
        ThreadId(HERE.with(|here| std::ptr::from_ref(here).addr()))
    }
}
