//! Which topics have subscribers: one bit for each, so that nobody looks through all of them for one that has none.

use std::sync::atomic::AtomicU64;

use super::Seats;
use crate::memory::{Parts, get, header, put};

/// The bits. One may be set too early, and is taken away too late: somebody who is killed between a bit and what it stands
/// for is recovered from by [`Subscribed::rebuild`].
#[derive(Clone, Copy)]
pub(crate) struct Subscribed<'m>(pub Parts<'m>);

impl Subscribed<'_> {
    /// A topic has a subscriber, or is going to.
    pub fn set(self, slot: u32) {
        let (word, bit) = self.place(slot);
        if get(word) & bit == 0 {
            put(word, get(word) | bit);
        }
    }

    /// A topic has one subscriber less, or all those of a child.
    pub fn look(self, slot: u32) {
        if Seats(self.0).subscribers(slot) == 0 {
            let (word, bit) = self.place(slot);
            put(word, get(word) & !bit);
        }
    }

    #[cfg(test)]
    pub fn is_set(self, slot: u32) -> bool {
        let (word, bit) = self.place(slot);
        get(word) & bit != 0
    }

    /// The topics without subscribers among the first `count`, once round from `start`.
    pub fn without(self, start: usize, count: usize) -> impl Iterator<Item = u32> {
        let words = count.div_ceil(64);
        // The first word is looked at twice: from its bit on, and up to it.
        (0..=words).flat_map(move |step| {
            let index = (start / 64 + step) % words;
            let mut left = !get(&self.0.subscribed[index]);
            let behind_start = u64::MAX << (start % 64);
            match step {
                0 => left &= behind_start,
                _ if step == words => left &= !behind_start,
                _ => {}
            }
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(index as u32 * 64 + bit)
            })
            .filter(move |&slot| (slot as usize) < count)
        })
    }

    /// Makes all of it anew from what the children have counted.
    pub fn rebuild(self) {
        for word in self.0.subscribed {
            put(word, 0);
        }
        let high = get(&self.0.header[header::HIGH]) as usize;
        for (seat, _) in Seats(self.0).owners() {
            let row = self.0.row(seat);
            for (slot, count) in (0..).zip(&row[..high.min(row.len())]) {
                if get(count) != 0 {
                    self.set(slot);
                }
            }
        }
    }

    fn place(&self, slot: u32) -> (&AtomicU64, u64) {
        let word = &self.0.subscribed[slot as usize / 64];
        (word, 1 << (slot % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Layout;

    #[test]
    fn those_without_come_once_each_from_wherever_it_begins() {
        for topics in [1, 5, 64, 65, 130] {
            let layout = Layout {
                ring: 8 << 10,
                topics,
                seats: 1,
            };
            let words: Vec<AtomicU64> = (0..layout.words().unwrap())
                .map(|_| AtomicU64::new(0))
                .collect();
            let subscribed = Subscribed(Parts::cut(&words, layout).unwrap());
            for slot in (0..topics as u32).step_by(3) {
                subscribed.set(slot);
            }
            for start in 0..topics {
                let expected: Vec<u32> = (start..topics)
                    .chain(0..start)
                    .map(|slot| slot as u32)
                    .filter(|slot| slot % 3 != 0)
                    .collect();
                let found: Vec<u32> = subscribed.without(start, topics).collect();
                assert_eq!(found, expected, "{topics} from {start}");
            }
        }
    }
}
