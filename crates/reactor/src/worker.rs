//! What others see of a thread that runs callbacks.

use crate::batch::Batch;
use crate::sync::Condvar;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The shared side of a worker thread: others look in here, and take from its batch.
#[repr(align(128))]
pub(crate) struct Worker {
    activity: Activity,
    pub(crate) batch: Batch,
    /// The kernel's number of the thread, 0 before it runs.
    pub(crate) thread_id: AtomicU32,
    /// Where the thread sleeps when the pool has put it aside; goes with the pool's lock.
    pub(crate) resume: Condvar,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self {
            activity: Activity::default(),
            batch: Batch::new(),
            thread_id: AtomicU32::new(0),
            resume: Condvar::new(),
        }
    }

    pub(crate) fn activity(&self) -> Snapshot {
        Snapshot(self.activity.0.load(Ordering::Acquire))
    }

    /// Runs `f` as a callback that the supervisor has an eye on; called on the worker's thread only. True if the
    /// callback has been marked as stuck meanwhile.
    #[must_use]
    pub(crate) fn call(&self, f: impl FnOnce()) -> bool {
        let idle = self.activity.0.load(Ordering::Relaxed);
        self.activity.0.store(idle + STEP, Ordering::Release);
        f();
        let marked = self.activity.0.swap(idle + 2 * STEP, Ordering::AcqRel);
        marked & STUCK != 0
    }

    /// Marks the callback that `seen` shows as stuck; false if it is over or was marked before.
    pub(crate) fn mark_stuck(&self, seen: Snapshot) -> bool {
        seen.in_callback()
            && !seen.is_stuck()
            && self
                .activity
                .0
                .compare_exchange(seen.0, seen.0 | STUCK, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
}

/// Counts callbacks; odd in units of [`STEP`] while one runs. Only the worker itself counts, so it
/// needs no atomic addition; the supervisor may set the lowest bit.
#[derive(Default)]
struct Activity(AtomicU64);

const STUCK: u64 = 1;
const STEP: u64 = 2;

/// A worker's activity at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    pub(crate) fn in_callback(self) -> bool {
        self.0 & STEP != 0
    }

    pub(crate) fn is_stuck(self) -> bool {
        self.0 & STUCK != 0
    }
}
