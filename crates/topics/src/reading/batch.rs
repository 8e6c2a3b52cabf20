//! Records that were read.

use crate::memory::{Flags, Header, Kind, Parts, Ring};
use crate::name::RecordId;

/// Records that were read, and the memory that they were read into, which is used again.
#[derive(Default)]
pub struct Batch {
    /// What follows the headers; used up to `used`, so that it is not cleared each time.
    bytes: Vec<u8>,
    used: usize,
    items: Vec<Item>,
}

struct Item {
    header: Header,
    position: u64,
    /// Where its bytes begin.
    start: usize,
}

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its id.
    pub id: RecordId,
    /// The id of the record before it in the history of its topic; `NONE`: there was none. Whoever has read another one
    /// last has missed something.
    pub previous: RecordId,
    /// How many have been published to the topic, with this one, since it is in the table; a notice does not count.
    pub nth: u64,
    /// When it was published, in milliseconds of Unix time.
    pub time: u64,
    /// What the payload is.
    pub kind: Kind,
    /// How it is to be treated.
    pub flags: Flags,
    /// Who has published it.
    pub origin: u64,
    /// The topic's name.
    pub topic: &'a str,
    /// The topic's number while it has subscribers ([`Subscription::slot`](crate::Subscription::slot)).
    pub slot: u32,
    /// Where in the log it is: a subscriber gets those that are at its [`Subscription::start`](crate::Subscription::start)
    /// or later.
    pub position: u64,
    /// The payload.
    pub payload: &'a [u8],
}

/// A batch that has more bytes than this is full.
const MANY_BYTES: usize = 256 << 10;
/// A batch that has more records than this is full.
const MANY_RECORDS: usize = 1024;
/// Memory beyond this is given back once a batch does without it.
const KEPT: usize = 4 * MANY_BYTES;

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The records, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> + Clone {
        self.items.iter().map(|item| self.record(item))
    }

    pub(crate) fn clear(&mut self) {
        if self.bytes.len() > KEPT && self.used <= KEPT {
            self.bytes.truncate(KEPT);
            self.bytes.shrink_to_fit();
        }
        self.used = 0;
        self.items.clear();
    }

    pub(super) fn is_full(&self) -> bool {
        self.used > MANY_BYTES || self.items.len() >= MANY_RECORDS
    }

    /// Copies the record at a position, whole or not.
    pub(super) fn copy(&mut self, ring: Ring<'_>, header: Header, position: u64) {
        let (start, length) = (self.used, header.body_bytes());
        self.used = start + length;
        if self.bytes.len() < self.used {
            self.bytes.resize(self.used, 0);
        }
        ring.read(Header::body_at(position), &mut self.bytes[start..self.used]);
        self.items.push(Item {
            header,
            position,
            start,
        });
    }

    /// Drops all from the first one on that is damaged, and says where that was.
    pub(super) fn keep_good(&mut self) -> Option<u64> {
        let is_good = |item: &Item| {
            let bytes = &self.bytes[item.start..][..item.header.body_bytes()];
            let topic = &bytes[..usize::from(item.header.topic)];
            crc32fast::hash(bytes) == item.header.body && str::from_utf8(topic).is_ok()
        };
        let bad = self.items.iter().position(|item| !is_good(item))?;
        let position = self.items[bad].position;
        self.items.truncate(bad);
        Some(position)
    }

    pub(super) fn last_id(&self) -> Option<RecordId> {
        self.items.last().map(|item| RecordId(item.header.id))
    }

    fn record<'a>(&'a self, item: &Item) -> Record<'a> {
        let header = &item.header;
        let bytes = &self.bytes[item.start..];
        let topic = str::from_utf8(&bytes[..usize::from(header.topic)]);
        Record {
            id: RecordId(header.id),
            previous: RecordId(header.previous_id),
            nth: header.nth,
            time: header.time,
            kind: header.kind,
            flags: header.flags,
            origin: header.origin,
            topic: topic.unwrap_or_default(),
            slot: header.slot,
            position: item.position,
            payload: &bytes[header.payload_at()..][..header.payload as usize],
        }
    }
}

/// The header of the record at a position, if one that is not too large is there and ends before `end`.
pub(super) fn header_at(parts: &Parts<'_>, position: u64, end: u64) -> Option<Header> {
    let header = Header::read(parts.ring, position)?;
    let left = end.checked_sub(position)?;
    (header.words() <= left.min(parts.ring.len())).then_some(header)
}
