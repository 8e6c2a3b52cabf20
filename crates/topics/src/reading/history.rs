//! What was published to a topic before.

use std::collections::VecDeque;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::Batch;
use super::batch::header_at;
use super::trail::{Link, Marker, Trail};
use crate::count::Counted;
use crate::error::CannotResume;
use crate::memory::{Header, Parts, get, header};
use crate::name::{Epoch, RecordId, Token};
use crate::table::Entry;
use crate::writing::Locked;

/// A topic as it was at one moment: what came later is not in it.
pub struct History<'m> {
    parts: Parts<'m>,
    epoch: Epoch,
    slot: u32,
    published: u64,
    subscribers: u64,
    counted: Counted,
    /// The latest record of its history.
    last: Link,
    /// Nothing is known of records up to this one.
    floor: u64,
    /// The log's end at that moment, and its latest record.
    end: u64,
    latest: RecordId,
}

/// How much history there is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// So many records.
    pub messages: usize,
    /// Those that are no older; `None`: of any age.
    pub age: Option<Duration>,
    /// Now, in milliseconds of Unix time.
    pub now: u64,
}

impl Limits {
    /// As much as there is.
    pub const NONE: Limits = Limits {
        messages: usize::MAX,
        age: None,
        now: 0,
    };
}

/// Why a walk back through a topic's records has ended.
enum End {
    /// At the record that was looked for.
    Reached,
    Overrun,
    Forgotten,
    Limit,
}

impl End {
    fn reached(self) -> Result<(), CannotResume> {
        match self {
            End::Reached => Ok(()),
            End::Overrun => Err(CannotResume::Overrun),
            End::Forgotten => Err(CannotResume::Forgotten),
            End::Limit => Err(CannotResume::Limit),
        }
    }
}

impl<'m> History<'m> {
    pub(crate) fn new(locked: &Locked<'m>, epoch: Epoch, slot: u32, entry: Entry<'m>) -> Self {
        let last = entry.last();
        History {
            parts: locked.parts,
            epoch,
            slot,
            published: entry.published(),
            subscribers: locked.seats().subscribers(slot),
            counted: entry.counted(),
            last: Link {
                position: last.position,
                id: last.id,
            },
            floor: entry.floor(),
            end: locked.word(header::COMMIT),
            latest: RecordId(locked.word(header::LAST_ID)),
        }
    }

    /// What a subscriber that knows everything up to this moment may come back with.
    pub fn token(&self) -> Token {
        Token {
            epoch: self.epoch,
            id: self.latest,
        }
    }

    /// The topic's latest record that was not volatile, be it forgotten or overwritten by now; `NONE` when nothing is known
    /// of one.
    pub fn last(&self) -> RecordId {
        RecordId(self.last.id)
    }

    /// How many have been published since the topic is in the table.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// How many subscribers the topic had, of all children.
    pub fn subscribers(&self) -> u64 {
        self.subscribers
    }

    /// What the children had counted of it since it is in the table.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Where what came later begins: a subscriber that gets this history has its live records from this
    /// [`position`](super::Record::position) on.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Reads exactly what was published to the topic after `since`, in order, into `batch`, in place of what is in it;
    /// on an error, nothing is in it. `since` may be the id of another topic's record.
    pub fn resume(
        &self,
        since: Token,
        limits: &Limits,
        batch: &mut Batch,
    ) -> Result<(), CannotResume> {
        let mut trail = Trail::default();
        self.resume_some(since, limits, usize::MAX, &mut trail, batch)
            .map(drop)
    }

    /// [`History::resume`] in steps: reads only the first of what was missed, some `most` bytes or one record. Says
    /// whether that was all of it; else the last record that was read is what to go on from. The limits are those of the first
    /// step: from then on `trail`, which is for this topic's steps only, leads on from it.
    pub fn resume_some(
        &self,
        since: Token,
        limits: &Limits,
        most: usize,
        trail: &mut Trail,
        batch: &mut Batch,
    ) -> Result<bool, CannotResume> {
        batch.clear();
        self.knows(since)?;
        let mut first = First::of(most);
        let end = match trail.next(since.id) {
            Some(mark) => {
                first.is_cut = true;
                self.walk_from(mark, since.id.0, &Limits::NONE, |header, link| {
                    first.push(header, link);
                })
            }
            None => {
                let mut marker = Marker::new(trail);
                let end = self.walk_from(self.last, since.id.0, limits, |header, link| {
                    first.push(header, link);
                    marker.pass(link);
                });
                marker.end();
                end
            }
        };
        end.reached()?;
        let (some, is_all) = first.records();
        if self.read(some, batch) != some.len() {
            batch.clear();
            return Err(CannotResume::Overrun);
        }
        Ok(is_all)
    }

    /// The ids of what [`History::resume`] would read.
    pub fn missed(&self, since: Token, limits: &Limits) -> Result<Vec<RecordId>, CannotResume> {
        self.knows(since)?;
        let (links, end) = self.walk(since.id.0, limits);
        end.reached()?;
        Ok(ids_of(&links))
    }

    /// How many records were published after `since` and not after `until`, and the last of them, for `origin`, who does not get
    /// what it has published with [`exclude_origin`](crate::Flags::exclude_origin); 0 is nobody.
    pub fn count_missed(
        &self,
        origin: u64,
        since: Token,
        until: RecordId,
    ) -> Result<(u64, Option<RecordId>), CannotResume> {
        self.knows(since)?;
        let is_own =
            |header: &Header| header.flags.exclude_origin && origin != 0 && header.origin == origin;
        let (mut count, mut last) = (0, None);
        let end = self.walk_from(self.last, since.id.0, &Limits::NONE, |header, link| {
            if link.id <= until.0 && !is_own(header) {
                count += 1;
                last.get_or_insert(RecordId(link.id));
            }
        });
        end.reached()?;
        Ok((count, last))
    }

