//! The timers of one connection: several of the plugin's on the server's one.

use core::time::Duration;
use std::collections::BTreeMap;
use std::time::Instant;

/// A timer of a connection's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    /// That of `set_timer`.
    Plain,
    /// That of `set_timer_for`.
    Keyed(u32),
}

/// The shortest time of a timer: one that a timer's callback sets is for another call of the server's.
const SHORTEST: Duration = Duration::from_millis(1);

/// When each of them is due.
#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeMap<Timer, Instant>,
    /// What the server has been asked for.
    armed: Option<Instant>,
}

impl Timers {
    /// Sets a timer, or takes it back. What the server is to be asked for, if anything: `None` for no call at all.
    pub(crate) fn set(
        &mut self,
        timer: Timer,
        after: Option<Duration>,
        now: Instant,
    ) -> Option<Option<Duration>> {
        match after {
            Some(after) => self.due.insert(timer, now + after.max(SHORTEST)),
            None => self.due.remove(&timer),
        };
        match (self.due.get(&timer).copied(), self.earliest()) {
            // Just as it was asked for.
            (Some(own), Some(earliest)) if own == earliest => {
                self.armed = Some(earliest);
                Some(after)
            }
            // Asked for in any case: the server may have forgotten one that ran out.
            (None, None) => {
                self.armed = None;
                Some(None)
            }
            _ => self.next(now),
        }
    }

    /// Takes the one that was due first, of those that are due: none, when another thread has meanwhile taken back or set
    /// anew what the server's call was for. One by one, so that what one's callback takes back is not called.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = self.due.iter().filter(|(_, at)| **at <= now);
        let first = due.min_by_key(|(_, at)| **at).map(|(timer, _)| *timer);
        if let Some(timer) = first {
            self.due.remove(&timer);
        }
        // For one that is due the server need not be asked: it is the next that is taken.
        self.armed = self.earliest().filter(|at| *at <= now);
        first
    }

    /// What the server is to be asked for, if that is something else than before.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Option<Duration>> {
        let earliest = self.earliest();
        if earliest == self.armed {
            return None;
        }
        self.armed = earliest;
        Some(earliest.map(|at| at.saturating_duration_since(now)))
    }

    /// What the server has been asked for, if it may be asked again: one that is all but due would be put off each time, since the
    /// server counts whole milliseconds.
    pub(crate) fn armed(&self, now: Instant) -> Option<Duration> {
        let left = self.armed.map(|at| at.saturating_duration_since(now));
        left.filter(|left| *left > SHORTEST)
    }

    fn earliest(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_server_is_asked_for_the_earliest() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        assert_eq!(
            timers.set(Timer::Keyed(1), Some(3 * SECOND), now),
            Some(Some(3 * SECOND))
        );
        assert_eq!(timers.set(Timer::Keyed(2), Some(5 * SECOND), now), None);
        assert_eq!(
            timers.set(Timer::Plain, Some(SECOND), now),
            Some(Some(SECOND))
        );
        assert_eq!(timers.set(Timer::Plain, None, now), Some(Some(3 * SECOND)));
        assert_eq!(
            timers.set(Timer::Keyed(1), Some(9 * SECOND), now),
            Some(Some(5 * SECOND))
        );
        assert_eq!(
            timers.set(Timer::Keyed(2), None, now),
            Some(Some(9 * SECOND))
        );
        assert_eq!(timers.set(Timer::Keyed(1), None, now), Some(None));
    }

    #[test]
    fn one_that_is_all_but_due_is_not_put_off() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.set(Timer::Plain, Some(SECOND), now);
        let half = now + SECOND / 2;
        assert_eq!(timers.set(Timer::Keyed(1), Some(9 * SECOND), half), None);
        assert_eq!(timers.armed(half), Some(SECOND / 2));
        let almost = now + SECOND - SHORTEST / 2;
        assert_eq!(timers.set(Timer::Keyed(1), Some(9 * SECOND), almost), None);
        for late in [almost, now + SECOND, now + 2 * SECOND] {
            assert_eq!(timers.armed(late), None);
        }
    }

    #[test]
    fn those_that_are_due_come_in_their_order_and_once() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.set(Timer::Keyed(7), Some(2 * SECOND), now);
        timers.set(Timer::Plain, Some(3 * SECOND), now);
        timers.set(Timer::Keyed(8), Some(SECOND), now);
        timers.set(Timer::Keyed(9), Some(9 * SECOND), now);
        let later = now + 4 * SECOND;
        for timer in [Timer::Keyed(8), Timer::Keyed(7), Timer::Plain] {
            assert_eq!(timers.take_due(later), Some(timer));
        }
        assert_eq!(timers.take_due(later), None);
        assert_eq!(timers.next(later), Some(Some(5 * SECOND)));
        assert_eq!(timers.next(later), None);
    }

    #[test]
    fn a_call_for_nothing_is_for_no_timer() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        assert_eq!(timers.take_due(now), None);
        timers.set(Timer::Keyed(1), Some(SECOND), now);
        timers.set(Timer::Keyed(1), None, now);
        assert_eq!(timers.take_due(now + SECOND), None);
        // Set anew while the server's call for the old one was on its way.
        timers.set(Timer::Plain, Some(SECOND), now);
        timers.set(Timer::Plain, Some(9 * SECOND), now + SECOND);
        assert_eq!(timers.take_due(now + SECOND), None);
        assert_eq!(timers.next(now + SECOND), Some(Some(9 * SECOND)));
        assert_eq!(timers.take_due(now + 10 * SECOND), Some(Timer::Plain));
    }

    #[test]
    fn one_that_is_due_can_be_taken_back_by_the_one_before_it() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        for key in 1..=3 {
            timers.set(Timer::Keyed(key), Some(key * SECOND), now);
        }
        let later = now + 4 * SECOND;
        assert_eq!(timers.take_due(later), Some(Timer::Keyed(1)));
        // The server is not asked for one that comes next anyway.
        assert_eq!(timers.set(Timer::Plain, Some(SECOND), later), None);
        assert_eq!(
            timers.set(Timer::Keyed(2), None, later),
            Some(Some(Duration::ZERO))
        );
        assert_eq!(
            timers.set(Timer::Keyed(3), Some(9 * SECOND), later),
            Some(Some(SECOND))
        );
        assert_eq!(timers.take_due(later), None);
        assert_eq!(timers.next(later), Some(Some(SECOND)));
    }
}
