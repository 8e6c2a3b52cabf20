//! Who waits for events, and how nobody waits for what is there already.
//!
//! Nothing is held while a worker waits, and a lock that all take for each event would be the bottleneck of all. Instead
//! each side says its own word first and then looks for the other's, so that of two who do so at once one sees the other:
//!
//! | who | says first | then looks |
//! |---|---|---|
//! | adds a job ([`Core::submit`]) | puts it into the queue | whether a worker waits, and wakes one |
//! | stops the reactor ([`Core::stop`]) | `stopping` | – (the poller wakes all, for good) |
//! | a worker that is going to wait (`work::wait`) | [`Waiting::begin`] | whether there is a job, or a stop |
//! | a worker that comes back | publishes its batch, then [`Waiting::end`] | whether the supervisor is awake |
//! | the supervisor that is going to rest ([`Supervisor::rest_unless`]) | that it is not awake | who waits, then what lies in batches and the queue |
//!
//! Every access named here is `SeqCst`, on both sides: that is what C++20 grants this for. One that is not is a batch's
//! head, which is released. It is published before `end`, an update that the supervisor reads before it looks at batches:
//! who sees the worker gone sees its batch, and who does not sees it waiting at a time before it looks whether the
//! supervisor is awake. `schedules/` has a model for each row.
//!
//! [`Core::submit`]: crate::core::Core::submit
//! [`Core::stop`]: crate::core::Core::stop
//! [`Supervisor::rest_unless`]: crate::supervisor::Supervisor::rest_unless

use crate::sync::atomic::{AtomicUsize, Ordering};

/// The number of workers that wait for events, or are about to. Off the cache lines of its neighbours.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Waiting(AtomicUsize);

impl Waiting {
    /// Counts the caller in. It looks for jobs after that, and before it waits.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts the caller out, who has published what it found; returns how many others wait.
    pub(crate) fn end(&self) -> usize {
        self.0.fetch_sub(1, Ordering::SeqCst) - 1
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
