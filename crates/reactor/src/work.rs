//! The body of a worker's thread: look for work, do it, wait for more.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::job::Job;
use crate::poller::{self, Waited};
use crate::pool::Next;
use crate::registry::Token;
use crate::sync::atomic::Ordering;
use crate::sys::Thread;
use crate::worker::Worker;
use crate::{Readiness, Scratch, sys};

/// How many jobs a worker does before it looks for events again.
const JOBS_IN_A_ROW: usize = 32;
/// After how long it does no further one. Sources that always have more to do come back as jobs, and those that have
/// something once in a while as events: these wait for one such job if none takes longer than this.
const SLICE: Duration = match cfg!(loom) {
    true => Duration::MAX, // a model knows no time
    false => Duration::from_micros(100),
};

/// Sees to it that as many workers are active as the pool's target says.
///
/// # Errors
///
/// What the system said when it refused a thread.
pub(crate) fn replenish(core: &Arc<Core>) -> io::Result<()> {
    core.pool.replenish(|index| {
        let shared = Arc::clone(core);
        let name = format!("{}-{index}", core.config.short_name());
        Thread::spawn(&name, core.config.stack_size, move || {
            let mut life = || run(&shared, index);
            match &shared.config.around_thread {
                Some(around) => around(&mut life),
                None => life(),
            }
        })
    })
}

/// The body of a worker thread. Whatever way it ends, the supervisor is told, which joins it.
pub(crate) fn run(core: &Core, index: usize) {
    let me = core.pool.worker(index);
    me.thread_id.store(sys::thread_id(), Ordering::Relaxed);
    let mut buffer = poller::event_buffer();
    let mut scratch = Scratch::default();
    while !core.is_stopping() {
        if let Some(event) = me.batch.take() {
            dispatch(core, me, event, &mut scratch);
            continue;
        }
        let jobs_left = do_jobs(core, me, &mut scratch);
        if let Some(event) = steal(core, index) {
            dispatch(core, me, event, &mut scratch);
            continue;
        }
        // Batch and hands are empty: a good moment to step back.
        if core.pool.has_too_many_active() {
            match core.pool.park(index) {
                Next::Continue => continue,
                Next::End => return core.supervisor.wake(),
            }
        }
        let timeout = match core.pool.patience() {
            _ if jobs_left => 0,
            None => FOREVER,
            Some(patience) => millis(patience),
        };
        let waited = wait(core, me, timeout, &mut buffer);
        if waited == Waited::TimedOut {
            match core.pool.leave(index) {
                Next::Continue => {}
                Next::End => return core.supervisor.wake(),
            }
        }
    }
    core.pool.quit(index);
    core.supervisor.wake();
}

const FOREVER: i32 = -1;

fn millis(time: Duration) -> i32 {
    // At least one: zero would be no wait, and a worker that never sleeps.
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// Waits for events and fills the worker's batch with them.
pub(crate) fn wait(
    core: &Core,
    me: &Worker,
    timeout: i32,
    buffer: &mut sys::EventBuffer,
) -> Waited {
    let mut batch = me.batch.fill();
    core.waiting.begin();
    // A thread that adds a job or stops the reactor does so first, and then looks which workers wait (see `waiting`).
    let result = if timeout != 0 && (!core.jobs.is_empty() || core.is_stopping()) {
        Ok(Waited::Woken)
    } else {
        core.poller.wait(buffer, timeout, &mut batch)
    };
    // First the events, then the count, which the supervisor looks at first (see `waiting`).
    let events = batch.publish();
    let others = core.waiting.end();
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
fn do_jobs(core: &Core, me: &Worker, scratch: &mut Scratch) -> bool {
    let mut start = None;
    for _ in 0..JOBS_IN_A_ROW {
        let Some(job) = core.jobs.pop() else {
            return false;
        };
        let start = *start.get_or_insert_with(Instant::now);
        if !core.jobs.is_empty() {
            core.call_for_help();
        }
        callback(core, me, || do_job(core, job, scratch));
        if core.is_stopping() {
            return false;
        }
        if start.elapsed() >= SLICE {
            break;
        }
    }
    !core.jobs.is_empty()
}

fn do_job(core: &Core, job: Job, scratch: &mut Scratch) {
    match job {
        Job::Call(f) => core.guarded("a job", f),
        Job::Notify(token) => call_source(core, token, Readiness::NOTIFIED, scratch),
        Job::Expired(token) => {
            let Some(source) = core.registry.get(token) else {
                return;
            };
            core.guarded("a source's timer", move || {
                // Not before now is the deadline taken away: one set or cleared meanwhile counts.
                let slot = core.registry.slot(token.index());
                if slot.is_some_and(|s| s.timer.take_due(token.generation(), core.clock.now())) {
                    source.expired(scratch);
                }
            });
        }
    }
}

/// Takes an event out of another worker's batch.
fn steal(core: &Core, index: usize) -> Option<u64> {
    let workers = core.pool.workers();
    let (before, after) = workers.split_at(index.min(workers.len()));
    let others = after.iter().skip(1).chain(before);
    others
        .map(|worker| worker.batch.take())
        .find_map(|event| event)
}

/// Runs the callback of an event.
#[inline]
fn dispatch(core: &Core, me: &Worker, event: u64, scratch: &mut Scratch) {
    let (token, readiness) = Token::split(event);
    callback(core, me, || call_source(core, token, readiness, scratch));
}

/// Calls a source, if it is still there.
#[inline]
fn call_source(core: &Core, token: Token, readiness: Readiness, scratch: &mut Scratch) {
    if let Some(source) = core.registry.get(token) {
        core.guarded("a source", move || source.ready(readiness, scratch));
    }
}

/// Runs `f` as a callback that the supervisor has an eye on.
#[inline]
fn callback(core: &Core, me: &Worker, f: impl FnOnce()) {
    let was_stuck = me.call(f);
    if was_stuck {
        core.pool.unstuck();
        core.supervisor.ensure_awake();
    }
}
