//! Where everything is: one slice of words, cut into parts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{LOCK, Ring, Words};

/// How many idempotency keys are remembered.
pub const KEYS: usize = 4096;

/// How large a log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes for messages, 8 KiB to 1 TiB. One message takes at most an eighth of them; rounded down to 8.
    pub ring: usize,
    /// How many topics are known at once, 1 to 1,048,576.
    pub topics: usize,
    /// How many children have room, those that are gone and not replaced yet included; 1 to 4,096.
    pub seats: usize,
}

impl Layout {
    const RING: std::ops::RangeInclusive<usize> = 8 << 10..=1 << 40;
    const TOPICS: std::ops::RangeInclusive<usize> = 1..=1 << 20;
    const SEATS: std::ops::RangeInclusive<usize> = 1..=4096;

    /// How many words of 8 bytes it takes; `None` when it is smaller or larger than may be. They take memory when they
    /// are touched: a seat that nobody has takes none, nor do topics that nobody names.
    pub fn words(self) -> Option<usize> {
        let is_possible = Self::RING.contains(&self.ring)
            && Self::TOPICS.contains(&self.topics)
            && Self::SEATS.contains(&self.seats);
        is_possible.then(|| {
            HEADER
                + self.waiting()
                + self.seats * SEAT
                + self.topics * ENTRY
                + self.index()
                + self.subscribed()
                + KEYS * KEY
                + self.members() * (1 + MEMBER)
                + self.seats * self.topics.next_multiple_of(LINE)
                + self.ring / 8
        })
    }

    /// Words of a bitmap of seats.
    fn waiting(self) -> usize {
        self.seats.div_ceil(64).next_multiple_of(LINE)
    }

    /// How many members have room, of all topics together: twice as many as topics, 64 to 16,384.
    pub fn members(self) -> usize {
        (2 * self.topics).clamp(64, 16_384)
    }

    /// Words of a bitmap of topics.
    fn subscribed(self) -> usize {
        self.topics.div_ceil(64).next_multiple_of(LINE)
    }

    /// Words of the index: at most half of them are ever used.
    fn index(self) -> usize {
        (2 * self.topics).next_power_of_two()
    }
}

/// How long to wait for the lock. It is held for some microseconds; who has it for longer does not go on.
const PATIENCE: Duration = Duration::from_secs(1);

/// The words of two cache lines, since processors fetch lines in pairs.
const LINE: usize = 16;
const HEADER: usize = 80;
/// The words of a child's seat.
pub(crate) const SEAT: usize = LINE;
/// The words of a topic's entry.
pub(crate) const ENTRY: usize = 48;
/// The words of an idempotency key, and how many of them stand together.
const KEY: usize = 4;
pub(crate) const WAYS: usize = 8;

/// The words of a member beside the one that says whose it is: its length, and its text.
pub(crate) const MEMBER: usize = 1 + crate::name::Member::MOST / 8;

/// Words of the header.
pub(crate) mod header {
    /// What form all of it has; written last.
    pub const FORM: usize = 0;
    /// How large the parts are.
    pub const RING: usize = 1;
    pub const TOPICS: usize = 2;
    pub const SEATS: usize = 3;
    pub const EPOCH: usize = 4;
    /// Keeps those who name topics and keys from choosing where they come to stand; two words.
    pub const SEED: usize = 5;

    /// What follows up to the next line is written with the lock held, the lock by itself.
    pub const LOCK: usize = 16;
    /// Not 0 while a publisher writes. When the next one finds it so, there is something to recover.
    pub const DIRTY: usize = 32;
    /// Not 0 while the index is being changed.
    pub const INDEX_DIRTY: usize = 33;
    /// The end of what has been copied into the ring: a record that ends here is going to be committed, by whomever.
    pub const WRITTEN: usize = 34;
    /// The latest record's id.
    pub const LAST_ID: usize = 35;
    /// Entries from here on have never been used.
    pub const HIGH: usize = 36;
    /// 1 + an entry below that, which is free all the same; 0 when there is none.
    pub const SPARE: usize = 37;
    /// Where the search for a topic to evict goes on.
    pub const HAND: usize = 38;
    /// No topic that was evicted had a later record.
    pub const EVICTED: usize = 39;
    /// Words of all retained records.
    pub const RETAINED: usize = 40;
    /// How often a writer has found what another one had left.
    pub const RECOVERED: usize = 41;
    /// How many topics have been evicted.
    pub const EVICTIONS: usize = 42;
    /// Seats from here on have never been used.
    pub const SEATS_HIGH: usize = 43;
    /// Members from here on have never been used.
    pub const MEMBERS_HIGH: usize = 44;
    /// How many records were notices, which nobody has published.
    pub const NOTICES: usize = 45;

