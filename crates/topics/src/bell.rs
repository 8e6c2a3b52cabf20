//! How a child's reader is woken.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Waits for words of shared memory to change, and wakes who waits. [`Futex`](crate::Futex) is the real one; a simulation
/// has one of its own.
pub trait Bell {
    /// Blocks until somebody wakes the word, unless it is not `seen` any more, and `most` at the longest. May return
    /// for no reason.
    fn wait(&self, word: &AtomicU64, seen: u64, most: Duration);

    /// Wakes everybody who waits for the word, in whatever process.
    fn wake(&self, word: &AtomicU64);
}