    /// Whether what came after `since` can be known at all.
    fn knows(&self, since: Token) -> Result<(), CannotResume> {
        if since.epoch != self.epoch {
            return Err(CannotResume::OtherEpoch);
        }
        match since.id > self.latest {
            true => Err(CannotResume::NeverSeen),
            false => Ok(()),
        }
    }

    /// The ids of the topic's latest records, in order: as many as the limits allow and are still there.
    pub fn recent_ids(&self, limits: &Limits) -> Vec<RecordId> {
        let (links, _) = self.walk(0, limits);
        ids_of(&links)
    }

    /// Reads the latest records of the topic, in order, into `batch`, in place of what is in it: as many as the limits
    /// allow and are still there.
    pub fn recent(&self, limits: &Limits, batch: &mut Batch) {
        batch.clear();
        let (links, _) = self.walk(0, limits);
        self.read(&links, batch);
    }

    /// Goes back from the latest record to the last one that is not later than `since`; the records after that one, from
    /// the first to the last.
    fn walk(&self, since: u64, limits: &Limits) -> (Vec<(Header, u64)>, End) {
        let mut records = Vec::new();
        let end = self.walk_from(self.last, since, limits, |header, link| {
            records.push((*header, link.position));
        });
        records.reverse();
        (records, end)
    }

    /// The same from a record on that is later, with each record on the way.
    fn walk_from(
        &self,
        mut link: Link,
        since: u64,
        limits: &Limits,
        mut visit: impl FnMut(&Header, Link),
    ) -> End {
        let oldest = limits.age.map_or(0, |age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            limits.now.saturating_sub(age)
        });
        let mut visited = 0;
        loop {
            if link.id <= since.max(self.floor) {
                return match since < self.floor {
                    true => End::Forgotten,
                    false => End::Reached,
                };
            }
            let tail = get(&self.parts.header[header::TAIL]);
            let record = header_at(&self.parts, link.position, self.end);
            let Some(record) = record.filter(|record| self.is_at(record, link, tail)) else {
                return End::Overrun;
            };
            if visited == limits.messages || record.time < oldest {
                return End::Limit;
            }
            visited += 1;
            visit(&record, link);
            link = Link {
                position: record.previous,
                id: record.previous_id,
            };
        }
    }

    /// Whether this is the record that a link is to, and whole. What comes before it is before it, so that a walk ends.
    fn is_at(&self, record: &Header, link: Link, tail: u64) -> bool {
        let is_before = record.previous_id < record.id
            && (record.previous_id == 0 || record.previous < link.position);
        link.position >= tail && record.id == link.id && record.slot == self.slot && is_before
    }

    /// Copies records; returns how many of them, the latest ones, were whole.
    fn read(&self, records: &[(Header, u64)], batch: &mut Batch) -> usize {
        let mut rest = records;
        loop {
            batch.clear();
            for &(header, position) in rest {
                batch.copy(self.parts.ring, header, position);
            }
            // Whatever was written to these words before they were read, the tail had been moved before.
            fence(Ordering::Acquire);
            let tail = self.parts.header[header::TAIL].load(Ordering::Relaxed);
            let lost = rest
                .iter()
                .take_while(|(_, position)| *position < tail)
                .count();
            if lost == 0 {
                break;
            }
            rest = &rest[lost..];
        }
        batch.keep_good();
        batch.len()
    }
}

fn ids_of(links: &[(Header, u64)]) -> Vec<RecordId> {
    let ids = links.iter().map(|(header, _)| RecordId(header.id));
    ids.collect()
}

/// The first records that have so many bytes together, or the first one, of a walk from the last to the first: no more of them are
/// kept than that.
struct First {
    most: usize,
    records: VecDeque<(Header, u64)>,
    bytes: usize,
    /// There are others behind them.
    is_cut: bool,
}

impl First {
    fn of(most: usize) -> Self {
        First {
            most,
            records: VecDeque::new(),
            bytes: 0,
            is_cut: false,
        }
    }

    fn push(&mut self, header: &Header, link: Link) {
        self.bytes = self.bytes.saturating_add(header.body_bytes());
        self.records.push_front((*header, link.position));
        while self.records.len() > 1 && self.bytes > self.most {
            // The last one of them is none of the first if it is too much already.
            let last = self.records.pop_back();
            self.bytes -= last.map_or(0, |(header, _)| header.body_bytes());
            self.is_cut = true;
        }
    }

    /// Says also whether these are all.
    fn records(&mut self) -> (&[(Header, u64)], bool) {
        (self.records.make_contiguous(), !self.is_cut)
    }
}

/// Reads one record, if it is still there and whole.
pub(crate) fn read_one(parts: &Parts<'_>, position: u64, id: u64, batch: &mut Batch) -> bool {
    batch.clear();
    let end = get(&parts.header[header::COMMIT]);
    let Some(header) = header_at(parts, position, end).filter(|header| header.id == id) else {
        return false;
    };
    batch.copy(parts.ring, header, position);
    fence(Ordering::Acquire);
    let tail = parts.header[header::TAIL].load(Ordering::Relaxed);
    let is_whole = position >= tail && batch.keep_good().is_none();
    if !is_whole {
        batch.clear();
    }
    is_whole
}
