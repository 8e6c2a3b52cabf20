//! What a session has of the outside: its connection, whom its messages are for, and its driver.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use session::Session;
use session::environment::{Application, Environment, Machine, Observer, ThreadId, Waiter};
use websocket_proto::MessageKind;

use crate::child::locked;
use crate::connection::Connection;
use crate::driver::{Driver, this_task};
use crate::poller::Asked;
use crate::transport::Socket;

/// The session of the simulation.
pub type SimulatedSession = Session<Server>;

pub struct Server {
    pub driver: Driver,
    connection: Weak<Connection>,
}

impl Server {
    pub fn new(driver: Driver, connection: Weak<Connection>) -> Self {
        Server { driver, connection }
    }

    /// In a callback: the session survives a panic of its application, and so would one that says that a promise is broken.
    fn in_callback(&self, body: impl FnOnce(&Connection)) {
        let connection = self.connection.upgrade().expect("its session calls");
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&connection))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.unwrap_or_else(|| "a callback has panicked".to_owned());
            locked(&connection.town.broken_promise).get_or_insert(text);
            resume_unwind(panic);
        }
    }
}

impl Environment for Server {
    type Transport = Socket;
}

impl Application for Server {
    fn on_open(&self) {}

    fn on_message(&self, _: MessageKind, payload: &mut [u8], _: Instant) -> Instant {
        self.in_callback(|connection| connection.does(payload));
        self.now()
    }

    fn on_writable(&self) {
        self.in_callback(|connection| connection.goes_on());
    }

    fn on_called(&self) {
        self.in_callback(|connection| connection.goes_on());
    }

    fn on_timer(&self) {}

    fn on_pong(&self, _: &[u8], _: Option<Duration>) -> Option<Range<Instant>> {
        None
    }

    fn on_close(&self, _: u16, _: &str, _: bool) {}

    fn on_disconnect(&self) {
        self.in_callback(|connection| connection.leaves());
    }
}

impl Waiter for Server {
    fn wake(&self) {
        let driver = &self.driver;
        match &driver.own_task {
            None => {
                driver.poller.ring_room();
                if driver.edges.queue() {
                    driver.poller.job();
                }
            }
            Some(task) if task.load(Ordering::SeqCst) != this_task() => driver.poller.ring(),
            Some(_) => {}
        }
    }

    fn stalled(&self, deadline: Option<Instant>) {
        self.driver.world.mark("the socket is full");
        match self.driver.own_task {
            None => self.driver.set_timer(deadline),
            Some(_) => self.wake(),
        }
    }

    fn wait_to_write(&self, deadline: Option<Instant>) {
        let poller = &self.driver.poller;
        if self.driver.own_task.is_none() {
            poller.wait_for_room(deadline);
            return;
        }
        let asked = Asked {
            input: false,
            output: true,
            end: false,
        };
        poller.wait(asked, deadline);
    }
}

impl Observer for Server {
    fn bytes_in(&self, _: usize) {}
    fn bytes_out(&self, _: usize) {}
    fn queued(&self, _: usize) {}
    fn message_in(&self) {}
    fn message_out(&self) {}
    fn ping_round_trip(&self, _: Duration) {}
    fn closing(&self) {}
    fn closed(&self, _: u16) {}
}

impl Machine for Server {
    fn now(&self) -> Instant {
        self.driver.world.instant()
    }

    fn random(&self) -> u64 {
        self.driver.world.draw(|chance| chance.next())
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(this_task() + 1)
    }
}
