//! Every lock and every atomic of this crate, so that another library can stand in for `std`'s: one that tries the
//! schedules of small models.

#[cfg(not(loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard, atomic};
pub use std::sync::{OnceLock, PoisonError};

#[cfg(loom)]
pub use schedules::{Condvar, Mutex, MutexGuard, atomic};

/// Locks a mutex. A panic of somebody who held it has been told where it was caught, and has ended the session that it
/// happened to; what the mutex guards is whole, because nothing that may panic runs while it is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
