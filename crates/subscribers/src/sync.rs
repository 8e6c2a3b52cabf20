//! Every lock and every atomic of this crate: the standard library's; or, under `--cfg shuttle`, those that the simulation
//! can stop at (`crates/server-functions/tests/simulation`).

pub use std::sync::{PoisonError, TryLockError};

#[cfg(not(shuttle))]
pub use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic};
#[cfg(not(shuttle))]
pub use std::thread::sleep;

#[cfg(shuttle)]
pub use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic};
#[cfg(shuttle)]
pub use shuttle::thread::sleep;
