//! A thread's own wait for room at a descriptor.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sys;

/// How long a wait is at most that nothing but its time ends: no descriptor was left to wake it by.
const DEAF: Duration = Duration::from_millis(50);

/// How a callback waits for room at its descriptor: by itself. The other workers may all be in such a wait, and then nobody
/// is left to report an edge, or to notice that a time is over.
///
/// A wake is remembered: one that comes before the wait ends it at once.
#[derive(Default)]
pub struct RoomWait(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Nobody,
    /// Nobody waits, and [`RoomWait::wake`] was called.
    Woken,
    /// A thread waits, and is woken by this.
    Waiting(Arc<File>),
}

impl RoomWait {
    /// Blocks until the descriptor takes output, is hung up or in error, until [`RoomWait::wake`] or the deadline (`None`:
    /// there is none). One thread at a time; it may return for no reason.
    pub fn wait(&self, descriptor: &impl AsRawFd, deadline: Option<Instant>) {
        let waker = {
            let mut state = self.state();
            if let State::Woken = *state {
                *state = State::Nobody;
                return;
            }
            let waker = sys::eventfd().ok().map(|waker| Arc::new(File::from(waker)));
            if let Some(waker) = &waker {
                *state = State::Waiting(Arc::clone(waker));
            }
            waker
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = match waker {
            Some(_) => left,
            None => Some(left.map_or(DEAF, |left| left.min(DEAF))),
        };
        // A failing poll shows as a failing write.
        let _ = sys::poll_for_room(
            descriptor.as_raw_fd(),
            waker.as_ref().map(|waker| waker.as_raw_fd()),
            timeout,
        );
        *self.state() = State::Nobody;
    }

    /// Ends the wait, or the next one; from any thread.
    pub fn wake(&self) {
        let mut state = self.state();
        match &*state {
            State::Nobody => *state = State::Woken,
            State::Woken => {}
            State::Waiting(waker) => {
                // It has room for more wakes than there are threads.
                let _ = (&**waker).write(&1_u64.to_ne_bytes());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
