//! What is known of one topic.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Name;
use crate::count::{COUNTS, Count, Counted};
use crate::memory::{ENTRY, Header, get, put};

/// Words of an entry.
mod field {
    pub const STATE: usize = 0;
    pub const HASH: usize = 1;
    pub const LENGTH: usize = 2;
    /// Where the latest record that is kept is, and its id.
    pub const LAST: usize = 3;
    pub const LAST_ID: usize = 4;
    /// How many have been published.
    pub const PUBLISHED: usize = 5;
    /// Nothing is known of records up to this id.
    pub const FLOOR: usize = 6;
    /// Where the retained record is, its id (0: there is none) and its words.
    pub const RETAINED: usize = 7;
    pub const RETAINED_ID: usize = 8;
    pub const RETAINED_WORDS: usize = 9;
    /// What the children have counted of it: one word for each [`Count`](crate::Count).
    pub const COUNTS: usize = 10;
    /// Thirty-two words.
    pub const NAME: usize = 16;
}

const _: () = assert!(field::COUNTS + COUNTS <= field::NAME);

const FREE: u64 = 0;
const LIVE: u64 = 1;
const NAME_BYTES: usize = (ENTRY - field::NAME) * 8;

/// A topic's entry.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'m>(pub &'m [AtomicU64; ENTRY]);

/// A record, as an entry knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Known {
    pub position: u64,
    pub id: u64,
}

impl<'m> Entry<'m> {
    pub fn is_live(self) -> bool {
        self.word(field::STATE) == LIVE
    }

    /// Gives it to nobody.
    pub fn free(self) {
        put(&self.0[field::STATE], FREE);
    }

    /// Makes a free entry this topic's, of which nothing is known up to `floor`.
    pub fn name(self, name: &Name<'_>, floor: u64) {
        for word in &self.0[field::LAST..field::NAME] {
            put(word, 0);
        }
        put(&self.0[field::FLOOR], floor);
        for (word, bytes) in self.0[field::NAME..]
            .iter()
            .zip(name.text.as_bytes().chunks(8))
        {
            put(word, pack(bytes));
        }
        put(&self.0[field::LENGTH], name.text.len() as u64);
        put(&self.0[field::HASH], name.hash);
        put(&self.0[field::STATE], LIVE);
    }

    pub fn is(self, name: &Name<'_>) -> bool {
        let bytes = name.text.as_bytes();
        self.is_live()
            && self.word(field::LENGTH) == bytes.len() as u64
            && self.0[field::NAME..]
                .iter()
                .zip(bytes.chunks(8))
                .all(|(word, bytes)| get(word) == pack(bytes))
    }

    /// The name, if it is a text.
    pub fn text(self) -> Option<String> {
        let length = usize::try_from(self.word(field::LENGTH)).ok()?;
        let mut bytes: Vec<u8> = self.0[field::NAME..]
            .iter()
            .flat_map(|word| get(word).to_le_bytes())
            .collect();
        if length > NAME_BYTES {
            return None;
        }
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }

    pub fn hash(self) -> u64 {
        self.word(field::HASH)
    }

    pub fn last(self) -> Known {
        Known {
            position: self.word(field::LAST),
            id: self.word(field::LAST_ID),
        }
    }

    pub fn published(self) -> u64 {
        self.word(field::PUBLISHED)
    }

    /// Counts; without the lock, by who has a subscriber, so that it stays this topic's entry.
    pub fn count(self, what: Count, by: u64) {
        // Relaxed: a sum, which stands alone.
        self.0[field::COUNTS + what as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub fn counted(self) -> Counted {
        Counted::read(|what| self.word(field::COUNTS + what as usize))
    }

    pub fn floor(self) -> u64 {
        self.word(field::FLOOR)
    }

    /// Forgets what there is.
    pub fn forget(self) {
        put(&self.0[field::FLOOR], self.floor().max(self.last().id));
        put(&self.0[field::RETAINED_ID], 0);
        put(&self.0[field::RETAINED_WORDS], 0);
    }

    /// The record that is retained.
    pub fn retained(self) -> Option<Known> {
        let id = self.word(field::RETAINED_ID);
        (id != 0).then(|| Known {
            position: self.word(field::RETAINED),
            id,
        })
    }

    pub fn retained_words(self) -> u64 {
        self.word(field::RETAINED_WORDS)
    }

    /// Takes a record into account that has been written at `position`; `retained` is told how many words were retained
    /// before and are now. To do so again changes nothing more.
    pub fn learn(self, record: &Header, position: u64, retained: impl FnOnce(u64, u64)) {
        let known = Known {
            position,
            id: record.id,
        };
        if !record.is_carried {
            put(&self.0[field::PUBLISHED], record.nth);
            if !record.flags.volatile {
                put(&self.0[field::LAST], known.position);
                put(&self.0[field::LAST_ID], known.id);
            }
        }
        if record.flags.retain {
            let before = self.word(field::RETAINED_WORDS);
            put(&self.0[field::RETAINED_ID], 0);
            put(&self.0[field::RETAINED], known.position);
            put(&self.0[field::RETAINED_WORDS], record.words());
            put(&self.0[field::RETAINED_ID], known.id);
            retained(before, record.words());
        }
    }

    fn word(self, index: usize) -> u64 {
        get(&self.0[index])
    }
}

fn pack(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}
