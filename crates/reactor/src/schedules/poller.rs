//! What a model has in the place of epoll: events that a test delivers, and the wake-ups of the other `poller.rs`.
//!
//! Edge-triggered as that: a wake-up that finds nobody waiting is for the next who waits, and several are one.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::PoisonError;

use crate::batch::{self, Filler};
use crate::registry::Token;
use crate::sync::{Condvar, Mutex, lock};
use crate::sys::EventBuffer;

#[derive(Default)]
pub(crate) struct Poller {
    state: Mutex<State>,
    arrival: Condvar,
    departure: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<u64>,
    is_woken: bool,
    is_woken_for_good: bool,
    waiters: usize,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    pub(crate) fn add(&self, _: RawFd, _: Token) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn remove(&self, _: RawFd) {}

    pub(crate) fn wake(&self) {
        lock(&self.state).is_woken = true;
        self.arrival.notify_one();
    }

    pub(crate) fn wake_for_good(&self) {
        lock(&self.state).is_woken_for_good = true;
        self.arrival.notify_all();
    }

    /// Time does not pass: a wait with an end in the future has none.
    pub(crate) fn wait(
        &self,
        _: &mut EventBuffer,
        timeout: i32,
        batch: &mut Filler<'_>,
    ) -> io::Result<Waited> {
        let mut state = lock(&self.state);
        state.waiters += 1;
        self.departure.notify_all();
        while timeout != 0 && state.events.is_empty() && !state.is_woken && !state.is_woken_for_good
        {
            let result = self.arrival.wait(state);
            state = result.unwrap_or_else(PoisonError::into_inner);
        }
        state.waiters -= 1;
        state.is_woken = false;
        let room = state.events.len().min(batch::ROOM);
        state
            .events
            .drain(..room)
            .for_each(|event| batch.push(event));
        Ok(Waited::Woken)
    }

    /// Lets `events` come.
    #[cfg(test)]
    pub(crate) fn deliver(&self, events: &[u64]) {
        lock(&self.state).events.extend(events);
        self.arrival.notify_one();
    }

    /// Blocks until a worker waits here.
    #[cfg(test)]
    pub(crate) fn await_waiter(&self) {
        let mut state = lock(&self.state);
        while state.waiters == 0 {
            let result = self.departure.wait(state);
            state = result.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waited {
    Woken,
    TimedOut,
}

pub(crate) fn event_buffer() -> EventBuffer {
    EventBuffer::new(batch::ROOM)
}
