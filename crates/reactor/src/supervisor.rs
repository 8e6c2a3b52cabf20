//! The side of the supervisor that the other threads see: whether it is awake, and how to call it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// The side of the supervisor that the other threads see.
#[derive(Default)]
pub(crate) struct Supervisor {
    /// It looks after the workers, and needs no call to do so.
    pub(crate) is_awake: AtomicBool,
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

    /// Sleeps until `wake`, or for `time`. True if woken.
    pub(crate) fn sleep(&self, time: Option<Duration>) -> bool {
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
