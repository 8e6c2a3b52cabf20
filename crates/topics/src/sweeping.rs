//! Who sweeps must not wait, and makes up for what was not possible.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::bell::Bell;
use crate::log::Log;
use crate::table::Owner;

/// A [sweep](Log::sweep) that is owed, until there is one.
pub struct Sweeping {
    is_owed: AtomicBool,
}

impl Sweeping {
    /// One that is owed: what has been before nobody knows.
    pub const fn owed() -> Self {
        Sweeping {
            is_owed: AtomicBool::new(true),
        }
    }

    /// A child has ended.
    pub fn owe(&self) {
        self.is_owed.store(true, Ordering::Relaxed);
    }

    /// Sweeps, if it is owed, and wakes those who are to hear of it. Where another process has the lock, it stays owed: this does
    /// not wait for it longer than some milliseconds.
    pub fn settle(
        &self,
        log: &Log<'_>,
        is_alive: impl Fn(Owner) -> bool,
        bell: &(impl Bell + ?Sized),
    ) {
        if !self.is_owed.swap(false, Ordering::Relaxed) {
            return;
        }
        let gone = log.impatient().sweep(is_alive);
        if gone.is_err() {
            self.owe();
        }
        // Some of them may have left all the same.
        if gone != Ok(0) {
            log.ring(bell);
        }
    }
}
