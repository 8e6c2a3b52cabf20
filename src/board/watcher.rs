//! The thread that does for a child what others ask of it through the board.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use figures::{Order, Seat, Threads};
use httpd::futex;
use httpd::thread::Thread;

use crate::log;

/// How often it looks for callbacks that do not return.
const LOOK: Duration = Duration::from_secs(5);

/// What the board wants of the child.
pub trait Occupant: Send + Sync {
    /// Does with connections what an operator wants, as far as they are still there; called on a thread of the board's own.
    fn obey(&self, order: &Order);

    /// Looks for callbacks that do not return; called on that thread every few seconds.
    fn look_at_callbacks(&self);

    /// What the child's threads are doing.
    fn threads(&self) -> Threads;

    /// How many bytes its unfinished messages have.
    fn message_memory(&self) -> u64;
}

/// The running watcher.
pub struct Watcher {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    seat: Arc<Seat<'static>>,
    occupant: Weak<dyn Occupant>,
    is_stopping: AtomicBool,
}

impl Watcher {
    /// Starts it.
    pub fn start(seat: Arc<Seat<'static>>, occupant: Weak<dyn Occupant>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            seat,
            occupant,
            is_stopping: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        let thread = Thread::spawn(c"websocket-kick", move || its.run())?;
        Ok(Watcher { shared, thread })
    }

    /// Ends it, and waits for its end when `join`.
    pub fn stop(self, join: bool) {
        self.shared.is_stopping.store(true, Ordering::Release);
        ring(self.shared.seat.bell());
        if join {
            self.thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let bell = self.seat.bell();
        let mut next_look = Instant::now();
        loop {
            // Before it looks, so that what comes afterwards rings.
            let seen = bell.load(Ordering::Acquire);
            if self.is_stopping.load(Ordering::Acquire) {
                return;
            }
            let Some(occupant) = self.occupant.upgrade() else {
                return;
            };
            for order in self.seat.take_orders() {
                occupant.obey(&order);
            }
            self.seat.set_threads(occupant.threads());
            self.seat.set_message_memory(occupant.message_memory());
            let now = Instant::now();
            // Not at each bell: every status page that is read rings.
            if now >= next_look {
                occupant.look_at_callbacks();
                log::tell_repeats(false);
                next_look = now + LOOK;
            }
            drop(occupant);
            futex::wait(bell, seen, next_look.saturating_duration_since(now));
        }
    }
}

/// Has a child's watcher look.
pub fn ring(bell: &AtomicU64) {
    bell.fetch_add(1, Ordering::Release);
    futex::wake(bell);
}
