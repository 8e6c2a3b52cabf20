//! A model's threads.

pub use loom::thread::{JoinHandle, yield_now};

use crate::{FIRST, First};

/// Starts a thread; stands in for `std::thread::spawn`.
pub fn spawn<F, T>(body: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let thread = loom::thread::spawn(body);
    if FIRST.get() == First::Spawned {
        yield_now();
    }
    thread
}
