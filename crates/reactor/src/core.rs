//! What all threads of a reactor share.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use crate::job::{Job, Jobs};
use crate::poller::Poller;
use crate::pool::Crew;
use crate::registry::{Registry, Token, UNSCHEDULED};
use crate::supervisor::Supervisor;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};
use crate::timer::{Clock, Timers};
use crate::waiting::Waiting;
use crate::{Config, Source};

/// The state behind a [`Reactor`](crate::Reactor) and its handles.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) poller: Poller,
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) timers: Mutex<Timers>,
    pub(crate) jobs: Jobs,
    pub(crate) pool: Crew,
    pub(crate) supervisor: Supervisor,
    pub(crate) waiting: Waiting,
    stopping: AtomicBool,
}

impl Core {
    pub(crate) fn new(config: Config) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            registry: Registry::new(),
            clock: Clock::new(),
            timers: Mutex::default(),
            jobs: Jobs::default(),
            pool: Crew::new(&config),
            supervisor: Supervisor::default(),
            waiting: Waiting::default(),
            stopping: AtomicBool::new(false),
            config,
        })
    }

    /// Has all threads end, as soon as they have finished what they are at.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.poller.wake_for_good();
        self.pool.close();
        self.supervisor.wake();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends `token`: its descriptor is no longer watched, its timer cleared, its source let go.
    pub(crate) fn remove(&self, token: Token) {
        let Some(source) = self.registry.remove(token, |fd| self.poller.remove(fd)) else {
            return;
        };
        let index = token.index();
        let scheduled = self.registry.slot(index).map_or(UNSCHEDULED, |slot| {
            slot.timer.scheduled.load(Ordering::SeqCst)
        });
        if scheduled != UNSCHEDULED {
            let wake = lock(&self.timers).forget(&self.registry, index);
            if wake {
                self.supervisor.wake();
            }
        }
        // May run the source's destructor, which may call back in: no lock is held here.
        drop(source);
    }

    /// Sets or pushes the timer of `token`.
    pub(crate) fn set_timer(&self, token: Token, after: Duration) {
        self.set_deadline(token, self.clock.tick_after(after));
    }

    /// Sets or pushes the timer of `token` to `tick`.
    pub(crate) fn set_deadline(&self, token: Token, tick: u64) {
        let Some(slot) = self.registry.slot(token.index()) else {
            return;
        };
        if !slot.timer.set(token.generation(), tick) {
            return;
        }
        // An entry that comes up earlier will find the new deadline then.
        if slot.timer.scheduled.load(Ordering::SeqCst) <= tick {
            return;
        }
        let wake = lock(&self.timers).schedule(&self.registry, token.index());
        if wake {
            self.supervisor.wake();
        }
    }

    /// Takes the timer of `token` away; its entry goes when it comes up.
    pub(crate) fn clear_timer(&self, token: Token) {
        if let Some(slot) = self.registry.slot(token.index()) {
            slot.timer.set(token.generation(), 0);
        }
    }

    /// Has a worker run `job` when `after` has passed; gives it back if the reactor has stopped.
    pub(crate) fn submit_after(&self, after: Duration, job: Job) -> Result<(), Job> {
        let wake = lock(&self.timers).add_job(self.clock.tick_after(after), job)?;
        if wake {
            self.supervisor.wake();
        }
        Ok(())
    }

    /// Has a worker run `job`; gives it back if the reactor has stopped.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Job> {
        self.jobs.push(job)?;
        self.call_for_help();
        Ok(())
    }

    /// Wakes a waiting worker for work that it has to look for. If none waits, the workers look
    /// before they next wait; and the supervisor, awake while no worker waits, sees to it that one
    /// does soon.
    pub(crate) fn call_for_help(&self) {
        if self.waiting.count() > 0 {
            self.poller.wake();
        }
    }

    /// True if there is something to do that no worker does.
    pub(crate) fn has_backlog(&self) -> bool {
        let mut workers = self.pool.workers().iter();
        !self.jobs.is_empty() || workers.any(|worker| !worker.batch.is_empty())
    }

    /// True if a worker waits for what comes next, and nothing that has come lies about. First the count, then the rest:
    /// a worker publishes its batch before it counts itself out.
    pub(crate) fn is_attended(&self) -> bool {
        self.waiting.count() > 0 && !self.has_backlog()
    }

    /// Runs foreign code. A panic ends here.
    pub(crate) fn guarded(&self, what: &str, f: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            self.fault(&format!("panic in {what}: {}", panic_text(&*payload)));
            // A payload may panic when it is dropped; once more is enough.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(again);
            }
        }
    }

    /// Reports something that should not have happened.
    pub(crate) fn fault(&self, text: &str) {
        let Some(report) = &self.config.on_fault else {
            return;
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| report(text))) {
            mem::forget(payload);
        }
    }

    /// Lets go of everything that was handed in. Called when no thread runs any more.
    pub(crate) fn discard(&self) {
        let sources: Vec<Arc<dyn Source>> = self.registry.clear();
        let timed = lock(&self.timers).close();
        let jobs = self.jobs.close();
        for source in sources {
            self.guarded("a source's destructor", || drop(source));
        }
        for job in timed.into_iter().chain(jobs) {
            self.guarded("a job's destructor", || drop(job));
        }
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return text;
    }
    match payload.downcast_ref::<String>() {
        Some(text) => text,
        None => "(no text)",
    }
}
