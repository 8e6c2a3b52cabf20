//! How many workers it pays to have active.
//!
//! Under load one is best as long as it keeps up: while several wait for events, each event wakes
//! another thread, none finds more than one, and the threads take processor time from each other and
//! from whoever sends the events. So work begins with one. More are in demand when, for a whole round of
//! looks, none of them ever waits: up to `min_threads` if the machine has processors to spare, and up to
//! `max_threads` if callbacks sleep most of the time (each of them too briefly to be found stuck).
//!
//! At rest there are two: one to take an event, and one to take the next should the first callback
//! block, so that the supervisor need not be woken to keep an eye on it.

use std::time::{Duration, Instant};

/// The number of active workers in demand, and the observations that it follows from.
pub(crate) struct Demand {
    threads: usize,
    min: usize,
    max: usize,
    is_resting: bool,
    next: Instant,
    round: Round,
    idle: IdleMeter,
}

/// Sums over the looks of a round.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    looks: usize,
    /// Looks at which no worker waited.
    short: usize,
    /// Active workers that did not wait.
    busy: usize,
    /// Workers seen in a callback, as far as they were probed.
    probed: usize,
    /// Those of them that slept.
    asleep: usize,
}

/// What one look at the workers has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observation {
    pub(crate) active: usize,
    pub(crate) waiting: usize,
    pub(crate) probed: usize,
    pub(crate) asleep: usize,
}

impl Demand {
    const EVERY: Duration = Duration::from_millis(4);
    const ROUND: usize = 16;

    pub(crate) fn new(min: usize, max: usize) -> Self {
        Self {
            threads: 1,
            min,
            max,
            is_resting: false,
            next: Instant::now(),
            round: Round::default(),
            idle: IdleMeter::default(),
        }
    }

    /// How many workers should be active.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// More than there should be while nothing happens, so it has to be looked after.
    pub(crate) fn is_raised(&self) -> bool {
        self.threads > self.min
    }

    /// Nobody is going to look until there is something to do.
    pub(crate) fn rest(&mut self) {
        self.is_resting = true;
        self.threads = self.min.min(2);
    }

    /// Takes note of a look; too many in too short a time do not count.
    pub(crate) fn observe(&mut self, now: Instant, seen: Observation) {
        if self.is_resting {
            self.is_resting = false;
            self.round = Round::default();
            self.threads = 1;
        }
        if now < self.next {
            return;
        }
        self.next = now + Self::EVERY - Self::EVERY / 8;
        let round = &mut self.round;
        round.looks += 1;
        round.short += usize::from(seen.waiting == 0);
        round.busy += seen.active.saturating_sub(seen.waiting);
        round.probed += seen.probed;
        round.asleep += seen.asleep;
        if round.looks == Self::ROUND {
            let round = std::mem::take(round);
            self.threads = round.decide(self.threads, self.min, self.max, || {
                self.idle.processors(now)
            });
        }
    }
}

impl Round {
    /// The new demand after a round at `threads`. `idle` says how many processors have nothing to do,
    /// if that is known yet.
    fn decide(
        &self,
        threads: usize,
        min: usize,
        max: usize,
        idle: impl FnOnce() -> Option<f64>,
    ) -> usize {
        if self.short == self.looks {
            if 2 * self.asleep > self.probed {
                // So many that `min` of them are running.
                let running = (self.probed - self.asleep).max(1);
                let wanted = (min * self.probed).div_ceil(running);
                return wanted.clamp(threads, 2 * threads).min(max);
            }
            return match idle() {
                Some(idle) if threads < min && idle >= 0.5 => {
                    (threads + (idle as usize).clamp(1, threads)).min(min)
                }
                _ => threads,
            };
        }
        // One less would still have had time to wait, a third of it.
        let others = threads - 1;
        if 3 * self.busy <= 2 * others * self.looks {
            return threads - others.div_ceil(4);
        }
        threads
    }
}

/// Measures how many of the machine's processors are idle.
#[derive(Default)]
struct IdleMeter {
    last: Option<(Instant, u64)>,
}

impl IdleMeter {
    /// Longer ago it says nothing about now.
    const MEMORY: Duration = Duration::from_millis(500);

