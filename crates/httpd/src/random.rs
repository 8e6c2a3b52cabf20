//! Numbers that nobody can guess.
//!
//! What `std` has is no good here: it asks the system once for each thread, and a child of prefork runs on its parent's
//! thread, so that all children would have the same numbers.

/// A random number, of the system's own (getrandom(2)).
pub fn random() -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: getrandom writes at most the given length into the rest of the array.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        // Interrupted by a signal, it is asked again; nothing else can happen to so few bytes.
        filled += usize::try_from(count).unwrap_or(0);
    }
    u64::from_ne_bytes(bytes)
}
