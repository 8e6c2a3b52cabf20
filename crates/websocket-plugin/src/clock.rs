//! The timers of a process: a thread of their own, from the first of them to the end of the process.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::callback::Callback;
use crate::thread::spawn;

type Job = Box<dyn FnMut() + Send>;

/// The jobs of one process, and the thread that does them.
#[derive(Default)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By when they are due, and the order in which they came.
    jobs: BTreeMap<(Instant, u64), (Job, Option<Duration>)>,
    count: u64,
    is_over: bool,
}

impl Clock {
    /// Has a job done once, or over and over. After an error it is dropped.
    pub(crate) fn add(
        &self,
        after: Duration,
        period: Option<Duration>,
        job: Job,
    ) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the time is too long");
        let at = Instant::now().checked_add(after).ok_or_else(too_long)?;
        let over = || io::Error::other("the process ends");
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.state().is_over {
            return Err(over());
        }
        // Before the job is there: without a thread nobody does it. `stop` waits for the lock of the thread, and ends it.
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            *thread = Some(spawn("websocket-clock", move || shared.run())?);
        }
        let mut state = self.shared.state();
        if state.is_over {
            return Err(over());
        }
        state.put(at, period, job);
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Waits for a job that runs, and does no more. The jobs are dropped.
    pub(crate) fn stop(&self) {
        let jobs = {
            let mut state = self.shared.state();
            state.is_over = true;
            core::mem::take(&mut state.jobs)
        };
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        Callback::new("process", "a job's drop").run(|| drop(jobs));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.state();
        while !state.is_over {
            let now = Instant::now();
            let next = state.jobs.first_key_value().map(|(key, _)| key.0);
            state = match next {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now => {
                    let waited = self.changed.wait_timeout(state, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(at) => {
                    let Some((_, (mut job, period))) = state.jobs.pop_first() else {
                        continue;
                    };
                    drop(state);
                    let is_whole = Callback::new("process", "a timer").run(&mut job).is_some();
                    let mut state = self.state();
                    let next = period.filter(|_| is_whole && !state.is_over);
                    // One that is beyond what the clock can say never comes.
                    if let Some(next) = next.and_then(|period| at.checked_add(period)) {
                        // Late ones are left out rather than made up for.
                        state.put(next.max(Instant::now()), period, job);
                    } else {
                        drop(state);
                        Callback::new("process", "a job's drop").run(|| drop(job));
                        state = self.state();
                    }
                    state
                }
            };
        }
    }
}

impl State {
    fn put(&mut self, at: Instant, period: Option<Duration>, job: Job) {
        self.count += 1;
        self.jobs.insert((at, self.count), (job, period));
    }
}
