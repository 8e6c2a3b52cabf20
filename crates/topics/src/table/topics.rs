//! The table of topics.

use super::index::Index;
use super::{Entry, Name, Subscribed};
use crate::memory::{Parts, get, header, put};

/// Every topic of the table has subscribers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// How many topics without subscribers are looked at before one of them is evicted.
const SAMPLE: usize = 64;

/// All topics.
#[derive(Clone, Copy)]
pub(crate) struct Topics<'m>(pub Parts<'m>);

impl<'m> Topics<'m> {
    /// How many entries have ever been used.
    pub fn high(self) -> usize {
        let high = get(&self.0.header[header::HIGH]);
        usize::try_from(high).map_or(self.0.entries.len(), |high| high.min(self.0.entries.len()))
    }

    pub fn entry(self, slot: u32) -> Option<Entry<'m>> {
        self.0.entries.get(slot as usize).map(Entry)
    }

    pub fn find(self, name: &Name<'_>) -> Option<u32> {
        let is_it = |slot| self.entry(slot).is_some_and(|entry| entry.is(name));
        self.index().find(name.hash, is_it)
    }

    /// The topic's entry, which is made when there is none. For room, a topic without subscribers is evicted: of some,
    /// the one that nothing was published to for longest, those with a retained record last.
    pub fn find_or_make(self, name: &Name<'_>) -> Result<u32, Full> {
        if let Some(slot) = self.find(name) {
            return Ok(slot);
        }
        let spare = self.word(header::SPARE).checked_sub(1);
        let spare = spare.and_then(|slot| u32::try_from(slot).ok());
        let high = self.high();
        self.set(header::INDEX_DIRTY, 1);
        let slot = if let Some(slot) = spare.filter(|&slot| (slot as usize) < high) {
            slot
        } else if high < self.0.entries.len() {
            self.set(header::HIGH, high as u64 + 1);
            high as u32
        } else {
            let Some(slot) = self.idlest() else {
                self.set(header::INDEX_DIRTY, 0);
                return Err(Full);
            };
            self.evict(slot);
            slot
        };
        let entry = Entry(&self.0.entries[slot as usize]);
        entry.name(name, self.word(header::EVICTED));
        self.index().insert(name.hash, slot);
        self.set(header::SPARE, 0);
        self.set(header::INDEX_DIRTY, 0);
        Ok(slot)
    }

    /// Finishes what a writer has left.
    pub fn recover(self) {
        let retained = self.live().map(|(_, entry)| entry.retained_words());
        self.set(header::RETAINED, retained.fold(0, u64::saturating_add));
        if self.word(header::INDEX_DIRTY) != 0 {
            let spare = self.index().rebuild(self.high());
            self.set(header::SPARE, spare.map_or(0, |slot| u64::from(slot) + 1));
            self.set(header::INDEX_DIRTY, 0);
        }
    }

    /// Those that have a topic.
    pub fn live(self) -> impl Iterator<Item = (u32, Entry<'m>)> {
        let entries = (0..).zip(&self.0.entries[..self.high()]);
        entries
            .map(|(slot, entry)| (slot, Entry(entry)))
            .filter(|(_, entry)| entry.is_live())
    }

    /// A topic that nobody needs most.
    fn idlest(self) -> Option<u32> {
        let count = self.0.entries.len();
        let start = self.word(header::HAND) as usize % count;
        let unused = Subscribed(self.0).without(start, count).take(SAMPLE);
        let mut last = None;
        let best = unused
            .map(|slot| {
                last = Some(slot);
                let entry = Entry(&self.0.entries[slot as usize]);
                (entry.retained().is_some(), entry.last().id, slot)
            })
            .min();
        if let Some(last) = last {
            self.set(header::HAND, (last as u64 + 1) % count as u64);
        }
        best.map(|(_, _, slot)| slot)
    }

    fn evict(self, slot: u32) {
        let entry = Entry(&self.0.entries[slot as usize]);
        let latest = entry.last().id.max(entry.floor());
        self.set(header::EVICTED, self.word(header::EVICTED).max(latest));
        let retained = self.word(header::RETAINED);
        self.set(
            header::RETAINED,
            retained.saturating_sub(entry.retained_words()),
        );
        entry.free();
        self.index().remove(entry.hash(), slot);
        self.set(
            header::EVICTIONS,
            self.word(header::EVICTIONS).wrapping_add(1),
        );
    }

    fn index(self) -> Index<'m> {
        Index {
            words: self.0.index,
            entries: self.0.entries,
        }
    }

    fn word(self, index: usize) -> u64 {
        get(&self.0.header[index])
    }

    fn set(self, index: usize, value: u64) {
        put(&self.0.header[index], value);
    }
}
