//! The bytes of a message that does not lie whole in the input, as far as they have come.

use std::mem;
use std::ops::RangeInclusive;

use crate::budget::{self, Share};
use crate::error::ProtocolError;

/// What has come of the message under way. Between messages: nothing, perhaps with capacity to reuse.
///
/// Memory follows the bytes that have come: the buffer at most doubles, and nothing is reserved for a
/// length that was only announced.
#[derive(Debug, Default)]
pub(crate) struct MessageBuffer {
    /// The message's bytes, and behind them others that are there to be overwritten.
    bytes: Vec<u8>,
    /// How many are the message's.
    len: usize,
    /// What it has of the memory for unfinished messages.
    share: Share,
}

impl MessageBuffer {
    /// The largest capacity that [`recycle`](Self::recycle) keeps.
    pub(crate) const MAX_RECYCLED: usize = budget::FREE;

    /// A buffer of a message that shares its memory with those of others.
    pub(crate) fn with_share(share: Share) -> MessageBuffer {
        MessageBuffer {
            share,
            ..MessageBuffer::default()
        }
    }

    /// How many bytes have come.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes the next bytes of a message that is no longer than `end`.
    pub(crate) fn push(&mut self, stretch: &[u8], end: usize) -> Result<(), ProtocolError> {
        let needed = self.len.saturating_add(stretch.len());
        let capacity = self.bytes.capacity();
        if needed > capacity {
            let target = needed.max(capacity.saturating_mul(2));
            let target = self.share.grow(target.min(end).max(needed), needed)?;
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        let room = &mut self.bytes[self.len..];
        let (into_room, rest) = stretch.split_at(stretch.len().min(room.len()));
        room[..into_room.len()].copy_from_slice(into_room);
        self.bytes.extend_from_slice(rest);
        self.len = needed;
        Ok(())
    }

    /// Room behind what has come, for the next bytes of a message that is no longer than `end`, to be
    /// [filled](Self::fill): so many bytes, or none when there is not so much. A larger buffer is one
    /// that `lend` has, if the message may have that.
    pub(crate) fn room(
        &mut self,
        sizes: RangeInclusive<usize>,
        end: usize,
        lend: impl FnOnce(usize) -> Vec<u8>,
    ) -> Option<&mut [u8]> {
        let (least, most) = (self.len.checked_add(*sizes.start())?, *sizes.end());
        if self.bytes.capacity() < least {
            let target = self.len.saturating_mul(2).min(end);
            if target < least {
                return None;
            }
            let lent = lend(target);
            if lent.capacity() >= target && self.share.covers(lent.capacity()) {
                self.move_to(lent);
            } else if self.share.covers(target) {
                self.bytes.reserve_exact(target - self.bytes.len());
            } else {
                return None;
            }
        }
        let until = self.len.saturating_add(most).min(self.bytes.capacity());
        if self.bytes.len() < until {
            self.bytes.resize(until, 0);
        }
        Some(&mut self.bytes[self.len..until])
    }

    /// The first `count` bytes of the [room](Self::room), as they have been written there.
    pub(crate) fn filled(&mut self, count: usize) -> &mut [u8] {
        let room = &mut self.bytes[self.len..];
        let count = count.min(room.len());
        &mut room[..count]
    }

    /// So many bytes of the room are the message's from now on.
    pub(crate) fn fill(&mut self, count: usize) {
        self.len = self.bytes.len().min(self.len + count);
    }

    /// Has `append` put bytes behind those that have come.
    pub(crate) fn append<T>(&mut self, append: impl FnOnce(&mut Vec<u8>, &mut Share) -> T) -> T {
        self.bytes.truncate(self.len);
        let appended = append(&mut self.bytes, &mut self.share);
        self.len = self.bytes.len();
        appended
    }

    /// All that has come, and is the caller's from here on, who has one message at a time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.share.give_back();
        let mut bytes = mem::take(&mut self.bytes);
        bytes.truncate(mem::take(&mut self.len));
        bytes
    }

