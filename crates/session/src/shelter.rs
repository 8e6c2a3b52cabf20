//! Panics that end a session, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `step` says; nothing when it panics, which the process's panic hook has told.
pub(crate) fn sheltered<T>(step: impl FnOnce() -> T) -> Option<T> {
    // A panic ends the session, which looks at little of its state then, and at nothing that is half changed: see
    // `crate::sync::lock`.
    catch_unwind(AssertUnwindSafe(step)).ok()
}
