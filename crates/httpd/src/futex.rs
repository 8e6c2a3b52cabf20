//! Waiting for a word of shared memory to change (futex(2)).

use std::ptr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Blocks until somebody wakes the word, at most for `time`, unless it is not `seen` any more. May return for no reason.
pub fn wait(word: &AtomicU64, seen: u64, time: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: the kernel reads four aligned bytes of a live word, and the time.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            low_half(word),
            libc::FUTEX_WAIT,
            seen as u32,
            ptr::from_ref(&time),
        );
    }
}

/// Wakes everybody who waits for the word, in whatever process.
pub fn wake(word: &AtomicU64) {
    // SAFETY: the kernel takes the address of a live word as a name, and writes nothing.
    unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, i32::MAX) };
}

/// A futex has 32 bits; the word's low half is the one that changes with each step.
fn low_half(word: &AtomicU64) -> *const u32 {
    let halves = word.as_ptr().cast_const().cast::<u32>();
    match cfg!(target_endian = "little") {
        true => halves,
        // The second of two halves is within the word.
        false => halves.wrapping_add(1),
    }
}
