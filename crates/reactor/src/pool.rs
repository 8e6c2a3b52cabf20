//! The workers' accounts: how many there are, and which of them are active.
//!
//! Only so many threads are *active*, that is, run callbacks or wait for events, as the target says. The
//! others are parked. One that the supervisor finds stuck in a callback no longer counts, and another
//! takes its place: a parked one, or a new one. When the stuck one comes back there is one too many, and
//! the next to finish its work parks. Parked workers beyond `min_threads` end after a while.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::Config;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::sys::Thread;
use crate::worker::{Snapshot, Worker};

/// The workers, and the accounts of them.
pub(crate) struct Crew {
    /// One place for each thread there may be.
    places: Box<[Worker]>,
    state: Mutex<State>,
    /// Copy of `State::active` to look at without the lock.
    active: AtomicUsize,
    /// How many are wanted active.
    target: AtomicUsize,
    /// Workers from this index on do not exist.
    high: AtomicUsize,
    min: usize,
    idle_timeout: Duration,
}

#[derive(Default)]
struct State {
    /// By index; `None` where no worker is.
    threads: Vec<Option<Thread>>,
    /// Workers that have put themselves aside, the last one first to come back.
    parked: Vec<usize>,
    active: usize,
    stuck: usize,
    /// Ended, or about to, and not joined.
    ended: Vec<Thread>,
    /// No worker parks any more, and none is made.
    is_closed: bool,
}

impl State {
    fn count(&self) -> usize {
        self.threads.iter().flatten().count()
    }
}

/// What a worker does next.
pub(crate) enum Next {
    /// Look for work.
    Continue,
    /// Return from its thread; the pool has struck it off, and the supervisor has to be told, who joins it.
    End,
}

/// How many threads are in which state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) threads: usize,
    pub(crate) active: usize,
    pub(crate) stuck: usize,
    pub(crate) parked: usize,
}

