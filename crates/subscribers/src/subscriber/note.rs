//! What the thread that delivers leaves for who has a subscriber's state: which records have passed by.

use topics::RecordId;

use crate::sync::atomic::{AtomicU64, Ordering};

/// No record has passed by.
const NOBODY: u64 = u64::MAX;

/// Left by one thread, and taken by whoever has the state.
pub(super) struct Note {
    first: AtomicU64,
    /// Or one that is just being tried.
    last: AtomicU64,
}

/// What the note said before.
pub(super) struct Before(u64);

impl Note {
    pub fn new() -> Self {
        Note {
            first: AtomicU64::new(NOBODY),
            last: AtomicU64::new(0),
        }
    }

    /// The records from `first` to `last` have passed by, too.
    pub fn leave(&self, first: RecordId, last: RecordId) -> Before {
        self.last.store(last.0, Ordering::SeqCst);
        Before(self.first.fetch_min(first.0, Ordering::SeqCst))
    }

    /// They have not, after all: by who has left it, and has the state now.
    pub fn take_back(&self, before: Before) {
        self.first.store(before.0, Ordering::SeqCst);
    }

    pub fn is_empty(&self) -> bool {
        self.first.load(Ordering::SeqCst) == NOBODY
    }

    /// From which record to which, if any; they are the caller's to catch up with.
    pub fn take(&self) -> Option<(RecordId, RecordId)> {
        let first = self.first.swap(NOBODY, Ordering::SeqCst);
        (first != NOBODY).then(|| (RecordId(first), RecordId(self.last.load(Ordering::SeqCst))))
    }
}
