//! The thread that keeps the time and the number of workers.
//!
//! While nothing happens it sleeps until the next timer, or for ever. It is awake, with a look at the
//! workers every few milliseconds, as long as callbacks could hold something up: while no worker waits
//! for events, or events lie in a batch, or jobs in their queue. Workers see to that with one load in
//! [`Supervisor::ensure_awake`](crate::supervisor::Supervisor::ensure_awake).
//!
//! It says how many workers are to be active: as many as are in [`Demand`]; `min_threads` for a while
//! after callbacks have blocked; and more while workers get *stuck* one after the other, that is, stay in
//! the same callback for a look or two and asleep in the kernel, or for longer and not. Stuck ones do not
//! count as active, so each gets a replacement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::demand::{Demand, Observation};
use crate::job::Job;
use crate::sync::atomic::Ordering;
use crate::sync::lock;
use crate::worker::{Snapshot, Worker};
use crate::{sys, work};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(4);

/// The same while workers get stuck one after the other.
const QUICK_LOOK: Duration = Duration::from_millis(1);

/// It goes to sleep when nothing was to be done at so many looks; after the first it would be called
/// back for every other event.
const QUIET_LOOKS: u32 = 16;

/// How long it goes on in that way after the last one got stuck.
const QUICK_FOR: Duration = Duration::from_millis(10);

/// How long a callback that has blocked is a reason to have more than one worker wait for events,
/// though one could keep up.
const WARY_FOR: Duration = Duration::from_secs(1);

/// A callback this long is stuck even if it computes, or if nobody can tell.
const LONG: Duration = Duration::from_millis(8);

/// How long a failure to make a thread is left alone.
const RETRY: Duration = Duration::from_millis(100);

/// The body of the supervisor's thread.
pub(crate) fn run(core: &Arc<Core>) {
    let supervisor = &core.supervisor;
    supervisor
        .thread_id
        .store(sys::thread_id(), Ordering::Relaxed);
    let mut watch = Watch::new(core);
    let mut due = Vec::new();
    while !core.is_stopping() {
        let next_timer = fire_timers(core, &mut due);
        core.pool.reap();
        let mut look = watch.look(core);
        if look.is_some() {
            supervisor.stay_awake();
        } else if !supervisor.rest_unless(|| !watch.is_quiet(core)) {
            look = Some(LOOK);
        }
        let timer = next_timer.map(|tick| core.clock.until(tick));
        let time = [look, timer].into_iter().flatten().min();
        supervisor.sleep(time);
    }
    supervisor.thread_id.store(0, Ordering::Relaxed);
}

/// Hands what is due to the workers; returns the tick of the next timer.
fn fire_timers(core: &Core, due: &mut Vec<Job>) -> Option<u64> {
    let next = {
        let mut timers = lock(&core.timers);
        timers.take_due(&core.registry, core.clock.now(), due);
        timers.sleep()
    };
    if !due.is_empty() {
        core.jobs.extend(due);
        core.call_for_help();
    }
    next
}

/// What the supervisor remembers from look to look.
struct Watch {
    seen: Vec<Seen>,
    demand: Demand,
    /// When last there was reason to think that callbacks block.
    blocked_at: Option<Instant>,
    /// How many active workers it takes to get ahead of those that get stuck.
    boost: usize,
    /// At how many looks in a row some worker slept in a callback that had just begun, and may or may
    /// not take long.
    suspicions: u32,
    quiet_looks: u32,
    /// When making a thread failed.
    failed_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Seen {
    snapshot: Snapshot,
    since: Instant,
}

/// How many workers are probed at one look for whether they sleep; each costs a read in `/proc`.
const MOST_PROBES: usize = 8;

impl Watch {
    fn new(core: &Core) -> Self {
        let seen = Seen {
            snapshot: Snapshot::default(),
            since: Instant::now(),
        };
        Self {
            seen: vec![seen; core.config.max_threads],
            demand: Demand::new(core.config.min_threads, core.config.max_threads),
            blocked_at: None,
            boost: 0,
            suspicions: 0,
            quiet_looks: 0,
            failed_at: None,
        }
    }

