//! Locks that a panic does not take away.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use httpd::mpm;

/// Locks a mutex. A panic of a thread that held it has been logged where it was caught, and has ended the connection
/// that it happened to; what the mutex guards is whole, because nothing that may panic runs while it is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks a mutex at the end of the child: `None` where waiting could be for ever. That is prefork's, which ends a child in a signal
/// handler: what has the lock may be what it has interrupted.
pub fn lock_at_end<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    if mpm::is_threaded() {
        return Some(lock(mutex));
    }
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
