//! What threads share state with: the standard library's, or, under `--cfg loom`, what a model checker can stop at.

use std::sync::PoisonError;

#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(loom)]
pub(crate) use schedules::{Condvar, Mutex, MutexGuard, atomic};

/// Locks a mutex. No foreign code runs under a lock of ours, so one that was poisoned is sound still.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
