//! Every lock and every atomic of this crate: the standard library's, or, under `--cfg shuttle`, what the simulation can
//! stop at (`tests/simulation`).

pub use std::sync::{Arc, OnceLock, PoisonError, TryLockError};

#[cfg(not(shuttle))]
pub use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(shuttle)]
pub use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};

/// Locks a mutex. A panic of somebody who held it has been told where it was caught, and has ended the session that it
/// happened to; what the mutex guards is whole, because nothing that may panic runs while it is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`lock`], unless another thread has it.
pub fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
