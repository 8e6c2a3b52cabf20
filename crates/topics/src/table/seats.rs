//! The children, and how many subscribers each has.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::Subscribed;
use crate::bell::Bell;
use crate::memory::{Parts, get, header, put, seat};

/// Names a process, as long as it lives, and no other one afterwards: its id and when it has started, for example.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(pub NonZeroU64);

/// All seats.
#[derive(Clone, Copy)]
pub(crate) struct Seats<'m>(pub Parts<'m>);

impl<'m> Seats<'m> {
    /// How many have ever been used.
    pub fn high(self) -> usize {
        let high = get(&self.0.header[header::SEATS_HIGH]);
        usize::try_from(high).map_or(self.0.seats.len(), |high| high.min(self.0.seats.len()))
    }

    pub fn owner(self, index: usize) -> Option<Owner> {
        NonZeroU64::new(get(&self.0.seats[index][seat::OWNER])).map(Owner)
    }

    /// Those who have a seat.
    pub fn owners(self) -> impl Iterator<Item = (usize, Owner)> {
        (0..self.high()).filter_map(move |index| Some((index, self.owner(index)?)))
    }

    /// Gives the first free seat away, with no subscribers.
    pub fn take(self, owner: Owner) -> Option<usize> {
        let index = (0..self.0.seats.len()).find(|&index| self.owner(index).is_none())?;
        let used = get(&self.0.header[header::HIGH]) as usize;
        let row = self.0.row(index);
        for count in &row[..used.min(row.len())] {
            if get(count) != 0 {
                put(count, 0);
            }
        }
        put(
            &self.0.seats[index][seat::CURSOR],
            get(&self.0.header[header::COMMIT]),
        );
        let high = &self.0.header[header::SEATS_HIGH];
        put(high, get(high).max(index as u64 + 1));
        put(&self.0.seats[index][seat::OWNER], owner.0.get());
        Some(index)
    }

    /// Takes a seat from whoever has it, if that is still `owner`; the subscribers are gone with it.
    pub fn vacate(self, index: usize, owner: Owner) {
        if self.owner(index) == Some(owner) {
            put(&self.0.seats[index][seat::OWNER], 0);
            let used = get(&self.0.header[header::HIGH]) as usize;
            let row = self.0.row(index);
            for (slot, count) in (0..).zip(&row[..used.min(row.len())]) {
                if get(count) != 0 {
                    Subscribed(self.0).look(slot);
                }
            }
        }
    }

    /// The subscribers of one topic.
    pub fn subscribers(self, slot: u32) -> u64 {
        self.owners()
            .map(|(index, _)| get(&self.0.row(index)[slot as usize]))
            .fold(0, u64::saturating_add)
    }

    pub fn bell(self, index: usize) -> &'m AtomicU64 {
        &self.0.seats[index][seat::BELL]
    }

    /// A child is going to wait for its bell, from now on, or does not wait any more.
    pub fn set_waiting(self, index: usize, waits: bool) {
        let (word, bit) = (&self.0.waiting[index / 64], 1 << (index % 64));
        match waits {
            true => word.fetch_or(bit, Ordering::SeqCst),
            false => word.fetch_and(!bit, Ordering::SeqCst),
        };
    }

    /// Wakes the children that have a subscriber of a topic, and wait.
    pub fn ring(self, slot: u32, bell: &(impl Bell + ?Sized)) {
        // Either this sees that a reader waits, or that reader sees the record.
        fence(Ordering::SeqCst);
        for word in self.waiting(slot) {
            word.fetch_add(1, Ordering::SeqCst);
            bell.wake(word);
        }
    }

    /// The bells that those wait for who have a subscriber of this topic. Each is returned by one call only.
    pub fn waiting(self, slot: u32) -> impl Iterator<Item = &'m AtomicU64> {
        self.waiting_if(move |index| get(&self.0.row(index)[slot as usize]) != 0)
    }

    /// The bells that anybody waits for. Each is returned by one call only.
    pub fn all_waiting(self) -> impl Iterator<Item = &'m AtomicU64> {
        self.waiting_if(|_| true)
    }

    fn waiting_if(
        self,
        is_concerned: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = &'m AtomicU64> {
        let bits = self.0.waiting.iter().enumerate().flat_map(|(index, word)| {
            let mut left = word.load(Ordering::SeqCst);
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some((index * 64 + bit as usize, word, 1_u64 << bit))
            })
        });
        bits.filter_map(move |(index, word, bit)| {
            let is_seat = index < self.0.seats.len();
            let is_concerned = is_seat && is_concerned(index);
            let is_first = is_concerned && word.fetch_and(!bit, Ordering::SeqCst) & bit != 0;
            is_first.then(|| self.bell(index))
        })
    }
}
