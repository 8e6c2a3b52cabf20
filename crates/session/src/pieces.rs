//! Output in pieces: what cannot leave as one buffer, because some of it belongs to many.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Deref;
use std::sync::Arc;

use crate::buffers::Buffers;

/// The most pieces that one write takes: what the system takes without memory of its own is eight, and each costs less than
/// the copy of a kilobyte.
pub const MOST: usize = 64;

/// A queue with room for more than so many pieces is given back when it is empty: an idle session keeps no more.
const KEPT: usize = 16;

/// Whole frames, in one place in memory.
#[derive(Debug)]
pub enum Piece {
    /// Made for this session.
    Own(Vec<u8>),
    /// One frame, made for many.
    Shared(Arc<[u8]>),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Piece::Own(frames) => frames,
            Piece::Shared(frame) => frame,
        }
    }
}

/// Pieces on their way out, and how far that is.
#[derive(Default)]
pub struct Pieces {
    queue: VecDeque<Piece>,
    /// How much of the first one has been taken.
    taken: usize,
}

impl Pieces {
    /// Adds one behind the others.
    pub fn push(&mut self, piece: Piece) {
        self.queue.push_back(piece);
    }

    /// Whether all of it has been taken.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// They, whole.
    pub fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.queue.iter()
    }

    /// What is left, as far as there is room for it in `slices`; how many those are.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; MOST]) -> usize {
        let mut skipped = self.taken;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(&piece[skipped..]);
            skipped = 0;
            count += 1;
        }
        count
    }

    /// So many bytes have been taken.
    pub fn advance(&mut self, count: usize, buffers: &Buffers) {
        self.taken += count;
        while let Some(first) = self.queue.front()
            && self.taken >= first.len()
        {
            self.taken -= first.len();
            if let Some(Piece::Own(frames)) = self.queue.pop_front() {
                buffers.give(frames);
            }
        }
        give_back(&mut self.queue);
    }
}

/// Gives the memory of a queue back when it is empty, and has grown.
pub(crate) fn give_back(queue: &mut VecDeque<Piece>) {
    if queue.is_empty() && queue.capacity() > KEPT {
        *queue = VecDeque::new();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use websocket_proto::MessageBudget;

    use super::*;

    #[test]
    fn what_is_left_is_all_that_was_not_taken_wherever_that_ends() {
        let buffers = Buffers::new(Arc::new(MessageBudget::new(0)));
        let all = b"abcdefghi";
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let mut pieces = Pieces::default();
                pieces.push(Piece::Own(all[..3].to_vec()));
                pieces.push(Piece::Shared(all[3..4].into()));
                pieces.push(Piece::Own(all[4..].to_vec()));
                pieces.advance(first, &buffers);
                pieces.advance(second - first, &buffers);
                let mut slices = [IoSlice::new(&[]); MOST];
                let count = pieces.fill(&mut slices);
                let left: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
                assert_eq!(left, all[second..]);
                assert_eq!(pieces.is_empty(), second == all.len());
                assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
            }
        }
    }

    #[test]
    fn one_write_has_a_limit_of_pieces() {
        let mut pieces = Pieces::default();
        (0..MOST + 9).for_each(|_| pieces.push(Piece::Own(vec![0])));
        assert_eq!(pieces.fill(&mut [IoSlice::new(&[]); MOST]), MOST);
    }

    #[test]
    fn an_empty_queue_keeps_little_memory() {
        let buffers = Buffers::new(Arc::new(MessageBudget::new(0)));
        let mut pieces = Pieces::default();
        (0..MOST).for_each(|_| pieces.push(Piece::Own(vec![0])));
        pieces.advance(MOST - 1, &buffers);
        assert!(pieces.queue.capacity() >= MOST);
        pieces.advance(1, &buffers);
        assert!(pieces.queue.capacity() <= KEPT);
    }
}