    /// Looks at the workers and sees to it that there are enough. Returns the time until the next
    /// look, `None` if there is no need for one until a worker calls.
    fn look(&mut self, core: &Arc<Core>) -> Option<Duration> {
        let now = Instant::now();
        let waiting = core.waiting.count();
        let (stuck, seen) = self.inspect(core, now, waiting);
        self.demand.observe(now, seen);
        // Once in a while a callback waits for a lock; one after the other, it waits for more.
        if stuck > 0 || self.suspicions > 1 {
            self.blocked_at = Some(now);
        }
        let calm = self.blocked_at.map_or(Duration::MAX, |at| now - at);
        if stuck > 0 && (waiting == 0 || core.has_backlog()) {
            self.boost = 2 * stuck;
        } else if calm >= QUICK_FOR {
            self.boost = 0;
        }
        let least = if calm < WARY_FOR {
            core.config.min_threads
        } else {
            1
        };
        self.quiet_looks = if self.is_quiet(core) {
            self.quiet_looks + 1
        } else {
            0
        };
        let is_over = self.quiet_looks > QUIET_LOOKS;
        if is_over {
            self.quiet_looks = 0;
            self.demand.rest();
        }
        let target = self.demand.threads().max(self.boost).max(least);
        core.pool.set_target(target);
        self.replenish(core, now);
        if is_over {
            return None;
        }
        if core.has_backlog() {
            core.call_for_help();
        }
        let is_quick = self.boost > 0 || self.suspicions > 0;
        Some(if is_quick { QUICK_LOOK } else { LOOK })
    }

    /// Finds workers that have not moved on for too long, and marks them as stuck; returns how many,
    /// and what it saw.
    fn inspect(&mut self, core: &Core, now: Instant, waiting: usize) -> (usize, Observation) {
        let mut candidates = Vec::new();
        let (mut probed, mut asleep) = (0, 0);
        let mut is_suspicious = false;
        let workers = core.pool.workers().iter();
        for (index, (worker, seen)) in workers.zip(&mut self.seen).enumerate() {
            let snapshot = worker.activity();
            let is_new = snapshot != seen.snapshot;
            if is_new {
                let since = now;
                *seen = Seen { snapshot, since };
            }
            if !snapshot.in_callback() || snapshot.is_stuck() {
                continue;
            }
            let age = now - seen.since;
            if age >= LONG {
                candidates.push((index, snapshot));
                continue;
            }
            // One that has moved on since the last look is of interest only when nobody waits.
            if is_new && (waiting > 0 || probed == MOST_PROBES) {
                continue;
            }
            probed += 1;
            // The probe takes a while: only if the callback still runs was it asleep in that.
            if is_asleep(worker) && worker.activity() == snapshot {
                asleep += 1;
                if age >= QUICK_LOOK {
                    candidates.push((index, snapshot));
                } else {
                    is_suspicious = true;
                }
            }
        }
        self.suspicions = if is_suspicious {
            self.suspicions + 1
        } else {
            0
        };
        let seen = Observation {
            active: core.pool.active(),
            waiting,
            probed,
            asleep,
        };
        if candidates.is_empty() {
            return (0, seen);
        }
        (core.pool.mark_stuck(&candidates), seen)
    }

    fn replenish(&mut self, core: &Arc<Core>, now: Instant) {
        if self.failed_at.is_some_and(|at| now - at < RETRY) {
            return;
        }
        match work::replenish(core) {
            Ok(()) => self.failed_at = None,
            Err(e) => {
                // Said once, not every time that it fails again.
                if self.failed_at.is_none() {
                    core.fault(&format!("cannot start a worker thread: {e}"));
                }
                self.failed_at = Some(now);
            }
        }
    }

    /// True if nothing can be held up by a callback, or nothing can be done about it.
    fn is_quiet(&self, core: &Core) -> bool {
        let counts = core.pool.counts();
        if counts.active == 0 && counts.threads == core.config.max_threads {
            return true;
        }
        self.boost == 0 && !self.demand.is_raised() && counts.active > 0 && core.is_attended()
    }
}

/// True if the worker's thread sleeps in the kernel; false too if that cannot be found out.
fn is_asleep(worker: &Worker) -> bool {
    let id = worker.thread_id.load(Ordering::Relaxed);
    // proc(5): "pid (comm) state ...", where comm may hold anything, parentheses too.
    std::fs::read(format!("/proc/self/task/{id}/stat")).is_ok_and(|stat| {
        let end = stat.iter().rposition(|&b| b == b')');
        let state = end.and_then(|end| stat.get(end + 2));
        matches!(state, Some(b'S' | b'D'))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "no /proc")]
    fn a_sleeping_thread_is_told_from_a_running_one() {
        let worker = Arc::new(Worker::new());
        worker.thread_id.store(sys::thread_id(), Ordering::Relaxed);
        assert!(!is_asleep(&worker), "it is running this test");
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let shared = Arc::clone(&worker);
        shared.thread_id.store(0, Ordering::Relaxed);
        assert!(!is_asleep(&worker), "nobody's number");
        let thread = std::thread::spawn(move || {
            shared.thread_id.store(sys::thread_id(), Ordering::Relaxed);
            let _ = ended.recv();
        });
        while !is_asleep(&worker) {
            std::thread::yield_now();
        }
        drop(end);
        thread.join().unwrap();
    }
}
