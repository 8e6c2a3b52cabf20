//! Every lock and every atomic of this crate: the standard library's; or, under `--cfg loom`, those that models of small
//! parts are searched with (`schedules`); or, under `--cfg shuttle`, those that the simulation can stop at
//! (`tests/simulation`).

pub use std::sync::{OnceLock, PoisonError};

#[cfg(not(any(loom, shuttle)))]
pub use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(loom)]
pub use schedules::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(shuttle)]
pub use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};

/// Locks a mutex. A panic of a thread that held it has been told where it was caught, and ends the session that it
/// happened to: a turn's in `Session::turn`, another thread's by `Session::with_output`. What the mutex guards is whole,
/// because nothing that may panic runs while it is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
