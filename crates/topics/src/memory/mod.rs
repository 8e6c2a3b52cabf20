//! The shared memory: where everything is in it, and how it is read and written.

mod layout;
mod record;
mod ring;
#[cfg(test)]
pub(crate) mod stops;
// The only unsafe code of this crate.
#[allow(unsafe_code)]
mod sys;

pub(crate) use layout::{ENTRY, MEMBER, Parts, SEAT, WAYS, header, seat};
pub use layout::{KEYS, Layout};
pub(crate) use record::{Body, Fingerprint, Header};
pub use record::{Flags, Kind};
pub(crate) use ring::Ring;
pub(crate) use sys::{Acquired, HeldSignals, LOCK, RobustLock};
pub use sys::{Futex, hold_signals};

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) type Words = [AtomicU64];

/// Reads a word, and with it whatever was written before it was.
pub(crate) fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

/// Writes a word, after everything that was written before: a process that is killed between two of these has written
/// the first and not the second.
pub(crate) fn put(word: &AtomicU64, value: u64) {
    step();
    word.store(value, Ordering::Release);
}

/// Before each word that is written to shared memory: tests end a writer here.
#[inline(always)]
fn step() {
    #[cfg(test)]
    stops::step();
}
