//! Who has to sweep, and when: the process that hears of a child's end must not.
//!
//! That one may have more rights than the children, any of which may have written to the log's memory by a fault. A lock there is
//! pointers to follow. So it takes none, and only says that somebody has died ([`Log::note_death`]); a child sweeps, one of those
//! that hear of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::bell::Bell;
use crate::log::Log;
use crate::table::Owner;

/// What a process has seen of deaths.
#[derive(Default)]
pub struct Sweeping {
    /// How many had been noted when it last looked.
    seen: AtomicU64,
    /// It has tried to sweep for them, and could not.
    is_owed: AtomicBool,
}

impl Sweeping {
    /// Of a process that begins.
    pub const fn new() -> Self {
        Sweeping {
            seen: AtomicU64::new(0),
            is_owed: AtomicBool::new(false),
        }
    }

    /// Sweeps, if somebody has died and nobody else does, and wakes those who are to hear of it. Where another process has the
    /// lock, it stays owed: this does not wait for it longer than some milliseconds.
    pub fn settle(
        &self,
        log: &Log<'_>,
        is_alive: impl Fn(Owner) -> bool,
        bell: &(impl Bell + ?Sized),
    ) {
        let deaths = log.deaths();
        let is_news = self.seen.load(Ordering::Relaxed) != deaths;
        if !is_news && !self.is_owed.load(Ordering::Relaxed) {
            return;
        }
        self.seen.store(deaths, Ordering::Relaxed);
        let is_to = log.is_to_sweep(deaths);
        if !self.is_owed.swap(false, Ordering::Relaxed) && !is_to {
            return;
        }
        let gone = log.impatient().sweep(is_alive);
        if gone.is_err() {
            self.is_owed.store(true, Ordering::Relaxed);
        }
        // Some of them may have left all the same.
        if gone != Ok(0) {
            log.ring(bell);
        }
    }
}
