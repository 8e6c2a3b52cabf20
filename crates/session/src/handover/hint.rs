//! What can be seen of the hand-over without its lock.

use crate::sync::atomic::{AtomicUsize, Ordering};

const IS_CLOSE_SENT: usize = 1;
const IS_AT_REST: usize = 1 << 1;
const FLAGS: u32 = 2;

/// One word, stored under the lock and loaded without it. Relaxed: what is decided by it is decided again under the lock
/// where it matters, and a thread sees what it has stored itself, and what others had when it last had the lock.
#[derive(Default)]
pub(super) struct Hint(AtomicUsize);

impl Hint {
    /// Under the lock.
    #[inline]
    pub(super) fn store(&self, waiting: usize, is_close_sent: bool, is_at_rest: bool) {
        let flags =
            (usize::from(is_close_sent) * IS_CLOSE_SENT) | (usize::from(is_at_rest) * IS_AT_REST);
        self.0.store((waiting << FLAGS) | flags, Ordering::Relaxed);
    }

    /// Under the lock: a thread has the wire.
    #[inline]
    pub(super) fn wire_is_taken(&self) {
        self.0.store(self.load() & !IS_AT_REST, Ordering::Relaxed);
    }

    /// What waits ([`Outbox::load`](crate::outbox::Outbox::load)).
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.load() >> FLAGS
    }

    /// The Close frame has been put in.
    #[inline]
    pub(super) fn is_close_sent(&self) -> bool {
        self.load() & IS_CLOSE_SENT != 0
    }

    /// Nothing waits, and nothing is being written.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        self.load() & IS_AT_REST != 0
    }

    #[inline]
    fn load(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
