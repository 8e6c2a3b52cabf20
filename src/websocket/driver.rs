//! What a connection knows of its driver: who waits for the socket.

use std::time::Instant;

/// How a connection reaches the driver that waits for it.
pub trait Driver: Send + Sync {
    /// Asks for a turn soon; from any thread.
    fn wake(&self);

    /// The socket takes no more output: a turn is due when it does, when it breaks or at `deadline`. From any
    /// thread.
    fn stalled(&self, deadline: Option<Instant>);

    /// Called by the thread of a callback that has to wait for room in the outbox: waits until the socket may take more, it
    /// breaks, [`Driver::wake`] is called or `deadline` has come, whatever other threads do.
    fn wait_to_write(&self, deadline: Option<Instant>);

    /// Whether a thread of httpd's is with the connection to its end.
    fn is_blocking(&self) -> bool {
        false
    }

    /// Whether the calling thread is in none of this connection's turns.
    fn is_at_rest(&self) -> bool {
        true
    }

    /// The connection has been ended from outside its turns, when none will ever come.
    fn terminated(&self) {}
}
