//! The side of the supervisor that the other threads see: whether it is awake, and how to call it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Condvar, Mutex, lock};

/// The side of the supervisor that the other threads see.
#[derive(Default)]
pub(crate) struct Supervisor {
    /// It looks after the workers, and needs no call to do so.
    is_awake: AtomicBool,
    is_called: Mutex<bool>,
    call: Condvar,
    pub(crate) thread_id: AtomicU32,
}

impl Supervisor {
    /// Makes sure that it looks after the workers: free while it does.
    pub(crate) fn ensure_awake(&self) {
        if !self.is_awake.load(Ordering::SeqCst) && !self.is_awake.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Ends its sleep, or the next one.
    pub(crate) fn wake(&self) {
        *lock(&self.is_called) = true;
        self.call.notify_one();
    }

    /// True if its next sleep is over before it begins.
    #[cfg(all(test, loom))]
    pub(crate) fn is_called(&self) -> bool {
        *lock(&self.is_called)
    }

    /// Says that it looks after the workers. Called by the supervisor only, as what follows.
    pub(crate) fn stay_awake(&self) {
        self.is_awake.store(true, Ordering::SeqCst);
    }

    /// Says that it does not look after the workers until it is called, unless it `is_needed`; true if so. First it says
    /// so, then it looks; a worker does something first, and then looks whether it is awake.
    pub(crate) fn rest_unless(&self, is_needed: impl FnOnce() -> bool) -> bool {
        self.is_awake.store(false, Ordering::SeqCst);
        let rests = !is_needed();
        if !rests {
            self.stay_awake();
        }
        rests
    }

    /// Sleeps until `wake`, and is awake then, or for `time`.
    pub(crate) fn sleep(&self, time: Option<Duration>) {
        if self.sleep_until_called(time) {
            self.stay_awake();
        }
    }

    /// True if woken.
    fn sleep_until_called(&self, time: Option<Duration>) -> bool {
        let start = Instant::now();
        let mut is_called = lock(&self.is_called);
        while !*is_called {
            is_called = match time.map(|time| time.saturating_sub(start.elapsed())) {
                None => self
                    .call
                    .wait(is_called)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.call
                        .wait_timeout(is_called, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *is_called = false;
        true
    }
}
