//! Locks that a panic does not take away.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A panic of a thread that held it has been logged where it was caught, and has ended the connection
/// that it happened to; what the mutex guards is whole, because nothing that may panic runs while it is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
