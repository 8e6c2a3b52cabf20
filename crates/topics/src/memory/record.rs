//! A record's form in the ring: a header, the topic's name, a key perhaps, the payload; each begins a word.

use crc32fast::Hasher;

use super::Ring;

/// What a payload is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Text: UTF-8, which whoever publishes has made sure of.
    Text,
    /// Bytes.
    Binary,
    /// For the servers themselves, such as who joins and who leaves; no client gets it as it is.
    Notice,
}

impl Kind {
    fn unpack(value: u8) -> Option<Kind> {
        [Kind::Text, Kind::Binary, Kind::Notice]
            .into_iter()
            .find(|&kind| kind as u8 == value)
    }
}

/// How a message is to be treated. Only the first two mean something to the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags {
    /// It is its topic's value: kept for newcomers until there is a later one, however much is published meanwhile.
    pub retain: bool,
    /// It is not kept: it has an id, and is in no history.
    pub volatile: bool,
    /// Whoever published it does not get it.
    pub exclude_origin: bool,
    /// It is not worth being compressed.
    pub uncompressed: bool,
}

/// Bits of a record's flags.
mod bit {
    pub const RETAIN: u8 = 1;
    pub const VOLATILE: u8 = 2;
    pub const EXCLUDE_ORIGIN: u8 = 4;
    pub const UNCOMPRESSED: u8 = 8;
    /// There is a key.
    pub const KEYED: u8 = 16;
    /// A retained record that was moved before it would have been overwritten.
    pub const CARRIED: u8 = 32;
}

impl Flags {
    fn pack(self) -> u8 {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        bit(self.retain, bit::RETAIN)
            | bit(self.volatile, bit::VOLATILE)
            | bit(self.exclude_origin, bit::EXCLUDE_ORIGIN)
            | bit(self.uncompressed, bit::UNCOMPRESSED)
    }

    fn unpack(bits: u8) -> Flags {
        Flags {
            retain: bits & bit::RETAIN != 0,
            volatile: bits & bit::VOLATILE != 0,
            exclude_origin: bits & bit::EXCLUDE_ORIGIN != 0,
            uncompressed: bits & bit::UNCOMPRESSED != 0,
        }
    }
}

/// A record's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub id: u64,
    /// When it was published, in milliseconds of Unix time.
    pub time: u64,
    /// Where the topic's previous record is, and its id; 0 when there is none.
    pub previous: u64,
    pub previous_id: u64,
    /// How many have been published to the topic, with this one.
    pub nth: u64,
    /// Who published it.
    pub origin: u64,
    /// The topic's entry.
    pub slot: u32,
    pub payload: u32,
    pub topic: u8,
    pub kind: Kind,
    pub flags: Flags,
    pub is_keyed: bool,
    pub is_carried: bool,
    /// The checksum of what follows the header.
    pub body: u32,
}

/// Kind, flags, length and checksum of what a record brings, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint(pub u64);

impl Fingerprint {
    /// The checksum alone does not tell a payload from one that ends in more zeros, which it is padded with.
    pub fn new(kind: Kind, flags: Flags, payload: u32, checksum: u32) -> Self {
        let form = payload << 6 | (kind as u32) << 4 | u32::from(flags.pack());
        Fingerprint(u64::from(form) << 32 | u64::from(checksum))
    }
}

/// The header's words.
const WORDS: usize = 9;
const BYTES: usize = WORDS * 8;
/// Bytes of a key.
pub(crate) const KEY: usize = 16;
/// The first byte of each record.
const MARK: u8 = 0xb7;
/// Where the word of checksums is.
const SUMS: usize = 8;

impl Header {
    /// The most bytes beside the payload.
    pub const MOST: usize = BYTES + 256 + KEY;

    /// How many words the whole record takes.
    pub fn words(&self) -> u64 {
        (WORDS + (self.body_bytes() / 8)) as u64
    }

    /// Where what follows the header begins.
    pub fn body_at(position: u64) -> u64 {
        position.wrapping_add(WORDS as u64)
    }

    /// How many bytes follow the header.
    pub fn body_bytes(&self) -> usize {
        self.payload_at() + (self.payload as usize).next_multiple_of(8)
    }

