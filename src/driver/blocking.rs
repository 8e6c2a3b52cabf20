//! The blocking driver: the request's own thread waits for the socket, for MPMs with a thread for each
//! connection (worker, prefork).

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use httpd::socket::{self, Interest, SignalMask, Waker};
use session::Wait;

use crate::child::Child;
use crate::websocket::connection::Connection;
use crate::websocket::driver::Driver;

/// How long the end of a generation may go unseen whose signal a plugin has taken for itself.
const SIGNAL_CHECK: Duration = Duration::from_secs(1);

/// Drives one connection on the thread that made it.
pub struct BlockingDriver {
    socket: RawFd,
    waker: Waker,
    thread: usize,
    is_waiting: AtomicBool,
    /// The MPM is prefork, which tells this thread by a signal that the child is to stop: what it handles where it waits.
    signals: Option<SignalMask>,
}

impl BlockingDriver {
    /// A driver for the connection on `socket`, to be run by this thread; under prefork, with the `signals` that it is to
    /// handle where it waits, and holds everywhere else.
    pub fn new(socket: RawFd, signals: Option<SignalMask>) -> std::io::Result<Self> {
        Ok(BlockingDriver {
            socket,
            waker: Waker::new()?,
            thread: socket::current_thread(),
            is_waiting: AtomicBool::new(false),
            signals,
        })
    }

    /// Whether the process serves this connection alone.
    fn is_alone(&self) -> bool {
        self.signals.is_some()
    }

    /// Runs the connection to its end.
    pub fn run(&self, connection: &Connection, child: &Child) {
        let mut is_draining = false;
        let mut is_broken = false;
        loop {
            let mut buffer = child.buffers().take_input();
            let wait = connection.session().turn(&mut buffer, false);
            child.buffers().give_input(buffer);
            if self.is_alone() && !is_draining && is_to_drain() {
                is_draining = true;
                if let Some(time) = child.drain_alone() {
                    connection.session().drain_at(time);
                    continue;
                }
            }
            if child.ends_at_once() && !matches!(wait, Wait::Ended) && !self.is_alone() {
                // The MPM waits for this thread, and has no time for the peer's answer.
                connection.terminate();
                break;
            }
            match wait {
                // prefork's signals come here, too: a peer that sends without end lets no turn wait.
                Wait::Again if self.is_alone() => {
                    self.is_waiting.store(true, Ordering::Relaxed);
                    let nothing = Interest {
                        read: false,
                        write: false,
                        end: false,
                    };
                    self.wait(nothing, Some(Instant::now()));
                    self.is_waiting.store(false, Ordering::Relaxed);
                }
                Wait::Again => {}
                Wait::For {
                    input,
                    output,
                    deadline,
                    ..
                } => {
                    let interest = Interest {
                        read: input,
                        write: output,
                        // Said once: the turns do what there is to do.
                        end: !is_broken,
                    };
                    self.is_waiting.store(true, Ordering::Relaxed);
                    let breaks = self.wait(interest, deadline);
                    self.is_waiting.store(false, Ordering::Relaxed);
                    if breaks && !is_broken {
                        is_broken = true;
                        connection.session().peer_is_gone();
                    }
                }
                Wait::Ended => break,
            }
        }
    }

    /// Lets nothing come any more.
    pub fn stop_reading(&self) {
        socket::shutdown_read(self.socket);
    }

    /// Waits for the socket, a wake or the time. Says whether the connection is broken.
    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> bool {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = match self.is_alone() {
            true => Some(timeout.map_or(SIGNAL_CHECK, |timeout| timeout.min(SIGNAL_CHECK))),
            false => timeout,
        };
        // A failing poll shows as a failing read in the next turn.
        let waited = socket::wait(
            self.signals.as_ref(),
            self.socket,
            self.waker.descriptor(),
            interest,
            timeout,
        );
        if waited.as_ref().is_ok_and(|waited| waited.is_woken) {
            self.waker.clear();
        }
        waited.is_ok_and(|waited| waited.is_broken)
    }
}

/// Whether a process that serves one connection is to end with it, by whatever way it hears of that.
fn is_to_drain() -> bool {
    httpd::mpm::is_stopping() || httpd::mpm::is_of_old() || httpd::forks::is_finishing()
}

impl Driver for BlockingDriver {
    fn wake(&self) {
        if socket::current_thread() != self.thread {
            self.waker.wake();
        }
    }

    fn stalled(&self, _deadline: Option<Instant>) {
        // The wait has to begin anew, for output too.
        self.wake();
    }

    fn wait_to_write(&self, deadline: Option<Instant>) {
        let room = Interest {
            read: false,
            write: true,
            end: false,
        };
        // A broken connection has room: the write that follows finds out.
        self.wait(room, deadline);
    }

    fn is_blocking(&self) -> bool {
        true
    }

    fn is_at_rest(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed) || socket::current_thread() != self.thread
    }
}
