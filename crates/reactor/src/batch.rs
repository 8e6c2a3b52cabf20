//! The events that one worker fetched in one go, open to the others.

use crate::sync::atomic::{AtomicU64, Ordering};

/// The most events in a batch. A model has no use for more than two, and each would be made anew for each schedule.
pub(crate) const ROOM: usize = if cfg!(loom) { 2 } else { 64 };

/// A queue that its owner fills when it is empty and any thread takes from.
pub(crate) struct Batch {
    /// Sequence number of the batch, the next slot to take, the number of slots filled. Taking is
    /// one compare-and-swap; the sequence number makes one fail that was meant for an older batch.
    head: AtomicU64,
    slots: [AtomicU64; ROOM],
}

const NEXT_SHIFT: u32 = 16;
const SEQUENCE_SHIFT: u32 = 32;
const FIELD_MASK: u64 = 0xffff;

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicU64::new(0),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Starts to fill the batch. Called by the owner only, and only when the batch is empty.
    pub(crate) fn fill(&self) -> Filler<'_> {
        debug_assert!(self.is_empty());
        Filler {
            batch: self,
            len: 0,
        }
    }

    /// Takes the oldest event.
    pub(crate) fn take(&self) -> Option<u64> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let next = head >> NEXT_SHIFT & FIELD_MASK;
            if next >= head & FIELD_MASK {
                return None;
            }
            let event = self.slots[next as usize % ROOM].load(Ordering::Relaxed);
            match self.head.compare_exchange_weak(
                head,
                head + (1 << NEXT_SHIFT),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(event),
                Err(now) => head = now,
            }
        }
    }

    /// True if there was nothing to take.
    pub(crate) fn is_empty(&self) -> bool {
        let head = self.head.load(Ordering::Acquire);
        head >> NEXT_SHIFT & FIELD_MASK >= head & FIELD_MASK
    }
}

/// Puts events into a batch, which are there for the takers once it is [published](Self::publish).
pub(crate) struct Filler<'b> {
    batch: &'b Batch,
    len: usize,
}

impl Filler<'_> {
    /// Adds an event. One beyond [`ROOM`] would be lost; the poller fetches no more.
    pub(crate) fn push(&mut self, event: u64) {
        if let Some(slot) = self.batch.slots.get(self.len) {
            slot.store(event, Ordering::Relaxed);
            self.len += 1;
        }
    }

    /// Lets everybody take them; returns their number.
    pub(crate) fn publish(self) -> usize {
        if self.len == 0 {
            return 0;
        }
        let head = &self.batch.head;
        let sequence = (head.load(Ordering::Relaxed) >> SEQUENCE_SHIFT).wrapping_add(1);
        // Release: a taker that sees this head sees the slots.
        head.store(
            sequence << SEQUENCE_SHIFT | self.len as u64,
            Ordering::Release,
        );
        self.len
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn fill(batch: &Batch, events: &[u64]) {
        let mut filler = batch.fill();
        events.iter().for_each(|&event| filler.push(event));
        assert_eq!(filler.publish(), events.len());
    }

    #[test]
    fn events_come_out_in_order_and_once() {
        let batch = Batch::new();
        assert_eq!(batch.take(), None);
        fill(&batch, &[3, 1, 2]);
        assert!(!batch.is_empty());
        assert_eq!(
            [batch.take(), batch.take(), batch.take(), batch.take()],
            [Some(3), Some(1), Some(2), None]
        );
        assert!(batch.is_empty());
        let all: Vec<u64> = (0..ROOM as u64).collect();
        fill(&batch, &all);
        assert_eq!(std::iter::from_fn(|| batch.take()).collect::<Vec<_>>(), all);
    }

    #[test]
    fn every_event_is_taken_once_while_others_steal() {
        let rounds: u64 = if cfg!(miri) { 20 } else { 20_000 };
        let batch = Batch::new();
        let done = AtomicBool::new(false);
        let (taken, stolen) = thread::scope(|scope| {
            let thieves: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut stolen = Vec::new();
                        while !done.load(Ordering::Relaxed) {
                            match batch.take() {
                                Some(event) => stolen.push(event),
                                None => thread::yield_now(),
                            }
                        }
                        stolen
                    })
                })
                .collect();
            let mut taken = Vec::new();
            for round in 0..rounds {
                fill(&batch, &[round * 3, round * 3 + 1, round * 3 + 2]);
                while let Some(event) = batch.take() {
                    taken.push(event);
                }
            }
            done.store(true, Ordering::Relaxed);
            let stolen: Vec<_> = thieves
                .into_iter()
                .flat_map(|thief| thief.join().unwrap())
                .collect();
            (taken, stolen)
        });
        let mut all = [taken, stolen].concat();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..rounds * 3));
    }
}
