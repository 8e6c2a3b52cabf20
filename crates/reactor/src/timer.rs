//! When timers fire.
//!
//! A source's deadline is an atomic word in its slot, and pushing it back writes that word and
//! nothing else: the entry here stays where it is, and when its old time comes the supervisor finds
//! the later deadline and moves the entry there. So a timer that every message pushes back costs one
//! look here per period. Only a deadline earlier than the entry takes the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::job::Job;
use crate::registry::{MAX_TICK, Registry, Token, UNSCHEDULED};
use crate::sync::atomic::Ordering;
use crate::sys::{self, ClockKind};

/// The unit of timers, in milliseconds.
const TICK: u64 = 10;

/// From this many milliseconds on a timer is rounded up to multiples of [`COARSE_TICKS`], so that ten
/// thousand of them wake the supervisor twenty times a second and not a hundred.
const COARSE_FROM: u64 = 1_000;
const COARSE_TICKS: u64 = 5;

/// Counts ticks since the reactor's start.
pub(crate) struct Clock {
    origin: u64,
    /// What the coarse clock may lag behind, rounding included; added to deadlines so that no timer
    /// fires early.
    lag: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let lag = sys::coarse_resolution().as_millis() as u64;
        Self {
            // One tick back, because tick 0 means "no deadline".
            origin: millis(sys::monotonic(ClockKind::Coarse)).saturating_sub(TICK),
            lag: lag + 1,
        }
    }

    /// The tick that has last begun.
    pub(crate) fn now(&self) -> u64 {
        let now = millis(sys::monotonic(ClockKind::Precise));
        now.saturating_sub(self.origin) / TICK
    }

    /// How long until `tick` begins; zero if it has.
    pub(crate) fn until(&self, tick: u64) -> Duration {
        let begin = Duration::from_millis(self.origin + tick * TICK);
        begin.saturating_sub(sys::monotonic(ClockKind::Precise))
    }

    /// The first tick that begins no earlier than `after` from now.
    pub(crate) fn tick_after(&self, after: Duration) -> u64 {
        let after = millis(after);
        let now = millis(sys::monotonic(ClockKind::Coarse)).saturating_sub(self.origin);
        // Another millisecond for what `millis` cut off from `after`.
        let at = (now + self.lag + 1).saturating_add(after);
        let tick = at.div_ceil(TICK).min(MAX_TICK);
        if after < COARSE_FROM {
            return tick;
        }
        tick.next_multiple_of(COARSE_TICKS).min(MAX_TICK)
    }
}

/// Not `as_millis`, whose 128 bits cost more than all the rest of setting a timer.
fn millis(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000);
    seconds.saturating_add(u64::from(time.subsec_millis()))
}

/// The entries, ordered by tick. Behind one lock.
#[derive(Default)]
pub(crate) struct Timers {
    /// At most one per slot, and `SlotTimer::scheduled` says which.
    slots: BTreeSet<(u64, u32)>,
    /// One-off jobs, with a number that keeps those of one tick in order.
    jobs: BTreeMap<(u64, u64), Job>,
    next_job: u64,
    /// The tick until which the supervisor means to sleep; an earlier entry has to wake it.
    sleeps_until: u64,
    closed: bool,
}

impl Timers {
    /// Makes the entry of slot `index` fit its deadline, if that is earlier. True: the supervisor
    /// has to be woken for it.
    #[must_use]
    pub(crate) fn schedule(&mut self, registry: &Registry, index: u32) -> bool {
        let Some(slot) = registry.slot(index) else {
            return false;
        };
        let Some((tick, _)) = slot.timer.deadline() else {
            return false;
        };
        let scheduled = slot.timer.scheduled.load(Ordering::Relaxed);
        if scheduled <= tick || self.closed {
            return false;
        }
        if scheduled != UNSCHEDULED {
            self.slots.remove(&(scheduled, index));
        }
        slot.timer.scheduled.store(tick, Ordering::SeqCst);
        self.slots.insert((tick, index));
        tick < self.sleeps_until
    }