    /// Where the payload is among them.
    pub fn payload_at(&self) -> usize {
        self.key_at() + if self.is_keyed { KEY } else { 0 }
    }

    /// Where the key is among them.
    pub fn key_at(&self) -> usize {
        usize::from(self.topic).next_multiple_of(8)
    }

    /// What two records have in common that bring the same: kind, flags and payload. Records of different topics or keys
    /// are not compared.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.kind, self.flags, self.payload, self.body)
    }

    /// Reads the key of the record at a position.
    pub fn read_key(&self, ring: Ring<'_>, position: u64) -> Option<[u8; KEY]> {
        let mut key = [0; KEY];
        ring.read(
            Self::body_at(position).wrapping_add(self.key_at() as u64 / 8),
            &mut key,
        );
        self.is_keyed.then_some(key)
    }

    /// Writes it, with its checksum, which holds at this position only: what was left of an earlier round is no record.
    pub fn write(&self, ring: Ring<'_>, position: u64) {
        let mut words = [0; WORDS];
        let bits = self.flags.pack()
            | if self.is_keyed { bit::KEYED } else { 0 }
            | if self.is_carried { bit::CARRIED } else { 0 };
        words[0] = u64::from_le_bytes([MARK, self.kind as u8, bits, self.topic, 0, 0, 0, 0])
            | u64::from(self.payload) << 32;
        words[1] = self.id;
        words[2] = self.time;
        words[3] = self.previous;
        words[4] = self.previous_id;
        words[5] = self.nth;
        words[6] = self.origin;
        words[7] = u64::from(self.slot);
        words[SUMS] = u64::from(self.body);
        words[SUMS] |= u64::from(checksum(&words, position)) << 32;
        let mut bytes = [0; BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_ne_bytes();
        }
        ring.write(position, &bytes);
    }

    /// Reads the header at a position; `None` when there is none, or it is damaged.
    pub fn read(ring: Ring<'_>, position: u64) -> Option<Header> {
        let mut bytes = [0; BYTES];
        ring.read(position, &mut bytes);
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        let [mark, kind, bits, topic, ..] = words[0].to_le_bytes();
        if mark != MARK || (words[SUMS] >> 32) as u32 != checksum(&words, position) {
            return None;
        }
        Some(Header {
            id: words[1],
            time: words[2],
            previous: words[3],
            previous_id: words[4],
            nth: words[5],
            origin: words[6],
            slot: words[7] as u32,
            payload: (words[0] >> 32) as u32,
            topic,
            kind: Kind::unpack(kind)?,
            flags: Flags::unpack(bits),
            is_keyed: bits & bit::KEYED != 0,
            is_carried: bits & bit::CARRIED != 0,
            body: words[SUMS] as u32,
        })
    }
}

/// The checksum of a header at a position.
fn checksum(words: &[u64; WORDS], position: u64) -> u32 {
    let mut bytes = [0; BYTES + 8];
    let sums = words[SUMS] & u64::from(u32::MAX);
    let all = words[..SUMS].iter().chain([&sums, &position]);
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(all) {
        *bytes = word.to_ne_bytes();
    }
    crc32fast::hash(&bytes)
}

/// What follows a header, as whoever publishes has it.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    pub topic: &'a str,
    pub key: Option<[u8; KEY]>,
    pub payload: &'a [u8],
}

impl Body<'_> {
    /// Its checksum, padding included.
    pub fn checksum(&self) -> u32 {
        let mut hasher = Hasher::new();
        for part in self.parts() {
            hasher.update(part);
            hasher.update(&[0; 8][..part.len().next_multiple_of(8) - part.len()]);
        }
        hasher.finalize()
    }

    pub fn write(&self, ring: Ring<'_>, mut position: u64) {
        for part in self.parts() {
            ring.write(position, part);
            position = position.wrapping_add(part.len().div_ceil(8) as u64);
        }
    }

    fn parts(&self) -> [&[u8]; 3] {
        let key = self.key.as_ref().map_or(&[][..], |key| &key[..]);
        [self.topic.as_bytes(), key, self.payload]
    }
}
