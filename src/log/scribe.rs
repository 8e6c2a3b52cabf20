//! The scribe: the thread that writes logs for WebSockets, so that none of them waits for a log.
//!
//! A log may be a pipe whose reader hangs, and log_transaction hooks are other modules' code. Under an asynchronous MPM a
//! few threads serve thousands of WebSockets: so these threads give what is to be written to the scribe, which alone is
//! stuck when the log is. What does not fit into its queue any more is counted, and told once the log moves again.
//!
//! Other MPMs have a thread for each WebSocket, which may wait for a log, but for lines about frames: they are made while the
//! transport is held. So the scribe comes with the first WebSocket that has such lines.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use httpd::guard::guard;
use httpd::host_thread;
use httpd::log::{Level, Subject};
use httpd::mpm;
use httpd::pen::{Line, Pen};
use httpd::server::Server;
use httpd::thread::Thread;
use httpd::upgraded::{Remains, Upgraded};

use super::line::line;
use super::tag::Tag;
use crate::lock::lock;

/// How much may wait to be written: some megabytes of lines, or a busy second's endings.
const CAPACITY: usize = 8192;
/// How long the end of a child waits for a log.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long, beyond that, for the one that is being written.
const LAST: Duration = Duration::from_secs(1);

/// This child's.
static SCRIBE: RwLock<Scribe> = RwLock::new(Scribe::Unneeded);

/// The thread, in the course of a child.
enum Scribe {
    /// Whoever has a line writes it.
    Unneeded,
    Writing(Arc<Queue>, Thread),
    /// The child ends: as at its beginning, and for good.
    Stopped,
}

/// What is to be written.
enum Entry {
    Line(Line),
    /// The end of a request, which is one line or more in access logs.
    Ending(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Lines, and endings in the access log, that found no room.
    lost: u64,
    /// The scribe is writing.
    is_busy: bool,
    end: End,
}

/// How the scribe is to end.
#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    Never,
    /// When all is written.
    Done,
    /// It is stuck in a log, and the process ends without it: it must touch nothing more.
    Abandoned,
}

/// Starts it, if it does not run: from here on it has this child's lines.
pub fn start() -> io::Result<()> {
    let mut scribe = SCRIBE.write().unwrap_or_else(PoisonError::into_inner);
    if let Scribe::Unneeded = *scribe {
        let queue = Arc::new(Queue::default());
        let its = Arc::clone(&queue);
        let thread = Thread::spawn(c"websocket-log", move || {
            host_thread::with_record(&mut || its.write_all());
        })?;
        *scribe = Scribe::Writing(queue, thread);
    }
    Ok(())
}

/// Ends it when it has written what there is, or leaves it alone when the log does not take that. prefork calls this from a
/// signal handler: a lock that the interrupted thread may have is not waited for, and what waits is then lost.
pub fn stop() {
    let scribe = match SCRIBE.try_write() {
        Ok(mut scribe) => std::mem::replace(&mut *scribe, Scribe::Stopped),
        Err(TryLockError::Poisoned(poisoned)) => {
            std::mem::replace(&mut *poisoned.into_inner(), Scribe::Stopped)
        }
        Err(TryLockError::WouldBlock) if mpm::is_threaded() => {
            let mut scribe = SCRIBE.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *scribe, Scribe::Stopped)
        }
        Err(TryLockError::WouldBlock) => return,
    };
    let Scribe::Writing(queue, thread) = scribe else {
        return;
    };
    if queue.finish(Instant::now() + PATIENCE) {
        thread.join();
    }
}

impl Queue {
    /// Takes what `entry` makes of something, or counts it when there is no room and gives that back.
    fn push<T>(&self, what: T, entry: impl FnOnce(T) -> Entry) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.entries.len() >= CAPACITY || state.end != End::Never {
            state.lost += 1;
            return Err(what);
        }
        state.entries.push_back(entry(what));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Has all written that there is. Says whether that was done in time; else the thread is given up.
    fn finish(&self, deadline: Instant) -> bool {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::WouldBlock) if !mpm::is_threaded() => return false,
            Err(_) => lock(&self.state),
        };
        state.end = End::Done;
        self.changed.notify_all();
        while state.is_busy || !state.entries.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.end = End::Abandoned;
                self.let_go_of_last(state);
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits a moment more for what the thread has in hand, if that is not a log that hangs: it uses what goes next.
    fn let_go_of_last(&self, mut state: MutexGuard<'_, State>) {
        let deadline = Instant::now() + LAST;
        while state.is_busy {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write_all(&self) {
        let mut pen = Pen::new();
        while let Some((entry, lost)) = self.next() {
            if lost > 0 {
                tell_lost(&mut pen, lost);
            }
            // One that panics loses no other.
            guard((), || match entry {
                Entry::Line(line) => pen.write(&line),
                Entry::Ending(end) => end(),
            });
        }
    }

    /// The next entry, and how many have been lost before it.
    fn next(&self) -> Option<(Entry, u64)> {
        let mut state = lock(&self.state);
        state.is_busy = false;
        loop {
            if state.end == End::Abandoned {
                self.changed.notify_all();
                drop(state);
                // What a thread needs for its own end may be gone by now.
                loop {
                    std::thread::park();
                }
            }
            if let Some(entry) = state.entries.pop_front() {
                state.is_busy = true;
                return Some((entry, std::mem::take(&mut state.lost)));
            }
            self.changed.notify_all();
            if state.end == End::Done {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn tell_lost(pen: &mut Pen, lost: u64) {
    let Some(server) = Server::main() else { return };
    let line = line(
        &Subject::Server(server),
        Level::Warn,
        Tag::LinesLost,
        || {
            format!(
                "the log has not kept up: {lost} lines of WebSockets are missing from it and the access log"
            )
        },
    );
    if let Some(line) = line {
        pen.write(&line);
    }
}

fn current() -> Option<Arc<Queue>> {
    match &*SCRIBE.read().unwrap_or_else(PoisonError::into_inner) {
        Scribe::Writing(queue, _) => Some(Arc::clone(queue)),
        Scribe::Unneeded | Scribe::Stopped => None,
    }
}

/// Whether this child has one.
pub fn is_there() -> bool {
    current().is_some()
}

/// Writes a line: soon, or at once where there is no scribe.
pub fn write(line: Line) {
    match current() {
        // A line that finds no room is counted.
        Some(queue) => drop(queue.push(line, Entry::Line)),
        None => Pen::new().write(&line),
    }
}

/// Ends the request of a WebSocket, which writes the access log, and then calls `then`: on the scribe's thread, or on
/// this one where there is none or it has too much to do, in which case the access log has no line.
///
/// # Safety
/// As for [`Upgraded::end_request`].
#[allow(unsafe_code)]
pub unsafe fn end<F>(upgraded: Upgraded, then: F)
where
    F: FnOnce(Remains) + Send + 'static,
{
    let Some(queue) = current() else {
        // SAFETY: the caller's promise.
        then(unsafe { upgraded.end_request() });
        return;
    };
    let ending = |(upgraded, then): (Upgraded, F)| {
        // SAFETY: the caller's promise.
        Entry::Ending(Box::new(move || then(unsafe { upgraded.end_request() })))
    };
    if let Err((upgraded, then)) = queue.push((upgraded, then), ending) {
        // SAFETY: the caller's promise.
        then(unsafe { upgraded.end_request_unlogged() });
    }
}