    /// Takes the entry of slot `index` out, whose occupant has left. True: the supervisor has to be
    /// woken for the next occupant's.
    #[must_use]
    pub(crate) fn forget(&mut self, registry: &Registry, index: u32) -> bool {
        let Some(slot) = registry.slot(index) else {
            return false;
        };
        let scheduled = slot.timer.scheduled.swap(UNSCHEDULED, Ordering::SeqCst);
        if scheduled != UNSCHEDULED {
            self.slots.remove(&(scheduled, index));
        }
        // The slot may be taken again already, by one who counts on the entry just removed.
        self.schedule(registry, index)
    }

    /// Adds a job for `tick`. `Ok(true)`: the supervisor has to be woken for it. The job comes back
    /// when this is closed.
    pub(crate) fn add_job(&mut self, tick: u64, job: Job) -> Result<bool, Job> {
        if self.closed {
            return Err(job);
        }
        self.jobs.insert((tick, self.next_job), job);
        self.next_job += 1;
        Ok(tick < self.sleeps_until)
    }

    /// Moves what is due at `now` to `due`, in order of time.
    pub(crate) fn take_due(&mut self, registry: &Registry, now: u64, due: &mut Vec<Job>) {
        while let Some(&(tick, index)) = self.slots.first() {
            if tick > now {
                break;
            }
            self.slots.pop_first();
            let Some(slot) = registry.slot(index) else {
                continue;
            };
            // First the entry goes, then the deadline is read; `Handle::set_timer` goes the other
            // way round, so one of the two sees the other.
            slot.timer.scheduled.store(UNSCHEDULED, Ordering::SeqCst);
            match slot.timer.deadline() {
                None => {}
                Some((tick, generation)) if tick <= now => {
                    due.push(Job::Expired(Token::of_timer(index, generation)));
                }
                Some(_) => {
                    // Pushed back meanwhile. The supervisor, whose call this is, needs no waking.
                    let _ = self.schedule(registry, index);
                }
            }
        }
        while let Some(entry) = self.jobs.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
    }

    /// The tick of the earliest entry, until which the supervisor is going to sleep.
    pub(crate) fn sleep(&mut self) -> Option<u64> {
        let slot = self.slots.first().map(|&(tick, _)| tick);
        let job = self.jobs.first_key_value().map(|(&(tick, _), _)| tick);
        let next = [slot, job].into_iter().flatten().min();
        self.sleeps_until = next.unwrap_or(u64::MAX);
        next
    }

    /// Takes no more entries; gives back the jobs, for the caller to drop when it holds no lock.
    pub(crate) fn close(&mut self) -> Vec<Job> {
        self.closed = true;
        self.slots.clear();
        std::mem::take(&mut self.jobs).into_values().collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Readiness, Scratch, Source};

    struct Nothing;