    /// The mean since the last call; `None` if that was too long ago. Infinite if the system does not
    /// tell.
    fn processors(&mut self, now: Instant) -> Option<f64> {
        let Some(ticks) = idle_ticks() else {
            return Some(f64::INFINITY);
        };
        let (then, before) = self.last.replace((now, ticks))?;
        let time = now - then;
        // A tick of proc(5), USER_HZ, is 10 ms on every architecture that Linux still runs on.
        let idle = Duration::from_millis(ticks.saturating_sub(before) * 10);
        (time <= Self::MEMORY && !time.is_zero()).then(|| idle.as_secs_f64() / time.as_secs_f64())
    }
}

/// The time that all processors together have been idle.
fn idle_ticks() -> Option<u64> {
    // proc(5): "cpu user nice system idle iowait ..."
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let mut fields = stat.lines().next()?.split_ascii_whitespace().skip(4);
    let idle: u64 = fields.next()?.parse().ok()?;
    let iowait: u64 = fields.next()?.parse().ok()?;
    Some(idle + iowait)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MIN: usize = 4;
    const MAX: usize = 25;

    fn decide(threads: usize, round: Round, idle: Option<f64>) -> usize {
        let looks = 16;
        Round { looks, ..round }.decide(threads, MIN, MAX, || idle)
    }

    fn short(probed: usize, asleep: usize) -> Round {
        Round {
            short: 16,
            busy: 1000,
            probed,
            asleep,
            ..Round::default()
        }
    }

    #[test]
    fn one_worker_that_keeps_up_stays_alone() {
        let round = Round {
            short: 15,
            busy: 15,
            ..Round::default()
        };
        assert_eq!(decide(1, round, Some(8.0)), 1);
    }

    #[test]
    fn busy_workers_get_company_if_there_are_idle_processors() {
        assert_eq!(decide(1, short(16, 0), Some(0.6)), 2);
        assert_eq!(decide(2, short(16, 0), Some(8.0)), 4);
        assert_eq!(decide(1, short(16, 0), Some(0.2)), 1);
        assert_eq!(decide(1, short(16, 0), None), 1, "not known yet");
        assert_eq!(decide(1, short(16, 0), Some(f64::INFINITY)), 2);
        assert_eq!(decide(MIN, short(16, 0), Some(8.0)), MIN);
    }

    #[test]
    fn sleeping_callbacks_raise_the_demand_beyond_min_and_to_the_double_at_most() {
        assert_eq!(decide(1, short(16, 16), None), 2);
        assert_eq!(decide(4, short(16, 16), None), 8);
        assert_eq!(decide(16, short(64, 64), None), MAX);
        // Two thirds asleep: three times the threads keep `MIN` running.
        assert_eq!(decide(8, short(30, 20), None), 12);
        assert_eq!(decide(16, short(30, 20), None), 16);
        assert_eq!(decide(8, short(30, 10), None), 8);
    }

    #[test]
    fn workers_that_mostly_wait_are_let_go() {
        let round = |busy| Round {
            short: 2,
            busy,
            ..Round::default()
        };
        assert_eq!(decide(2, round(16), None), 2);
        assert_eq!(decide(2, round(10), None), 1);
        assert_eq!(decide(25, round(16), None), 19);
        assert_eq!(decide(1, round(0), None), 1);
    }

    #[test]
    fn after_a_rest_work_begins_with_one() {
        let mut demand = Demand::new(MIN, MAX);
        let seen = Observation {
            active: 1,
            waiting: 0,
            probed: 1,
            asleep: 1,
        };
        let mut now = Instant::now();
        while !demand.is_raised() {
            demand.observe(now, seen);
            now += Demand::EVERY;
        }
        demand.rest();
        assert_eq!(demand.threads(), 2);
        demand.observe(now, seen);
        assert_eq!(demand.threads(), 1);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no /proc")]
    fn idle_time_is_measured_from_call_to_call() {
        let mut meter = IdleMeter::default();
        let now = Instant::now();
        assert_eq!(meter.processors(now), None);
        let idle = meter.processors(now + Duration::from_millis(100)).unwrap();
        assert!(idle >= 0.0);
        assert_eq!(meter.processors(now + Duration::from_secs(10)), None);
    }
}
