//! Who waits for the socket.
//!
//! A driver calls [`Connection::turn`](crate::connection::Connection::turn) and waits for what it answers. What
//! happens in a turn is the same for every driver.

pub mod blocking;

use std::time::Instant;

/// How a connection reaches the driver that waits for it.
pub trait Driver: Send + Sync {
    /// Asks for a turn soon; from any thread.
    fn wake(&self);

    /// The socket takes no more output: a turn is due when it does, or when it breaks. From any thread.
    fn stalled(&self);

    /// Called by a thread that has to wait for room in the outbox. When nobody else would wait for the socket
    /// meanwhile, it does so here until the socket may take more or `deadline` has come, and says `true`.
    fn wait_to_write(&self, deadline: Option<Instant>) -> bool;
}

/// What a turn leaves to be waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// There is more to do at once.
    Again,
    /// Input, room for output or a time, whichever is first.
    For {
        /// Wait for input.
        input: bool,
        /// Wait for room for output.
        output: bool,
        /// Take another turn then, whatever happens.
        deadline: Option<Instant>,
    },
    /// The WebSocket has ended; the connection below is the driver's again.
    Ended,
}
