//! Makes room in the ring, and takes along what is retained.

use std::sync::atomic::{Ordering, fence};

use super::Locked;
use crate::memory::{Header, header};

/// Of the ring, what one record may take: the eighth part.
const RECORD: u64 = 8;
/// What one retained record may take. So much is always free between the log's end and its beginning, so that a
/// retained record is whole in its old place until it is in the new one.
const RETAINED_RECORD: u64 = 64;
/// What all retained records may take together.
const RETAINED: u64 = 8;

/// How many words a record may have, in a ring of so many.
pub(crate) fn most_words(ring: u64) -> u64 {
    ring / RECORD
}

impl Locked<'_> {
    /// Whether a topic may retain a record of so many words, instead of one of `before`.
    pub fn may_retain(&self, words: u64, before: u64) -> bool {
        let ring = self.parts.ring.len();
        let others = self.word(header::RETAINED).saturating_sub(before);
        words <= ring / RETAINED_RECORD && others.saturating_add(words) <= ring / RETAINED
    }

    /// Has so many words be free at the log's end. Readers are told what will be overwritten before it is.
    pub fn make_room(&self, words: u64) {
        let ring = self.parts.ring.len();
        let spare = ring / RETAINED_RECORD;
        let mut passed = 0;
        loop {
            let (tail, commit) = (self.word(header::TAIL), self.word(header::COMMIT));
            let used = commit.wrapping_sub(tail);
            if used.saturating_add(words).saturating_add(spare) <= ring {
                break;
            }
            let oldest = Header::read(self.parts.ring, tail);
            // What is retained is a fraction of the ring: whoever has gone round twice has met damage.
            let is_lost = passed > 2 * ring || oldest.is_none_or(|oldest| oldest.words() > used);
            let (Some(oldest), false) = (oldest, is_lost) else {
                self.set(header::TAIL, commit);
                break;
            };
            if self.is_retained(&oldest, tail) {
                self.carry(oldest, tail);
            }
            passed += oldest.words();
            self.set(header::TAIL, tail.wrapping_add(oldest.words()));
        }
        // For the next one: it was written a round ago, and is in no cache.
        self.parts.ring.prefetch(self.word(header::TAIL));
        // A reader that sees a word written from here on, and then looks at the tail, sees where it is now.
        fence(Ordering::Release);
    }

    fn is_retained(&self, record: &Header, position: u64) -> bool {
        let entry = self.topics().entry(record.slot);
        let retained = entry
            .filter(|entry| entry.is_live())
            .and_then(|entry| entry.retained());
        retained.is_some_and(|retained| (retained.position, retained.id) == (position, record.id))
    }

    /// Writes a retained record again, at the log's end.
    fn carry(&self, record: Header, from: u64) {
        let (ring, to) = (self.parts.ring, self.word(header::COMMIT));
        let carried = Header {
            is_carried: true,
            ..record
        };
        let free = ring.len() - to.wrapping_sub(from).min(ring.len());
        if record.words() > free {
            // Its old place would be overwritten before the new one is whole.
            return;
        }
        // As in `make_room`: some of what is overwritten here may have been free only since the last step.
        fence(Ordering::Release);
        carried.write(ring, to);
        let body = record.words() - (Header::body_at(0));
        ring.copy(Header::body_at(from), Header::body_at(to), body);
        self.commit(&carried, None);
    }
}
