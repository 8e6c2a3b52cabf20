//! Ends a writer between two words, in tests: what SIGKILL does to a process, done to a call.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    /// How many more words may be written; `None`: any number.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Stopped;

pub(crate) fn step() {
    match LEFT.get() {
        Some(0) => {
            LEFT.set(None);
            resume_unwind(Box::new(Stopped));
        }
        Some(left) => LEFT.set(Some(left - 1)),
        None => {}
    }
}

/// Has `writer` end once it has written `words` words; `None` when it did.
pub(crate) fn stopped_after<T>(words: usize, writer: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(Some(words));
    let result = catch_unwind(AssertUnwindSafe(writer));
    LEFT.set(None);
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Stopped>() => None,
        Err(payload) => resume_unwind(payload),
    }
}
