//! Where in memory a send goes, for who sends to many.
//!
//! What a thousand sessions are made of does not fit into the cache, and each send would wait for its memory piece by piece.
//! Who knows to whom it sends next has that memory fetched while the transport takes the last message.
//!
//! All of it is addresses, not to be looked at: what they are of may be gone.

use std::mem::size_of_val;
use std::ops::Range;

/// Where something lies.
#[inline]
pub fn addresses<T>(it: &T) -> Range<usize> {
    let start = std::ptr::from_ref(it).addr();
    start..start + size_of_val(it)
}