    /// Takes a message's buffer back, to be used for the next message. One with more capacity than
    /// [`MAX_RECYCLED`](Self::MAX_RECYCLED) is freed.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        let is_useful = buffer.capacity() > self.bytes.capacity();
        if is_useful && buffer.capacity() <= Self::MAX_RECYCLED && self.len == 0 {
            buffer.clear();
            self.bytes = buffer;
        }
    }

    /// How many bytes it may hold before it has to grow.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn move_to(&mut self, mut other: Vec<u8>) {
        let message = &self.bytes[..self.len];
        let (over, behind) = message.split_at(message.len().min(other.len()));
        other[..over.len()].copy_from_slice(over);
        other.extend_from_slice(behind);
        self.bytes = other;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::budget::MessageBudget;

    const END: usize = 1 << 20;

    /// Fills the room with as much of `bytes` as fits; says how much that was.
    fn fill(buffer: &mut MessageBuffer, least: usize, bytes: &[u8]) -> Option<usize> {
        let room = buffer.room(least..=100, END, |_| Vec::new())?;
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        assert_eq!(buffer.filled(count), &bytes[..count]);
        buffer.fill(count);
        Some(count)
    }

    #[test]
    fn there_is_room_when_enough_has_come_and_never_more_than_has_come() {
        let mut buffer = MessageBuffer::default();
        assert_eq!(fill(&mut buffer, 10, b"none yet"), None);
        buffer.push(b"123456789", END).unwrap();
        assert_eq!(fill(&mut buffer, 10, b"none yet"), None);
        buffer.push(b"0", END).unwrap();
        let mut expected = b"1234567890".to_vec();
        for _ in 0..8 {
            let before = buffer.len();
            let count = fill(&mut buffer, 10, &[b'x'; 1000]).unwrap();
            assert!((10..=100).contains(&count) && buffer.capacity() <= 2 * before);
            expected.resize(expected.len() + count, b'x');
        }
        // What lies behind it is not the message's, whatever way the next bytes come.
        buffer
            .room(10..=100, END, |_| Vec::new())
            .unwrap()
            .fill(b'?');
        buffer.push(b"end", END).unwrap();
        expected.extend_from_slice(b"end");
        assert_eq!(buffer.take(), expected);
        assert_eq!(buffer.len(), 0);
    }

    #[test]
    fn room_ends_where_the_message_does() {
        let mut buffer = MessageBuffer::default();
        buffer.push(&[0; 100], 130).unwrap();
        let room = |buffer: &mut MessageBuffer, least| {
            buffer
                .room(least..=100, 130, |_| Vec::new())
                .map(|room| room.len())
        };
        assert_eq!(room(&mut buffer, 31), None);
        assert_eq!(room(&mut buffer, 30), Some(30));
    }

    #[test]
    fn a_lent_buffer_is_counted_and_shows_nothing_of_what_was_in_it() {
        let budget = Arc::new(MessageBudget::new(4 * budget::FREE));
        let start = vec![b'm'; budget::FREE];
        // Of the message, and of what the buffer had before, the one is the longer or the other.
        for before in [10, 3 * budget::FREE - 1] {
            let mut buffer = MessageBuffer::with_share(Share::of(Arc::clone(&budget)));
            buffer.push(&start, END).unwrap();
            let mut lent = Vec::with_capacity(3 * budget::FREE);
            lent.resize(before, b'?');
            assert!(buffer.room(10..=100, END, |_| lent).is_some());
            assert_eq!(budget.used(), 2 * budget::FREE);
            buffer.push(b"end", END).unwrap();
            assert_eq!(buffer.take(), [&*start, b"end"].concat());
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn who_may_not_have_the_lent_buffer_grows_and_who_may_not_grow_has_no_room() {
        let budget = Arc::new(MessageBudget::new(2 * budget::FREE));
        let mut buffer = MessageBuffer::with_share(Share::of(Arc::clone(&budget)));
        buffer.push(&[0; budget::FREE], END).unwrap();
        let lend = |_| Vec::with_capacity(END);
        assert!(buffer.room(10..=100, END, lend).is_some());
        assert!(buffer.capacity() <= 2 * budget::FREE);
        let mut other = MessageBuffer::with_share(Share::of(Arc::clone(&budget)));
        other.push(&[0; budget::FREE], END).unwrap();
        assert_eq!(other.room(10..=100, END, |_| Vec::new()), None);
        assert_eq!(other.take(), [0; budget::FREE]);
    }
}
