//! What the server waits by: for a few threads, a reactor, which reports edges, runs jobs and keeps one timer; or for one thread
//! that stays with its connection, poll(2) and an eventfd.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use shuttle::sync::{Condvar, Mutex};

use crate::world::{Sleeper, World, lock};

/// What a worker gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The socket has become ready.
    Edge {
        is_writable: bool,
        is_hung_up: bool,
        /// In both directions.
        is_broken: bool,
    },
    /// The turn that was asked for.
    Job,
    /// The timer has expired.
    Expired,
}

/// What is polled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    pub input: bool,
    pub output: bool,
    /// That the connection breaks, beside the other two or alone.
    pub end: bool,
}

/// The poller of one socket.
pub struct Poller {
    world: Arc<World>,
    /// Woken when something arrives at the peer, or there is room for it to write.
    peer: Arc<Sleeper>,
    queue: Mutex<Queue>,
    happens: Condvar,
    /// When the timer expires, in microseconds; [`NEVER`] when it is off.
    timer: AtomicU64,
    /// The server polls, and wants no edges.
    is_polled: bool,
    /// Nobody hears while a thread is in a call that may block.
    is_deaf: bool,
    /// Which task has last told the session that there is room, since [`Poller::forget_room`]; [`NEVER`] for none.
    room_told_by: AtomicU64,
}

#[derive(Default)]
struct Queue {
    happenings: VecDeque<Happening>,
    is_armed: bool,
    has_stopped: bool,
    /// The eventfd has been written to.
    is_rung: bool,
    /// The same of the callback's that waits for room by itself, and where it does.
    is_room_rung: bool,
    waits_for_room: Option<Arc<Sleeper>>,
    /// How many threads are in a call that may block, while which nobody hears.
    deafening: u32,
}

const NEVER: u64 = u64::MAX;

impl Poller {
    pub fn new(world: &Arc<World>, is_polled: bool, is_deaf: bool) -> Arc<Self> {
        Arc::new(Poller {
            is_polled,
            is_deaf,
            world: Arc::clone(world),
            peer: Arc::default(),
            queue: Mutex::default(),
            happens: Condvar::new(),
            timer: AtomicU64::new(NEVER),
            room_told_by: AtomicU64::new(NEVER),
        })
    }

    /// Where the peer waits.
    pub fn peer(&self) -> &Arc<Sleeper> {
        &self.peer
    }

    /// Begins to report: once at once, for what is there already.
    pub fn arm(&self) {
        lock(&self.queue).is_armed = true;
        let state = self.world.state();
        let (is_broken, is_ended) = (state.is_reset, state.inward.is_ended());
        drop(state);
        self.edge(true, is_broken || is_ended, is_broken);
    }

    /// No more of it.
    pub fn disarm(&self) {
        lock(&self.queue).is_armed = false;
    }

    /// Lets arrive what is due, and reports it.
    pub fn look(&self) {
        let (inward, is_reset, is_ended, outward) = {
            let mut state = self.world.state();
            let now = state.now;
            let is_reset = state.is_reset;
            let inward = state.inward.arrive(now);
            (
                inward || is_reset,
                is_reset,
                is_reset || state.inward.is_ended(),
                state.outward.arrive(now) || is_reset,
            )
        };
        if inward {
            self.edge(is_ended, is_ended, is_reset);
        }
        if outward {
            self.peer.wake();
        }
    }

    /// There is room for a server that was refused some.
    pub fn is_writable(&self) {
        self.edge(true, false, false);
    }

    fn edge(&self, is_writable: bool, is_hung_up: bool, is_broken: bool) {
        let mut queue = lock(&self.queue);
        if self.is_polled {
            self.happens.notify_all();
            return;
        }
        if let Some(waiting) = &queue.waits_for_room {
            waiting.wake();
        }
        if !queue.is_armed {
            return;
        }
        // Edges that nobody has fetched yet become one.
        if let Some(Happening::Edge {
            is_writable: writable,
            is_hung_up: hung_up,
            is_broken: broken,
        }) = queue
            .happenings
            .iter_mut()
            .find(|happening| matches!(happening, Happening::Edge { .. }))
        {
            *writable |= is_writable;
            *hung_up |= is_hung_up;
            *broken |= is_broken;
            return;
        }
        queue.happenings.push_back(Happening::Edge {
            is_writable,
            is_hung_up,
            is_broken,
        });
        drop(queue);
        self.happens.notify_one();
    }

    /// The calling task is about to tell the session that there is room.
    pub fn tells_room(&self) {
        let task = usize::from(shuttle::current::me()) as u64;
        self.room_told_by.store(task, Ordering::SeqCst);
    }

    /// The calling task has found that there is none.
    pub fn forget_room(&self) {
        self.room_told_by.store(NEVER, Ordering::SeqCst);
    }

    /// Whether another task has told of room since.
    pub fn has_room_been_told(&self) -> bool {
        let task = usize::from(shuttle::current::me()) as u64;
        let told_by = self.room_told_by.load(Ordering::SeqCst);
        told_by != NEVER && told_by != task
    }