    impl Source for Nothing {
        fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}
    }

    fn sources<const N: usize>() -> (Registry, [Token; N]) {
        let registry = Registry::new();
        let tokens = [(); N].map(|()| registry.insert(Arc::new(Nothing)).unwrap());
        (registry, tokens)
    }

    fn set(timers: &mut Timers, registry: &Registry, token: Token, tick: u64) -> bool {
        let slot = registry.slot(token.index()).unwrap();
        assert!(slot.timer.set(token.generation(), tick));
        slot.timer.scheduled.load(Ordering::SeqCst) > tick
            && timers.schedule(registry, token.index())
    }

    fn due(timers: &mut Timers, registry: &Registry, now: u64) -> Vec<Token> {
        let mut jobs = Vec::new();
        timers.take_due(registry, now, &mut jobs);
        jobs.into_iter()
            .map(|job| match job {
                Job::Expired(token) => token,
                _ => panic!("not a source's timer"),
            })
            .collect()
    }

    #[test]
    fn timers_come_in_the_order_of_their_ticks() {
        let (registry, [a, b, c]) = sources();
        let mut timers = Timers::default();
        set(&mut timers, &registry, a, 30);
        set(&mut timers, &registry, b, 10);
        set(&mut timers, &registry, c, 20);
        assert_eq!(due(&mut timers, &registry, 9), []);
        assert_eq!(timers.sleep(), Some(10));
        assert_eq!(due(&mut timers, &registry, 30), [b, c, a]);
        assert_eq!(timers.sleep(), None);
    }

    #[test]
    fn a_later_deadline_moves_the_entry_only_when_it_comes_up() {
        let (registry, [a]) = sources();
        let mut timers = Timers::default();
        set(&mut timers, &registry, a, 10);
        set(&mut timers, &registry, a, 50);
        assert_eq!(timers.sleep(), Some(10), "the old entry");
        assert_eq!(due(&mut timers, &registry, 10), []);
        assert_eq!(timers.sleep(), Some(50));
        assert_eq!(due(&mut timers, &registry, 50), [a]);
    }

    #[test]
    fn an_earlier_deadline_replaces_the_entry_at_once() {
        let (registry, [a]) = sources();
        let mut timers = Timers::default();
        set(&mut timers, &registry, a, 50);
        assert_eq!(timers.sleep(), Some(50));
        assert!(
            set(&mut timers, &registry, a, 10),
            "the supervisor sleeps too long"
        );
        assert_eq!(timers.sleep(), Some(10));
        assert_eq!(due(&mut timers, &registry, 10), [a]);
        assert_eq!(timers.sleep(), None, "no second entry is left");
    }

    #[test]
    fn a_cleared_timer_and_a_source_that_left_do_not_fire() {
        let (registry, [a, b]) = sources();
        let mut timers = Timers::default();
        set(&mut timers, &registry, a, 10);
        set(&mut timers, &registry, b, 10);
        set(&mut timers, &registry, a, 0);
        registry.remove(b, |_| ()).unwrap();
        assert_eq!(due(&mut timers, &registry, 10), []);
    }

    #[test]
    fn forgetting_takes_the_entry_out() {
        let (registry, [a]) = sources();
        let mut timers = Timers::default();
        set(&mut timers, &registry, a, 10);
        registry.remove(a, |_| ()).unwrap();
        assert!(!timers.forget(&registry, a.index()));
        assert_eq!(timers.sleep(), None);
        let b = registry.insert(Arc::new(Nothing)).unwrap();
        assert!(set(&mut timers, &registry, b, 12));
        assert_eq!(timers.sleep(), Some(12));
        assert!(
            !timers.forget(&registry, b.index()),
            "it sleeps till 12 at most"
        );
        assert_eq!(
            timers.sleep(),
            Some(12),
            "a late forget spares the next occupant"
        );
    }

    #[test]
    fn the_next_occupant_of_a_slot_has_its_own_timer() {
        let (registry, [a]) = sources();
        let mut timers = Timers::default();
        set(&mut timers, &registry, a, 10);
        registry.remove(a, |_| ()).unwrap();
        let b = registry.insert(Arc::new(Nothing)).unwrap();
        assert_eq!(a.index(), b.index());
        set(&mut timers, &registry, b, 20);
        assert_eq!(due(&mut timers, &registry, 10), []);
        assert_eq!(due(&mut timers, &registry, 20), [b]);
    }

    #[test]
    fn jobs_of_one_tick_keep_their_order() {
        let (registry, []) = sources();
        let mut timers = Timers::default();
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        for n in 0..3 {
            let log = Arc::clone(&log);
            let job = Job::Call(Box::new(move || log.lock().unwrap().push(n)));
            assert!(timers.add_job(5, job).is_ok());
        }
        let mut jobs = Vec::new();
        timers.take_due(&registry, 5, &mut jobs);
        for job in jobs {
            match job {
                Job::Call(f) => f(),
                _ => panic!("not a job"),
            }
        }
        assert_eq!(*log.lock().unwrap(), [0, 1, 2]);
        timers.close();
        assert!(timers.add_job(6, Job::Call(Box::new(|| ()))).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "no clock_getres")]
    fn a_tick_is_never_early_and_at_most_two_late() {
        let clock = Clock::new();
        assert!(clock.now() >= 1);
        for after in [0, 1, 10, 15, 100, 999].map(Duration::from_millis) {
            let begin = std::time::Instant::now();
            let until = clock.until(clock.tick_after(after));
            let late = until.saturating_sub(after);
            assert!(
                late <= Duration::from_millis(2 * TICK + clock.lag),
                "{after:?}: {late:?}"
            );
            // Time has passed between the two calls, however long this thread had to wait.
            assert!(until + begin.elapsed() + Duration::from_millis(5) >= after);
        }
        assert_eq!(clock.tick_after(Duration::from_secs(30)) % COARSE_TICKS, 0);
        assert_eq!(clock.tick_after(Duration::MAX), MAX_TICK);
    }
}
