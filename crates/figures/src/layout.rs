//! Where everything is: one slice of words, cut into parts.

use std::sync::atomic::AtomicU64;

use crate::allowances::{BUCKET, BUCKETS};
use crate::calls::CALL;
use crate::clients::{WINDOW, WINDOWS};
use crate::label::LABEL;
use crate::rates::{ALL_ROWS, ROW};
use crate::request::REQUEST;
use crate::tally::TALLY;
use crate::texts::TEXTS;

/// How many Locations have figures of their own, the one for all others included.
pub const LOCATIONS: usize = 256;
/// How many plugins have a name of their own, the one for all others included.
pub const PLUGINS: usize = 64;
/// How many requests to close a connection can wait at once.
pub const REQUESTS: usize = 64;
/// The words of the board's and of a slot's own fields.
pub(crate) const HEADER: usize = 32;
/// The words of an entry: 128 bytes, two cache lines, since processors fetch lines in pairs.
pub(crate) const ENTRY: usize = 16;

/// How large a board is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// How many children have room, those that are gone and not replaced yet included.
    pub slots: usize,
    /// How many connections of one child have an entry.
    pub entries: usize,
    /// How many threads of one child can be seen calling a plugin at once.
    pub threads: usize,
}

impl Layout {
    /// For a process that has nobody to share with: one child, whose connections are not listed.
    pub const PRIVATE: Layout = Layout {
        slots: 1,
        entries: 0,
        threads: 64,
    };

    /// How many words it takes.
    pub fn words(self) -> usize {
        let fixed = HEADER
            + self.windows() * WINDOW
            + ALL_ROWS * ROW
            + BUCKETS * BUCKET
            + REQUESTS * REQUEST
            + (LOCATIONS + PLUGINS) * LABEL
            + 2 * LOCATIONS * TALLY
            + self.slots.next_multiple_of(ENTRY);
        fixed + self.slots * self.slot_words()
    }

    /// The windows of the clients' table. Connections that are not listed are not counted for their clients.
    pub(crate) fn windows(self) -> usize {
        match self.entries {
            0 => 0,
            _ => WINDOWS,
        }
    }

    pub(crate) fn slot_words(self) -> usize {
        HEADER
            + LOCATIONS * TALLY
            + (self.threads * CALL).next_multiple_of(ENTRY)
            + self.entries * (ENTRY + TEXTS)
    }

    pub(crate) fn pack(self) -> u64 {
        (self.slots as u64) << 48 | (self.threads as u64) << 32 | self.entries as u64
    }

    pub(crate) fn unpack(word: u64) -> Layout {
        Layout {
            slots: (word >> 48) as usize,
            threads: (word >> 32) as usize & usize::from(u16::MAX),
            entries: (word & u64::from(u32::MAX)) as usize,
        }
    }
}

pub(crate) type Words = [AtomicU64];

/// Takes `count` pieces of `N` words off the front.
pub(crate) fn take<'m, const N: usize>(
    words: &mut &'m Words,
    count: usize,
) -> Option<&'m [[AtomicU64; N]]> {
    let (front, rest) = words.split_at_checked(count * N)?;
    *words = rest;
    Some(front.as_chunks().0)
}
