//! The time that a turn has.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::environment::Machine;
use crate::limits::{EVENTS_PER_LOOK, LARGE_SLICE, SLICE};

/// The time that a turn has for input. Most turns have one message, and look at the clock before and behind it.
#[derive(Default)]
pub(crate) struct Slice {
    /// When its first message has come.
    pub begin: Option<Instant>,
    events: u32,
    /// Others are to have theirs.
    pub is_over: bool,
    /// What time it is, when that has just been looked at.
    pub now: Option<Instant>,
}

impl Slice {
    /// A message has been handled from `begin` to `end`.
    pub fn spend(&mut self, slice: Duration, begin: Instant, end: Instant) {
        self.is_over |= self.since(begin, end) >= slice;
    }

    /// The application has been called for what is no message, and has just returned.
    pub fn called(&mut self, call: Range<Instant>) {
        self.now = Some(call.end);
        self.spend(SLICE, call.start, call.end);
    }

    /// An event has been handled that takes little time: there may have been many of them.
    pub fn count(&mut self, machine: &impl Machine) {
        self.now = None;
        self.events += 1;
        if self.events.is_multiple_of(EVENTS_PER_LOOK) {
            let now = machine.now();
            self.spend(SLICE, now, now);
        }
    }

    /// There is more to read.
    pub fn go_on(&mut self, machine: &impl Machine) {
        let now = machine.now();
        self.is_over |= self.since(now, now) >= LARGE_SLICE;
    }

    fn since(&mut self, begin: Instant, end: Instant) -> Duration {
        let begin = *self.begin.get_or_insert(begin);
        end.saturating_duration_since(begin)
    }
}