impl Crew {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            places: std::iter::repeat_with(Worker::new)
                .take(config.max_threads)
                .collect(),
            state: Mutex::default(),
            active: AtomicUsize::new(0),
            target: AtomicUsize::new(config.min_threads),
            high: AtomicUsize::new(0),
            min: config.min_threads,
            idle_timeout: config.idle_timeout,
        }
    }

    /// The worker with this index, which exists or has existed.
    pub(crate) fn worker(&self, index: usize) -> &Worker {
        &self.places[index]
    }

    /// The workers that exist, by index; a few of them may be places that are free at the moment.
    pub(crate) fn workers(&self) -> &[Worker] {
        &self.places[..self.high.load(Ordering::Acquire)]
    }

    /// True if `id` is the kernel's number of a worker's thread, one that is just being made included.
    pub(crate) fn has_thread(&self, id: u32) -> bool {
        let mut places = self.places.iter();
        places.any(|worker| worker.thread_id.load(Ordering::Relaxed) == id)
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    pub(crate) fn target(&self) -> usize {
        self.target.load(Ordering::Relaxed)
    }

    /// Says how many workers are wanted active.
    pub(crate) fn set_target(&self, target: usize) {
        let target = target.clamp(1, self.places.len());
        self.target.store(target, Ordering::Relaxed);
    }

    /// True if there are too many active workers; out of date as soon as it is said.
    pub(crate) fn has_too_many_active(&self) -> bool {
        self.active() > self.target()
    }

    /// How long the calling worker is to wait for events: for ever, `None`, if it is to stay anyway.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.active() > self.min).then_some(self.idle_timeout)
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = lock(&self.state);
        Counts {
            threads: state.count(),
            active: state.active,
            stuck: state.stuck,
            parked: state.parked.len(),
        }
    }

    /// Makes as many workers active as the target says, as far as `max_threads` goes. `start` starts the
    /// thread of a worker, under the lock of the accounts.
    pub(crate) fn replenish(
        &self,
        start: impl Fn(usize) -> std::io::Result<Thread>,
    ) -> std::io::Result<()> {
        let mut state = lock(&self.state);
        while state.active < self.target() && !state.is_closed {
            if let Some(index) = state.parked.pop() {
                self.set_active(&mut state, |active| active + 1);
                self.places[index].resume.notify_one();
                continue;
            }
            let free = state.threads.iter().position(Option::is_none);
            let index = free.unwrap_or(state.threads.len());
            if index >= self.places.len() {
                break;
            }
            let thread = start(index)?;
            match free {
                Some(_) => state.threads[index] = Some(thread),
                None => state.threads.push(Some(thread)),
            }
            self.set_active(&mut state, |active| active + 1);
            self.set_high(&state);
        }
        Ok(())
    }

    /// Takes those of `candidates` whose callback still runs out of the active ones; returns how
    /// many that were.
    pub(crate) fn mark_stuck(&self, candidates: &[(usize, Snapshot)]) -> usize {
        let mut state = lock(&self.state);
        let marked = candidates
            .iter()
            .filter(|(index, seen)| self.places[*index].mark_stuck(*seen))
            .count();
        state.stuck += marked;
        self.set_active(&mut state, |active| active - marked);
        marked
    }

    /// A worker that had been marked has returned from its callback.
    pub(crate) fn unstuck(&self) {
        // The mark was set under the lock, so the account has it.
        let mut state = lock(&self.state);
        state.stuck -= 1;
        self.set_active(&mut state, |active| active + 1);
    }

    /// Puts the calling worker aside, if there are too many, until it is wanted or `idle_timeout` is
    /// over.
    pub(crate) fn park(&self, index: usize) -> Next {
        let mut state = lock(&self.state);
        if state.active <= self.target() || state.is_closed {
            return Next::Continue;
        }
        self.set_active(&mut state, |active| active - 1);
        state.parked.push(index);
        let start = Instant::now();
        loop {
            let Some(place) = state.parked.iter().position(|&parked| parked == index) else {
                return Next::Continue;
            };
            let is_spare = state.count() > self.min;
            let left = self.idle_timeout.saturating_sub(start.elapsed());
            if state.is_closed || is_spare && left.is_zero() {
                state.parked.remove(place);
                self.end(state, index);
                return Next::End;
            }
            let resume = &self.places[index].resume;
            state = if is_spare {
                let result = resume.wait_timeout(state, left);
                result.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let result = resume.wait(state);
                result.unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Ends the calling worker, which had nothing to do for `idle_timeout`, if it can be spared.
    pub(crate) fn leave(&self, index: usize) -> Next {
        let mut state = lock(&self.state);
        if state.count() <= self.min || state.active <= self.target() {
            return Next::Continue;
        }
        self.set_active(&mut state, |active| active - 1);
        self.end(state, index);
        Next::End
    }

    /// Ends the calling worker because the reactor stops.
    pub(crate) fn quit(&self, index: usize) {
        let mut state = lock(&self.state);
        self.set_active(&mut state, |active| active - 1);
        self.end(state, index);
    }

    /// Strikes a worker off that is neither active nor parked any more. Its place may be another's
    /// at once.
    fn end(&self, mut state: MutexGuard<'_, State>, index: usize) {
        self.places[index].thread_id.store(0, Ordering::Relaxed);
        // Nothing is there if `join_all` has it already.
        if let Some(thread) = state.threads.get_mut(index).and_then(Option::take) {
            state.ended.push(thread);
        }
        while let Some(None) = state.threads.last() {
            state.threads.pop();
        }
        self.set_high(&state);
    }

    /// Joins the workers that have ended.
    pub(crate) fn reap(&self) {
        let ended = std::mem::take(&mut lock(&self.state).ended);
        ended.into_iter().for_each(Thread::join);
    }

    /// Joins all workers. None may be made any more, and all must have been told to end.
    pub(crate) fn join_all(&self) {
        let threads = {
            let mut state = lock(&self.state);
            let mut threads = std::mem::take(&mut state.ended);
            threads.extend(state.threads.iter_mut().filter_map(Option::take));
            threads
        };
        threads.into_iter().for_each(Thread::join);
    }

    /// Wakes the parked workers to end; no further one parks, and none is made.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        for &index in &state.parked {
            self.places[index].resume.notify_one();
        }
    }

    fn set_active(&self, state: &mut State, f: impl FnOnce(usize) -> usize) {
        state.active = f(state.active);
        self.active.store(state.active, Ordering::Relaxed);
    }

    fn set_high(&self, state: &State) {
        self.high.store(state.threads.len(), Ordering::Release);
    }
}
