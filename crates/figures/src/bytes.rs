//! Text in shared words: eight bytes in each, the first of them lowest.

use std::sync::atomic::{AtomicU64, Ordering};

/// Writes these bytes, and zeros behind them up to the end of a word. What lies further behind stays.
pub(crate) fn write(words: &[AtomicU64], bytes: &[u8]) {
    for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
    }
}

/// The bytes of words that may be changed meanwhile, which the caller finds out afterwards.
pub(crate) fn read(words: &[AtomicU64]) -> Vec<u8> {
    let bytes = |word: &AtomicU64| word.load(Ordering::Relaxed).to_le_bytes();
    words.iter().flat_map(bytes).collect()
}

/// A text that lies in bytes; empty when it does not lie there as a whole.
pub(crate) fn text(bytes: &[u8], from: usize, length: usize) -> String {
    let bytes = bytes.get(from..from + length).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
