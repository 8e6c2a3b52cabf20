//! The log, while the caller has its lock.

use std::sync::atomic::Ordering;

use crate::error::LockError;
use crate::memory::{Acquired, Header, HeldSignals, Parts, RobustLock, get, header, put};
use crate::table::{Key, Keys, Members, Remembered, Seats, Subscribed, Topics};

/// The log, while the caller has its lock, and everything in it in order.
///
/// # A record is written in these steps
///
/// | step | who is killed after it has left | so the next writer |
/// |---|---|---|
/// | `TAIL` goes past what is going to be overwritten | less history | goes on |
/// | the record is copied to `COMMIT` | words that nobody reads | writes over them |
/// | `WRITTEN` goes past it | a record that counts | does the two steps that follow |
/// | the table learns of it | the same | the same: done twice, it is what it is done once |
/// | `COMMIT` goes past it | a record that everybody reads | goes on |
///
/// `DIRTY` is not 0 from the lock's taking to its giving back, so that a writer that panics is recovered from like one
/// that was killed.
pub(crate) struct Locked<'m> {
    pub parts: Parts<'m>,
    lock: RobustLock<'m>,
    /// Let go of when the lock has been given back.
    _signals: HeldSignals,
}

impl<'m> Locked<'m> {
    pub fn new(parts: Parts<'m>) -> Result<Self, LockError> {
        let lock = RobustLock::find(parts.lock_words());
        let signals = HeldSignals::new();
        let acquired = lock.lock(parts.patience)?;
        let locked = Locked {
            parts,
            lock,
            _signals: signals,
        };
        let is_dirty = get(&parts.header[header::DIRTY]) != 0;
        locked.set(header::DIRTY, 1);
        if is_dirty || acquired == Acquired::OwnerDied {
            locked.recover();
        }
        Ok(locked)
    }

    pub fn topics(&self) -> Topics<'m> {
        Topics(self.parts)
    }

    pub fn seats(&self) -> Seats<'m> {
        Seats(self.parts)
    }

    pub fn subscribed(&self) -> Subscribed<'m> {
        Subscribed(self.parts)
    }

    pub fn members(&self) -> Members<'m> {
        Members(self.parts)
    }

    pub fn keys(&self) -> Keys<'m> {
        Keys(self.parts.keys)
    }

    pub fn word(&self, index: usize) -> u64 {
        get(&self.parts.header[index])
    }

    pub fn set(&self, index: usize, value: u64) {
        put(&self.parts.header[index], value);
    }

    /// Makes the record at `COMMIT`, which has been copied there, count.
    pub fn commit(&self, record: &Header, key: Option<Key>) {
        let position = self.word(header::COMMIT);
        let end = position.wrapping_add(record.words());
        self.set(header::WRITTEN, end);
        self.finish(record, key, position, end);
    }

    /// What the table learns of a record, and the record's end becomes the log's. May be done again.
    fn finish(&self, record: &Header, key: Option<Key>, position: u64, end: u64) {
        if let Some(entry) = self.topics().entry(record.slot) {
            entry.learn(record, position, |before, after| {
                let all = self.word(header::RETAINED);
                self.set(
                    header::RETAINED,
                    all.saturating_sub(before).saturating_add(after),
                );
            });
        }
        if !record.is_carried {
            if let Some(key) = key {
                let used = Remembered {
                    id: record.id,
                    what: record.fingerprint(),
                };
                self.keys().remember(key, used);
            }
            self.set(header::LAST_ID, record.id);
        }
        self.set(header::COMMIT, end);
    }

    /// Finishes or takes back what the lock's last owner has left.
    fn recover(&self) {
        let (commit, written) = (self.word(header::COMMIT), self.word(header::WRITTEN));
        if commit != written {
            let record = Header::read(self.parts.ring, commit)
                .filter(|record| commit.wrapping_add(record.words()) == written);
            match record {
                Some(record) => {
                    let key = record.read_key(self.parts.ring, commit);
                    self.finish(&record, key, commit, written);
                }
                None => self.set(header::WRITTEN, commit),
            }
        }
        self.topics().recover();
        self.subscribed()
            .rebuild(self.seats().owners().map(|(seat, _)| seat));
        self.set(
            header::RECOVERED,
            self.word(header::RECOVERED).wrapping_add(1),
        );
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Not with `put`: when a test stops here, it is unwinding.
            self.parts.header[header::DIRTY].store(0, Ordering::Release);
        }
        self.lock.unlock();
    }
}
