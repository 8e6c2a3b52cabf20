//! What is counted for a Location: by a child, by those that are gone, and what readers have seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::{self, BUCKETS, Histogram};

/// The words of a tally: 1 KiB.
pub(crate) const TALLY: usize = 128;
pub(crate) type TallyWords = [AtomicU64; TALLY];

/// The words of a tally.
pub(crate) mod field {
    use super::{BUCKETS, Closes, RefusedFor};

    pub const ACCEPTED: usize = 0;
    pub const MESSAGES_IN: usize = 1;
    pub const MESSAGES_OUT: usize = 2;
    pub const BYTES_IN: usize = 3;
    pub const BYTES_OUT: usize = 4;
    /// The longest time that a callback has taken, in nanoseconds: no sum, but a maximum.
    pub const LONGEST: usize = 5;
    /// What all round trips have taken together, in nanoseconds.
    pub const ROUND_TRIPS_SUM: usize = 6;
    /// Connections that are open and have no entry: goes up and down, and is the slot's alone.
    pub const UNLISTED: usize = 7;
    /// Connections that are opening or open: as `UNLISTED`.
    pub const TAKEN: usize = 8;
    pub const REFUSED: usize = 9;
    pub const CLOSES: usize = REFUSED + RefusedFor::ALL.len();
    pub const ROUND_TRIPS: usize = CLOSES + Closes::COUNT;
    pub const END: usize = ROUND_TRIPS + BUCKETS;
}

const _: () = assert!(field::END <= TALLY);

/// Why a handshake was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedFor {
    /// It is no good opening handshake: 400.
    BadHandshake,
    /// Its Origin may not: 403.
    Origin,
    /// The plugin does not want it.
    Plugin,
    /// The child has as many connections as it may: 503.
    TooManyConnections,
    /// The client has as many connections as it may: 429.
    TooManyOfClient,
    /// The Location has as many connections as it may: 503.
    TooManyInLocation,
    /// No plugin is configured: 500.
    NoPlugin,
    /// Anything else.
    Other,
}

impl RefusedFor {
    /// All of them, in their order.
    pub const ALL: [RefusedFor; 8] = [
        RefusedFor::BadHandshake,
        RefusedFor::Origin,
        RefusedFor::Plugin,
        RefusedFor::TooManyConnections,
        RefusedFor::TooManyOfClient,
        RefusedFor::TooManyInLocation,
        RefusedFor::NoPlugin,
        RefusedFor::Other,
    ];

