//! Waiting for a word of shared memory to change (futex(2)).

use std::ptr;
use std::sync::atomic::AtomicU64;

/// Blocks until somebody wakes the word, unless it is not `seen` any more. May return for no reason.
pub fn wait(word: &AtomicU64, seen: u64) {
    // SAFETY: the kernel reads four aligned bytes of a live word, and takes no time limit.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            low_half(word),
            libc::FUTEX_WAIT,
            seen as u32,
            ptr::null::<libc::timespec>(),
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