    /// Has a job run behind everything else.
    pub fn job(&self) {
        lock(&self.queue).happenings.push_back(Happening::Job);
        self.happens.notify_one();
    }

    /// Has the timer expire at a time, or earlier.
    pub fn set_timer(&self, at: Instant) {
        let at = self.world.since_begin(at).as_micros() as u64;
        self.timer.store(at, Ordering::SeqCst);
    }

    /// When the timer expires.
    pub fn timer(&self) -> Option<Duration> {
        let at = self.timer.load(Ordering::SeqCst);
        (at != NEVER).then(|| Duration::from_micros(at + 1))
    }

    /// The time has come, if it has.
    pub fn time_has_passed(&self) {
        let now = self.world.state().now;
        if self.timer().is_some_and(|at| at <= now) {
            self.timer.store(NEVER, Ordering::SeqCst);
            let mut queue = lock(&self.queue);
            if !self.is_polled {
                queue.happenings.push_back(Happening::Expired);
            }
            self.happens.notify_one();
        }
    }

    /// Ends a [`Poller::wait`], the present one or the next.
    pub fn ring(&self) {
        lock(&self.queue).is_rung = true;
        self.happens.notify_one();
    }

    /// Polls until something of that is there. Says whether the connection is broken, which is reported whatever is asked for,
    /// unless that is known.
    pub fn wait(&self, asked: Asked, deadline: Option<Instant>) -> bool {
        // A callback that waits for room asks for nothing else.
        let is_turns = asked.input || asked.end || !asked.output;
        if let Some(deadline) = deadline {
            self.set_timer(deadline);
        }
        let mut queue = lock(&self.queue);
        let is_broken = loop {
            let mut state = self.world.state();
            let (is_broken, has_input) = (state.is_reset, state.inward.has_arrived());
            let has_room = state.outward.room() > 0;
            if asked.output && !has_room {
                state.outward.want_room();
            }
            drop(state);
            let is_over = deadline.is_some_and(|deadline| deadline <= self.world.instant());
            let is_news = is_broken && (asked.input || asked.output || asked.end);
            let is_ready = is_news || (asked.input && has_input) || (asked.output && has_room);
            let is_heard = queue.deafening == 0 || !is_turns;
            if queue.has_stopped
                || is_heard && (std::mem::take(&mut queue.is_rung) || is_ready || is_over)
            {
                break is_broken;
            }
            queue = self
                .happens
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        };
        self.timer.store(NEVER, Ordering::SeqCst);
        is_broken
    }

    /// Ends a [`Poller::wait_for_room`], the present one or the next.
    pub fn ring_room(&self) {
        let mut queue = lock(&self.queue);
        queue.is_room_rung = true;
        if let Some(waiting) = &queue.waits_for_room {
            waiting.wake();
        }
    }

    /// A worker's callback waits by itself, beside the workers that wait for edges.
    pub fn wait_for_room(&self, deadline: Option<Instant>) {
        let sleeper = Arc::new(Sleeper::default());
        lock(&self.queue).waits_for_room = Some(Arc::clone(&sleeper));
        loop {
            let mut queue = lock(&self.queue);
            let mut state = self.world.state();
            let has_room = state.outward.room() > 0;
            if !has_room {
                state.outward.want_room();
            }
            let until = deadline.map(|deadline| self.world.since_begin(deadline));
            let is_over = until.is_some_and(|until| until <= state.now);
            let is_rung = std::mem::take(&mut queue.is_room_rung);
            if has_room || state.is_reset || is_over || is_rung || queue.has_stopped {
                queue.waits_for_room = None;
                return;
            }
            if let Some(until) = until {
                state.set_alarm(until, &sleeper);
            }
            drop((state, queue));
            sleeper.sleep();
        }
    }

    /// A thread of the application's makes a call that may block.
    pub fn while_deaf<T>(&self, call: impl FnOnce() -> T) -> T {
        if !self.is_deaf {
            return call();
        }
        lock(&self.queue).deafening += 1;
        let made = call();
        lock(&self.queue).deafening -= 1;
        self.happens.notify_all();
        made
    }

    /// Whether nobody hears of the socket now.
    pub fn is_deaf_now(&self) -> bool {
        lock(&self.queue).deafening > 0
    }

    /// Whether all that has happened is fetched.
    pub fn is_heard(&self) -> bool {
        lock(&self.queue).happenings.is_empty()
    }

    /// What happens next; `None` when nothing will any more.
    pub fn next(&self) -> Option<Happening> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.deafening == 0
                && let Some(happening) = queue.happenings.pop_front()
            {
                return Some(happening);
            }
            if queue.has_stopped {
                return None;
            }
            queue = self
                .happens
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing happens any more.
    pub fn stop(&self) {
        let mut queue = lock(&self.queue);
        queue.has_stopped = true;
        if let Some(waiting) = &queue.waits_for_room {
            waiting.wake();
        }
        drop(queue);
        self.happens.notify_all();
    }
}
