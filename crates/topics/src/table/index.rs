//! Finds an entry by its name's hash: open addressing, at most half full.

use std::sync::atomic::AtomicU64;

use super::Entry;
use crate::memory::{ENTRY, Words, get, put};

/// The index of a table. A change of it that was not finished is not mended: [`Index::rebuild`].
#[derive(Clone, Copy)]
pub(crate) struct Index<'m> {
    pub words: &'m Words,
    pub entries: &'m [[AtomicU64; ENTRY]],
}

impl Index<'_> {
    /// The first entry with this hash that `is_it`.
    pub fn find(self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.places(hash)
            .map(|place| get(&self.words[place]))
            .take_while(|&word| word != 0)
            .filter(|&word| word >> 32 == hash >> 32)
            .filter_map(|word| self.slot(word))
            .find(|&slot| is_it(slot))
    }

    pub fn insert(self, hash: u64, slot: u32) {
        let free = self
            .places(hash)
            .find(|&place| get(&self.words[place]) == 0);
        if let Some(place) = free {
            put(&self.words[place], hash >> 32 << 32 | (u64::from(slot) + 1));
        }
    }

    /// Takes an entry out, and moves those up that would not be found across the hole.
    pub fn remove(self, hash: u64, slot: u32) {
        let mask = self.words.len() - 1;
        let is_it = |&place: &usize| self.slot(get(&self.words[place])) == Some(slot);
        let Some(mut hole) = self.places(hash).find(is_it) else {
            return;
        };
        let start = hole;
        for step in 1..self.words.len() {
            let place = (start + step) & mask;
            let word = get(&self.words[place]);
            let Some(slot) = self.slot(word) else {
                break;
            };
            let home = Entry(&self.entries[slot as usize]).hash() as usize & mask;
            let is_lost = place.wrapping_sub(home) & mask >= place.wrapping_sub(hole) & mask;
            if is_lost {
                put(&self.words[hole], word);
                hole = place;
            }
        }
        put(&self.words[hole], 0);
    }

    /// Makes it anew from the entries below `high`; returns one of them that is free.
    pub fn rebuild(self, high: usize) -> Option<u32> {
        for word in self.words {
            put(word, 0);
        }
        let mut free = None;
        for (slot, entry) in (0..).zip(&self.entries[..high.min(self.entries.len())]) {
            match Entry(entry) {
                entry if entry.is_live() => self.insert(entry.hash(), slot),
                _ => free = Some(slot),
            }
        }
        free
    }

    /// All places, beginning at home.
    fn places(self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.words.len() - 1;
        (0..=mask).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    fn slot(self, word: u64) -> Option<u32> {
        let slot = (word as u32).checked_sub(1)?;
        ((slot as usize) < self.entries.len()).then_some(slot)
    }
}