    /// Its name in every output.
    pub fn name(self) -> &'static str {
        match self {
            RefusedFor::BadHandshake => "bad_handshake",
            RefusedFor::Origin => "origin",
            RefusedFor::Plugin => "plugin",
            RefusedFor::TooManyConnections => "too_many_connections",
            RefusedFor::TooManyOfClient => "too_many_of_client",
            RefusedFor::TooManyInLocation => "too_many_in_location",
            RefusedFor::NoPlugin => "no_plugin",
            RefusedFor::Other => "other",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Close codes, as they are counted: each that is registered for itself, the others by their range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closes(usize);

impl Closes {
    const REGISTERED: usize = 16;
    const COUNT: usize = Self::REGISTERED + 3;

    /// All of them, in the order of the codes.
    pub fn all() -> impl Iterator<Item = Closes> {
        (0..Self::COUNT).map(Closes)
    }

    /// What a close code counts under.
    pub fn of(code: u16) -> Closes {
        Closes(match code {
            1000..=1015 => usize::from(code - 1000),
            3000..=3999 => Self::REGISTERED + 1,
            4000..=4999 => Self::REGISTERED + 2,
            _ => Self::REGISTERED,
        })
    }

    /// Its name in every output: a code, or a range.
    pub fn name(self) -> String {
        match self.0 - self.0.min(Self::REGISTERED) {
            _ if self.0 < Self::REGISTERED => (1000 + self.0).to_string(),
            0 => "1016-2999".to_owned(),
            1 => "3000-3999".to_owned(),
            _ => "4000-4999".to_owned(),
        }
    }

    fn index(self) -> usize {
        self.0
    }
}

/// A number of a tally grows.
pub(crate) fn add(tally: &TallyWords, field: usize, count: u64) {
    tally[field].fetch_add(count, Ordering::Release);
}

pub(crate) fn refused(tally: &TallyWords, reason: RefusedFor) {
    add(tally, field::REFUSED + reason.index(), 1);
}

pub(crate) fn closed(tally: &TallyWords, code: u16, count: u64) {
    add(tally, field::CLOSES + Closes::of(code).index(), count);
}

pub(crate) fn round_trip(tally: &TallyWords, time: Duration) {
    add(tally, field::ROUND_TRIPS + histogram::bucket(time), 1);
    add(tally, field::ROUND_TRIPS_SUM, nanos(time));
}

pub(crate) fn callback_took(tally: &TallyWords, time: Duration) {
    let nanos = nanos(time);
    // Most are not the longest, and writing to what others read is slow.
    if tally[field::LONGEST].load(Ordering::Relaxed) < nanos {
        tally[field::LONGEST].fetch_max(nanos, Ordering::Release);
    }
}

/// Adds what `from` has counted to `to`. It is taken away first: see the crate's comment.
pub(crate) fn move_to(from: &TallyWords, to: &TallyWords) {
    from[field::UNLISTED].store(0, Ordering::Relaxed);
    from[field::TAKEN].store(0, Ordering::Relaxed);
    for field in 0..field::END {
        if from[field].load(Ordering::Relaxed) != 0 {
            let count = from[field].swap(0, Ordering::AcqRel);
            match field {
                field::LONGEST => to[field].fetch_max(count, Ordering::Release),
                _ => to[field].fetch_add(count, Ordering::Release),
            };
        }
    }
}

fn nanos(time: Duration) -> u64 {
    // Not `as_nanos`, whose 128 bits cost more than what is done with it.
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(time.subsec_nanos().into())
}

/// A tally that has been read, or a sum of some.
#[derive(Clone)]
pub(crate) struct Sums([u64; TALLY]);

impl Sums {
    pub fn new() -> Self {
        Sums([0; TALLY])
    }

    pub fn get(&self, field: usize) -> u64 {
        self.0[field]
    }

    pub fn add(&mut self, field: usize, count: u64) {
        self.0[field] = self.0[field].wrapping_add(count);
    }

    pub fn add_tally(&mut self, tally: &TallyWords) {
        for (field, word) in tally[..field::END].iter().enumerate() {
            let count = word.load(Ordering::Acquire);
            match field {
                field::UNLISTED | field::TAKEN => {}
                field::LONGEST => self.0[field] = self.0[field].max(count),
                _ => self.add(field, count),
            }
        }
    }

    /// Marks these as seen, and goes up to what has been seen before.
    pub fn mark(&mut self, marks: &TallyWords) {
        for (mark, sum) in marks.iter().zip(&mut self.0) {
            if *sum != mark.load(Ordering::Acquire) {
                *sum = mark.fetch_max(*sum, Ordering::AcqRel).max(*sum);
            }
        }
    }

    pub fn refused(&self, reason: RefusedFor) -> u64 {
        self.get(field::REFUSED + reason.index())
    }

    pub fn closed(&self, code: Closes) -> u64 {
        self.get(field::CLOSES + code.index())
    }

    pub fn round_trips(&self) -> Histogram {
        Histogram {
            counts: self.0[field::ROUND_TRIPS..field::END].to_vec(),
            sum: Duration::from_nanos(self.get(field::ROUND_TRIPS_SUM)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_are_counted_by_code_or_range() {
        let name = |code| Closes::of(code).name();
        assert_eq!(name(1000), "1000");
        assert_eq!(name(1015), "1015");
        assert_eq!(name(1016), "1016-2999");
        assert_eq!(name(2999), "1016-2999");
        assert_eq!(name(3000), "3000-3999");
        assert_eq!(name(4999), "4000-4999");
        let names: Vec<String> = Closes::all().map(Closes::name).collect();
        assert_eq!(names.len(), Closes::COUNT);
        assert!(names.is_sorted());
    }

    #[test]
    fn refusals_are_in_their_order() {
        for (index, reason) in RefusedFor::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }
}
