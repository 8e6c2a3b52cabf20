//! What was published to a topic before.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::Batch;
use super::batch::header_at;
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

/// A record, as the one after it in its topic knows it.
#[derive(Clone, Copy)]
struct Link {
    position: u64,
    id: u64,
}

/// Why a walk back through a topic's records has ended.
enum End {
    /// At the record that was looked for.
    Reached,
    Overrun,
    Forgotten,
    Limit,
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
        self.resume_some(since, limits, usize::MAX, batch).map(drop)
    }

    /// [`History::resume`] in steps: reads only the first of what was missed, some `most` bytes or one record. Says
    /// whether that was all of it; else the last record that was read is what to go on from.
    pub fn resume_some(
        &self,
        since: Token,
        limits: &Limits,
        most: usize,
        batch: &mut Batch,
    ) -> Result<bool, CannotResume> {
        batch.clear();
        let links = self.links(since, limits)?;
        let some = first_of(&links, most);
        if self.read(some, batch) != some.len() {
            batch.clear();
            return Err(CannotResume::Overrun);
        }
        Ok(some.len() == links.len())
    }

    /// The ids of what [`History::resume`] would read.
    pub fn missed(&self, since: Token, limits: &Limits) -> Result<Vec<RecordId>, CannotResume> {
        let links = self.links(since, limits)?;
        Ok(ids_of(&links))
    }

    /// [`History::missed`] by `origin`, who does not get what it has published with
    /// [`exclude_origin`](crate::Flags::exclude_origin); 0 is nobody.
    pub fn missed_by(
        &self,
        origin: u64,
        since: Token,
        limits: &Limits,
    ) -> Result<Vec<RecordId>, CannotResume> {
        let mut links = self.links(since, limits)?;
        let is_own =
            |header: &Header| header.flags.exclude_origin && origin != 0 && header.origin == origin;
        links.retain(|(header, _)| !is_own(header));
        Ok(ids_of(&links))
    }

    /// What was published after `since`.
    fn links(&self, since: Token, limits: &Limits) -> Result<Vec<(Header, u64)>, CannotResume> {
        if since.epoch != self.epoch {
            return Err(CannotResume::OtherEpoch);
        }
        if since.id > self.latest {
            return Err(CannotResume::NeverSeen);
        }
        let (links, end) = self.walk(since.id.0, limits);
        match end {
            End::Reached => Ok(links),
            End::Overrun => Err(CannotResume::Overrun),
            End::Forgotten => Err(CannotResume::Forgotten),
            End::Limit => Err(CannotResume::Limit),
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
        let oldest = limits.age.map_or(0, |age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            limits.now.saturating_sub(age)
        });
        let mut records = Vec::new();
        let mut link = self.last;
        let end = loop {
            if link.id <= since.max(self.floor) {
                break match since < self.floor {
                    true => End::Forgotten,
                    false => End::Reached,
                };
            }
            let tail = get(&self.parts.header[header::TAIL]);
            let record = header_at(&self.parts, link.position, self.end);
            let Some(record) = record.filter(|record| self.is_at(record, link, tail)) else {
                break End::Overrun;
            };
            if records.len() == limits.messages || record.time < oldest {
                break End::Limit;
            }
            records.push((record, link.position));
            link = Link {
                position: record.previous,
                id: record.previous_id,
            };
        };
        records.reverse();
        (records, end)
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

/// The first records of some that have so many bytes together, or the first one.
fn first_of(records: &[(Header, u64)], most: usize) -> &[(Header, u64)] {
    let mut bytes = 0_usize;
    let fit = records
        .iter()
        .take_while(|(header, _)| {
            bytes = bytes.saturating_add(header.body_bytes());
            bytes <= most
        })
        .count();
    &records[..fit.max(1).min(records.len())]
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
