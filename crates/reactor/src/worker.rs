//! The threads that run callbacks.

use std::sync::Condvar;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::core::Core;
use crate::poller::{self, Waited};
use crate::pool::Next;
use crate::registry::Token;
use crate::{Readiness, sys};

/// Work that comes through the queue of jobs.
pub(crate) enum Job {
    /// A closure.
    Call(Box<dyn FnOnce() + Send>),
    /// A source's timer is due, or was.
    Expired(Token),
    /// `Registration::notify`.
    Notify(Token),
}

/// The shared side of a worker thread: others look in here, and take from its batch.
#[repr(align(128))]
pub(crate) struct Worker {
    activity: Activity,
    pub(crate) batch: Batch,
    /// The kernel's number of the thread, 0 before it runs.
    pub(crate) thread_id: AtomicU32,
    /// Where the thread sleeps when the pool has put it aside; goes with the pool's lock.
    pub(crate) resume: Condvar,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self {
            activity: Activity::default(),
            batch: Batch::new(),
            thread_id: AtomicU32::new(0),
            resume: Condvar::new(),
        }
    }

    pub(crate) fn activity(&self) -> Snapshot {
        Snapshot(self.activity.0.load(Ordering::Acquire))
    }

    /// Marks the callback that `seen` shows as stuck; false if it is over or was marked before.
    pub(crate) fn mark_stuck(&self, seen: Snapshot) -> bool {
        seen.in_callback()
            && !seen.is_stuck()
            && self
                .activity
                .0
                .compare_exchange(seen.0, seen.0 | STUCK, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
}

/// Counts callbacks; odd in units of [`STEP`] while one runs. Only the worker itself counts, so it
/// needs no atomic addition; the supervisor may set the lowest bit.
#[derive(Default)]
struct Activity(AtomicU64);

const STUCK: u64 = 1;
const STEP: u64 = 2;

/// A worker's activity at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    pub(crate) fn in_callback(self) -> bool {
        self.0 & STEP != 0
    }

    pub(crate) fn is_stuck(self) -> bool {
        self.0 & STUCK != 0
    }
}

/// How many jobs a worker does before it looks for events again.
const JOBS_IN_A_ROW: usize = 32;
/// After how long it does no further one. Sources that always have more to do come back as jobs, and those that have
/// something once in a while as events: these wait for one such job if none takes longer than this.
const SLICE: Duration = Duration::from_micros(100);

/// The body of a worker thread.
pub(crate) fn run(core: &Core, index: usize) {
    let me = &core.workers[index];
    me.thread_id.store(sys::thread_id(), Ordering::Relaxed);
    let mut buffer = poller::event_buffer();
    while !core.is_stopping() {
        if let Some(event) = me.batch.take() {
            dispatch(core, me, event);
            continue;
        }
        let jobs_left = do_jobs(core, me);
        if let Some(event) = steal(core, index) {
            dispatch(core, me, event);
            continue;
        }
        // Batch and hands are empty: a good moment to step back.
        if core.pool.has_too_many_active() {
            match core.pool.park(core, index) {
                Next::Continue => continue,
                Next::End => return,
            }
        }
        let timeout = match core.pool.patience(core) {
            _ if jobs_left => 0,
            None => FOREVER,
            Some(patience) => millis(patience),
        };
        let waited = wait(core, me, timeout, &mut buffer);
        if waited == Waited::TimedOut {
            match core.pool.leave(core, index) {
                Next::Continue => {}
                Next::End => return,
            }
        }
    }
    core.pool.quit(core, index);
}

const FOREVER: i32 = -1;

fn millis(time: Duration) -> i32 {
    // At least one: zero would be no wait, and a worker that never sleeps.
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// Waits for events and fills the worker's batch with them.
fn wait(core: &Core, me: &Worker, timeout: i32, buffer: &mut sys::EventBuffer) -> Waited {
    let mut batch = me.batch.fill();
    core.waiting.0.fetch_add(1, Ordering::SeqCst);
    // Whoever adds a job or stops the reactor does so first and then looks who waits.
    let result = if timeout != 0 && (!core.jobs.is_empty() || core.is_stopping()) {
        Ok(Waited::Woken)
    } else {
        core.poller.wait(buffer, timeout, &mut batch)
    };
    let others = core.waiting.0.fetch_sub(1, Ordering::SeqCst) - 1;
    let events = batch.publish();
    // From now on the callbacks may block. While another worker waits, that one takes what comes
    // next; but what is in this batch, or among the jobs, or comes when nobody waits, is the
    // supervisor's care.
    let is_left = events > 0 && !core.jobs.is_empty();
    if others == 0 || events > 1 || is_left {
        core.supervisor.ensure_awake();
    }
    result.unwrap_or_else(|e| {
        core.fault(&format!("cannot wait for events: {e}"));
        std::thread::sleep(Duration::from_millis(10));
        Waited::Woken
    })
}

/// Does jobs, but not for ever; true if some are left.
fn do_jobs(core: &Core, me: &Worker) -> bool {
    let mut start = None;
    for _ in 0..JOBS_IN_A_ROW {
        let Some(job) = core.jobs.pop() else {
            return false;
        };
        let start = *start.get_or_insert_with(Instant::now);
        if !core.jobs.is_empty() {
            core.call_for_help();
        }
        callback(core, me, || do_job(core, job));
        if core.is_stopping() {
            return false;
        }
        if start.elapsed() >= SLICE {
            break;
        }
    }
    !core.jobs.is_empty()
}

fn do_job(core: &Core, job: Job) {
    match job {
        Job::Call(f) => core.guarded("a job", f),
        Job::Notify(token) => call_source(core, token, Readiness::NOTIFIED),
        Job::Expired(token) => {
            let Some(source) = core.registry.get(token) else {
                return;
            };
            core.guarded("a source's timer", move || {
                // Not before now is the deadline taken away: one set or cleared meanwhile counts.
                let slot = core.registry.slot(token.index());
                if slot.is_some_and(|s| s.timer.claim(token.generation(), core.clock.now())) {
                    source.expired();
                }
            });
        }
    }
}

/// Takes an event out of another worker's batch.
fn steal(core: &Core, index: usize) -> Option<u64> {
    let workers = &core.workers[..core.pool.high()];
    let (before, after) = workers.split_at(index.min(workers.len()));
    let others = after.iter().skip(1).chain(before);
    others
        .map(|worker| worker.batch.take())
        .find_map(|event| event)
}

/// Runs the callback of an event.
fn dispatch(core: &Core, me: &Worker, event: u64) {
    let (token, readiness) = Token::split(event);
    callback(core, me, || call_source(core, token, readiness));
}

/// Calls a source, if it is still there.
fn call_source(core: &Core, token: Token, readiness: Readiness) {
    if let Some(source) = core.registry.get(token) {
        core.guarded("a source", move || source.ready(readiness));
    }
}

/// Runs `f` as a callback that the supervisor has an eye on.
fn callback(core: &Core, me: &Worker, f: impl FnOnce()) {
    let idle = me.activity.0.load(Ordering::Relaxed);
    me.activity.0.store(idle + STEP, Ordering::Release);
    f();
    let marked = me.activity.0.swap(idle + 2 * STEP, Ordering::AcqRel);
    if marked & STUCK != 0 {
        core.pool.unstuck();
        core.supervisor.ensure_awake();
    }
}
