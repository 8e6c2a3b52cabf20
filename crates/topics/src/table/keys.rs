//! The idempotency keys that were used lately.

use std::hash::Hasher;
use std::sync::atomic::AtomicU64;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::memory::{Fingerprint, WAYS, get, put};
use crate::name::Topic;

/// A key of a topic, as it is stored: a hash wide enough that no two are equal.
pub(crate) type Key = [u8; 16];

/// Words of a key.
mod field {
    pub const HIGH: usize = 0;
    pub const LOW: usize = 1;
    /// The record's id; 0: there is none.
    pub const ID: usize = 2;
    /// What was published.
    pub const FINGERPRINT: usize = 3;
}

/// What a key was used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Remembered {
    pub id: u64,
    pub what: Fingerprint,
}

/// All keys, in buckets, of which each forgets its oldest for a new one.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'m>(pub &'m [[[AtomicU64; 4]; WAYS]]);

impl<'m> Keys<'m> {
    pub fn hash(topic: &Topic, key: &str, seed: [u64; 2]) -> Key {
        let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
        hasher.write(topic.as_str().as_bytes());
        // No UTF-8 has this byte.
        hasher.write_u8(0xff);
        hasher.write(key.as_bytes());
        hasher.finish128().as_bytes()
    }

    pub fn find(self, key: Key) -> Option<Remembered> {
        let [high, low] = halves(key);
        let words = self.bucket(high).iter().find(|words| {
            get(&words[field::HIGH]) == high
                && get(&words[field::LOW]) == low
                && get(&words[field::ID]) != 0
        })?;
        Some(Remembered {
            id: get(&words[field::ID]),
            what: Fingerprint(get(&words[field::FINGERPRINT])),
        })
    }

    /// Remembers a key. To do so again changes nothing.
    pub fn remember(self, key: Key, used: Remembered) {
        let [high, low] = halves(key);
        let id = |words: &[AtomicU64; 4]| get(&words[field::ID]);
        // A key that is still there is there for the same record: this is a record that another writer has not finished.
        let is_same = |words: &&[AtomicU64; 4]| id(words) == used.id;
        let bucket = self.bucket(high);
        let oldest = bucket.iter().min_by_key(|words| id(words));
        let Some(words) = bucket.iter().find(is_same).or(oldest) else {
            return;
        };
        put(&words[field::ID], 0);
        put(&words[field::HIGH], high);
        put(&words[field::LOW], low);
        put(&words[field::FINGERPRINT], used.what.0);
        put(&words[field::ID], used.id);
    }

    fn bucket(self, hash: u64) -> &'m [[AtomicU64; 4]; WAYS] {
        &self.0[hash as usize % self.0.len()]
    }
}

fn halves(key: Key) -> [u64; 2] {
    let [high, low] = key.as_chunks().0 else {
        return [0; 2];
    };
    [u64::from_le_bytes(*high), u64::from_le_bytes(*low)]
}
