//! The blocking driver: the request's own thread waits for the socket, for MPMs with a thread for each
//! connection (worker, prefork).

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use httpd::socket::{self, Waker};

use super::{Driver, Wait};
use crate::connection::Connection;

/// The most that one turn reads at a time, in bytes.
const BUFFER: usize = 64 * 1024;

/// Drives one connection on the thread that made it.
pub struct BlockingDriver {
    socket: RawFd,
    waker: Waker,
    thread: usize,
}

impl BlockingDriver {
    /// A driver for the connection on `socket`, to be run by this thread.
    pub fn new(socket: RawFd) -> std::io::Result<Self> {
        Ok(BlockingDriver {
            socket,
            waker: Waker::new()?,
            thread: socket::current_thread(),
        })
    }

    /// Runs the connection to its end.
    pub fn run(self: &Arc<Self>, connection: &Connection) {
        let mut buffer = vec![0; BUFFER];
        loop {
            match connection.turn(&mut buffer) {
                Wait::Again => {}
                Wait::For {
                    input,
                    output,
                    deadline,
                } => self.wait(input, output, deadline),
                Wait::Ended => return,
            }
        }
    }

    fn wait(&self, input: bool, output: bool, deadline: Option<Instant>) {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A failing poll shows as a failing read in the next turn.
        let ready = socket::wait(self.socket, self.waker.descriptor(), input, output, timeout);
        if ready.is_ok_and(|ready| ready.woken) {
            self.waker.clear();
        }
    }
}

impl Driver for BlockingDriver {
    fn wake(&self) {
        if socket::current_thread() != self.thread {
            self.waker.wake();
        }
    }

    fn stalled(&self) {
        // The wait has to begin anew, for output too.
        self.wake();
    }

    fn wait_to_write(&self, deadline: Option<Instant>) -> bool {
        // On this thread a plugin's callback is running: nobody else waits for the socket.
        let is_own = socket::current_thread() == self.thread;
        if is_own {
            self.wait(false, true, deadline);
        }
        is_own
    }
}
