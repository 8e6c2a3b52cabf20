//! The ring: bytes by position. A position counts words from the log's beginning, and never goes back.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Words, step, sys};

/// The ring. What is read here may be torn, or long overwritten: whether it was whole is asked afterwards.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'m>(&'m Words);

impl<'m> Ring<'m> {
    pub fn new(words: &'m Words) -> Self {
        Ring(words)
    }

    /// How many words there are.
    pub fn len(self) -> u64 {
        self.0.len() as u64
    }

    /// Writes bytes from a position on, with zeros up to the end of the last word. The caller has the lock.
    pub fn write(self, position: u64, bytes: &[u8]) {
        let (front, back) = self.spans(position, bytes.len().div_ceil(8));
        let (first, second) = bytes.split_at(bytes.len().min(front.len() * 8));
        store(front, first);
        store(back, second);
    }

    /// Reads bytes from a position on; `bytes` is as long as some words are.
    pub fn read(self, position: u64, bytes: &mut [u8]) {
        let (front, back) = self.spans(position, bytes.len() / 8);
        let (first, second) = bytes.split_at_mut(front.len() * 8);
        load(front, first);
        load(back, second);
    }

    /// Copies words within the ring, to where nothing of theirs is. The caller has the lock.
    pub fn copy(self, from: u64, to: u64, words: u64) {
        for offset in 0..words {
            let word = self.word(from.wrapping_add(offset)).load(Ordering::Relaxed);
            step();
            self.word(to.wrapping_add(offset))
                .store(word, Ordering::Relaxed);
        }
    }

    /// Has the header at a position be near when it is read.
    pub fn prefetch(self, position: u64) {
        sys::prefetch(self.word(position));
        sys::prefetch(self.word(position.wrapping_add(8)));
    }

    fn word(self, position: u64) -> &'m AtomicU64 {
        &self.0[(position % self.len()) as usize]
    }

    /// The words from a position on, which may go on at the ring's beginning.
    fn spans(self, position: u64, words: usize) -> (&'m Words, &'m Words) {
        let start = (position % self.len()) as usize;
        let first = words.min(self.0.len() - start);
        let second = (words - first).min(start);
        (&self.0[start..][..first], &self.0[..second])
    }
}

fn store(words: &Words, bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, bytes) in words.iter().zip(whole) {
        step();
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut padded = [0; 8];
        padded[..rest.len()].copy_from_slice(rest);
        step();
        words[whole.len()].store(u64::from_ne_bytes(padded), Ordering::Relaxed);
    }
}

fn load(words: &Words, bytes: &mut [u8]) {
    for (word, bytes) in words.iter().zip(bytes.as_chunks_mut::<8>().0) {
        *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_every_place() {
        let words: Vec<AtomicU64> = (0..16).map(|_| AtomicU64::new(0)).collect();
        let ring = Ring::new(&words);
        for position in 0..64 {
            for length in 0..=128 {
                let bytes: Vec<u8> = (0..length)
                    .map(|index| index as u8 ^ position as u8)
                    .collect();
                ring.write(position, &bytes);
                let mut read = vec![0xaa; bytes.len().next_multiple_of(8)];
                ring.read(position, &mut read);
                assert_eq!(read[..length], bytes);
                assert!(read[length..].iter().all(|&byte| byte == 0));
            }
        }
    }
}
