//! What threads share state with.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. No foreign code runs under a lock of ours, so one that was poisoned is sound still.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