    /// How often a process has been said to have ended; written without the lock.
    pub const DEATHS: usize = 48;
    /// For which of them somebody has swept, or does; likewise.
    pub const SWEPT: usize = 49;

    /// What readers look at: the end of what counts, and the beginning of what is still whole.
    pub const COMMIT: usize = 64;
    pub const TAIL: usize = 65;
}

const _: () = assert!(header::LOCK + LOCK <= header::DIRTY);

/// Words of a seat.
pub(crate) mod seat {
    /// Who has it; 0: nobody.
    pub const OWNER: usize = 0;
    /// Changes when there is something to read, or its child is to look.
    pub const BELL: usize = 1;
    /// How far its child has read.
    pub const CURSOR: usize = 2;
    /// What its children have counted, of all that have ever had it: one word for each [`Count`](crate::Count).
    pub const COUNTS: usize = 8;
}

/// How many subscribers one child has, for each topic.
pub(crate) type Row = [AtomicU64];

/// The words by their parts.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'m> {
    pub header: &'m [AtomicU64; HEADER],
    /// Which seats' children wait for their bells, one bit for each.
    pub waiting: &'m Words,
    pub seats: &'m [[AtomicU64; SEAT]],
    pub entries: &'m [[AtomicU64; ENTRY]],
    /// Where a name's hash says: 0, or the hash's high half and 1 + the entry's number.
    pub index: &'m Words,
    /// Which topics have subscribers, one bit for each.
    pub subscribed: &'m Words,
    pub keys: &'m [[[AtomicU64; KEY]; WAYS]],
    /// Of each member, 0 when there is none, or its child's seat, counted from 1, and its topic's entry.
    pub member_places: &'m Words,
    pub members: &'m [[AtomicU64; MEMBER]],
    rows: &'m Words,
    row: usize,
    pub ring: Ring<'m>,
    /// How long whoever has these waits for the lock.
    pub patience: Duration,
}

impl<'m> Parts<'m> {
    pub fn cut(mut words: &'m Words, layout: Layout) -> Option<Self> {
        layout.words()?;
        let words = &mut words;
        let row = layout.topics.next_multiple_of(LINE);
        Some(Parts {
            header: take::<HEADER>(words, 1)?.first()?,
            waiting: &take::<1>(words, layout.waiting())?.as_flattened()
                [..layout.seats.div_ceil(64)],
            seats: take(words, layout.seats)?,
            entries: take(words, layout.topics)?,
            index: take::<1>(words, layout.index())?.as_flattened(),
            subscribed: &take::<1>(words, layout.subscribed())?.as_flattened()
                [..layout.topics.div_ceil(64)],
            keys: take::<KEY>(words, KEYS)?.as_chunks().0,
            member_places: take::<1>(words, layout.members())?.as_flattened(),
            members: take(words, layout.members())?,
            rows: take::<1>(words, layout.seats * row)?.as_flattened(),
            row,
            ring: Ring::new(take::<1>(words, layout.ring / 8)?.as_flattened()),
            patience: PATIENCE,
        })
    }

    /// The same, for who waits for the lock for so long.
    pub fn with(self, patience: Duration) -> Self {
        Parts { patience, ..self }
    }

    pub fn layout_of(words: &Words) -> Option<Layout> {
        let header = words.first_chunk::<HEADER>()?;
        let word = |index: usize| usize::try_from(super::get(&header[index])).ok();
        Some(Layout {
            ring: word(header::RING)?,
            topics: word(header::TOPICS)?,
            seats: word(header::SEATS)?,
        })
    }

    /// What keeps clients from choosing where topics are found.
    pub fn seed(&self) -> [u64; 2] {
        [header::SEED, header::SEED + 1].map(|field| super::get(&self.header[field]))
    }

    pub fn lock_words(&self) -> &'m [AtomicU64; LOCK] {
        self.header[header::LOCK..]
            .first_chunk()
            .expect("the lock is within the header")
    }

    /// How many subscribers a child has, for each topic.
    pub fn row(&self, seat: usize) -> &'m Row {
        &self.rows[seat * self.row..][..self.entries.len()]
    }
}

/// Takes `count` pieces of `N` words off the front.
fn take<'m, const N: usize>(words: &mut &'m Words, count: usize) -> Option<&'m [[AtomicU64; N]]> {
    let (front, rest) = words.split_at_checked(count * N)?;
    *words = rest;
    Some(front.as_chunks().0)
}
