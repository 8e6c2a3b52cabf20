//! The reactor of an asynchronous MPM's child. It comes with the first WebSocket: where the system allows few threads, those
//! that httpd starts with come first, and a child that serves pages only has none of ours.

use std::io;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use reactor::Reactor;

use crate::lock::lock;
use crate::log::scribe;

/// How long a thread of the reactor's that is not needed any more stays.
const THREAD_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after the system has refused its threads they are asked for again.
const RETRY: Duration = Duration::from_secs(10);

/// The reactor, or the place where it will be.
pub struct Engine {
    min_threads: usize,
    max_threads: usize,
    on_fault: fn(&str),
    reactor: OnceLock<Reactor>,
    state: Mutex<State>,
}

enum State {
    /// There has been no WebSocket.
    Unneeded,
    Running,
    /// The system had no threads for it then.
    Refused(Instant),
    /// The child ends.
    Stopped,
}

impl Engine {
    /// One without a reactor as yet, which will have so many threads. `on_fault` is told what should not happen.
    pub fn new((min_threads, max_threads): (usize, usize), on_fault: fn(&str)) -> Self {
        Engine {
            min_threads,
            max_threads,
            on_fault,
            reactor: OnceLock::new(),
            state: Mutex::new(State::Unneeded),
        }
    }

    /// The reactor, if it has been started.
    pub fn reactor(&self) -> Option<&Reactor> {
        self.reactor.get()
    }

    /// Starts the reactor unless it runs, and says whether it does.
    pub fn start(&self) -> bool {
        if self.reactor.get().is_some() {
            return true;
        }
        let mut state = lock(&self.state);
        match *state {
            State::Running => return true,
            State::Stopped => return false,
            State::Refused(since) if since.elapsed() < RETRY => return false,
            State::Unneeded | State::Refused(_) => {}
        }
        match self.make() {
            Ok(reactor) => {
                // Without it, each thread writes for itself.
                let _ = scribe::start();
                let _ = self.reactor.set(reactor);
                *state = State::Running;
                true
            }
            Err(error) => {
                *state = State::Refused(Instant::now());
                (self.on_fault)(&format!(
                    "no reactor in this child, so that each WebSocket takes a worker thread: {error}"
                ));
                false
            }
        }
    }

    /// Ends the reactor's threads, for good.
    pub fn stop(&self) {
        *lock(&self.state) = State::Stopped;
        if let Some(reactor) = self.reactor.get() {
            reactor.stop();
        }
    }

    fn make(&self) -> io::Result<Reactor> {
        Reactor::start(reactor::Config {
            min_threads: self.min_threads,
            max_threads: self.max_threads,
            idle_timeout: THREAD_IDLE_TIMEOUT,
            name: "websocket".to_owned(),
            stack_size: 0,
            around_thread: Some(Box::new(httpd::host_thread::with_record)),
            on_fault: Some(Box::new(self.on_fault)),
        })
    }
}
