//! The log.

use std::num::NonZeroU64;
use std::sync::atomic::{Ordering, fence};

use crate::bell::Bell;
use crate::error::{ClaimError, LockError, MakeError};
use crate::memory::{Layout, Parts, RobustLock, Words, get, header, put};
use crate::name::{Epoch, RecordId, Topic};
use crate::reading::{Batch, History, read_one};
use crate::seat::{IMPATIENCE, Seat, vacate};
use crate::table::{Name, Owner, Seats};
use crate::writing::Locked;

/// What the first word says of memory that holds a log of this form. The last digit changes with the form.
const FORM: u64 = 0x746f_7069_6373_0006;
/// A build with another kind of lock has another form.
const LOCK_FORM: u64 = (size_of::<libc::pthread_mutex_t>() as u64) << 8;

/// How often to look for a retained record that is being moved.
const LOOKS: usize = 8;

/// The log. A copy is as good as the original; every process that has the memory may have one, and every thread use it.
#[derive(Clone, Copy)]
pub struct Log<'m> {
    pub(crate) parts: Parts<'m>,
    layout: Layout,
    epoch: Epoch,
}

impl<'m> Log<'m> {
    /// Makes a log of words that are all zero, that processes share or are going to share, and that stay mapped as long
    /// as any of them has the log: [`Layout::words`] of them or more. `epoch` is random; who does not know `seed` cannot
    /// choose topics that take long to find.
    pub fn new(
        words: &'m Words,
        layout: Layout,
        epoch: Epoch,
        seed: [u64; 2],
    ) -> Result<Self, MakeError> {
        let parts = Parts::cut(words, layout).ok_or(MakeError::Layout)?;
        let lock = RobustLock::make(parts.lock_words());
        lock.map_err(|error| MakeError::Lock(error.raw_os_error().unwrap_or_default()))?;
        let fields = [
            (header::RING, layout.ring as u64),
            (header::TOPICS, layout.topics as u64),
            (header::SEATS, layout.seats as u64),
            (header::EPOCH, epoch.0.get()),
            (header::SEED, seed[0]),
            (header::SEED + 1, seed[1]),
            (header::FORM, FORM | LOCK_FORM),
        ];
        for (field, value) in fields {
            put(&parts.header[field], value);
        }
        Ok(Log {
            parts,
            layout,
            epoch,
        })
    }

    /// The log that [`Log::new`] has made of these words; `None` when none of this form is there.
    pub fn find(words: &'m Words) -> Option<Self> {
        if get(words.get(header::FORM)?) != FORM | LOCK_FORM {
            return None;
        }
        let layout = Parts::layout_of(words)?;
        let parts = Parts::cut(words, layout)?;
        let epoch = NonZeroU64::new(get(&parts.header[header::EPOCH]))?;
        Some(Log {
            parts,
            layout,
            epoch: Epoch(epoch),
        })
    }

    /// How large it is.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The same log, for a thread that must not wait: where another one has the lock, it is
    /// [busy](LockError::Busy) after some milliseconds, not after a second.
    pub fn impatient(mut self) -> Self {
        self.parts = self.parts.with(IMPATIENCE);
        self
    }

    /// For tests: has the lock meanwhile, like a process that is stopped with it.
    #[doc(hidden)]
    pub fn hold_lock(&self, work: impl FnOnce()) {
        let _locked = Locked::new(self.parts);
        work();
    }

    /// Whether the lock is not to be had.
    pub fn is_busy(&self) -> bool {
        Locked::new(self.parts).is_err()
    }

    /// Which log its numbers are of.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A seat for a child that has none. First it [sweeps](Log::sweep), behind which a [ring](Log::ring) is due; `is_alive` says
    /// whether a process still lives.
    pub fn claim(
        &self,
        owner: Owner,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Result<Seat<'m>, ClaimError> {
        self.sweep(is_alive)?;
        let taken = Locked::new(self.parts)?.seats().take(owner);
        let index = taken.ok_or(ClaimError::Full)?;
        Ok(Seat::new(self.parts, self.epoch, index, owner))
    }

    /// Takes their seats from those who are gone: their subscribers do not count any more, and their members have left, of
    /// which a notice tells. Returns how many they were.
    pub fn sweep(&self, is_alive: impl Fn(Owner) -> bool) -> Result<usize, LockError> {
        // To ask whether a process lives takes time: not with the lock held.
        let gone: Vec<(usize, Owner)> = Seats(self.parts)
            .owners()
            .filter(|&(_, owner)| !is_alive(owner))
            .collect();
        for &(index, owner) in &gone {
            vacate(self.parts, index, owner)?;
        }
        Ok(gone.len())
    }

    /// A process that may have had a seat has ended: says so to those that sweep for it ([`Sweeping`](crate::Sweeping)), behind
    /// which a [ring](Log::ring) is due. Both take no lock, and trust nothing in the log's memory.
    pub fn note_death(&self) {
        self.parts.header[header::DEATHS].fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was said.
    pub(crate) fn deaths(&self) -> u64 {
        get(&self.parts.header[header::DEATHS])
    }

    /// Whether the caller is the one to sweep for so many deaths. If it dies over it, that is one more death.
    pub(crate) fn is_to_sweep(&self, deaths: u64) -> bool {
        self.parts.header[header::SWEPT].swap(deaths, Ordering::AcqRel) != deaths
    }

    /// Wakes every reader that waits: after a [`Log::sweep`] there may be notices for it.
    pub fn ring(&self, bell: &(impl Bell + ?Sized)) {
        fence(Ordering::SeqCst);
        for word in Seats(self.parts).all_waiting() {
            word.fetch_add(1, Ordering::SeqCst);
            bell.wake(word);
        }
    }

    /// The members of a topic, in no order.
    pub fn members(&self, topic: &Topic) -> Result<Vec<String>, LockError> {
        let name = Name::new(topic, self.parts.seed());
        let locked = Locked::new(self.parts)?;
        let Some(slot) = locked.topics().find(&name) else {
            return Ok(Vec::new());
        };
        let members = locked.members();
        Ok(members
            .of_topic(slot)
            .map(|index| members.text(index))
            .collect())
    }

    /// How many members a topic has of whom its subscribers have been told: as many as the next [`Notice`](crate::Notice) goes on
    /// from.
    pub fn member_count(&self, topic: &Topic) -> Result<usize, LockError> {
        let name = Name::new(topic, self.parts.seed());
        let locked = Locked::new(self.parts)?;
        let slot = locked.topics().find(&name);
        Ok(slot.map_or(0, |slot| locked.members().announced(slot)))
    }

    /// A topic as it is now; `None` when nobody has published or subscribed to it, or it was evicted.
    pub fn history(&self, topic: &Topic) -> Result<Option<History<'m>>, LockError> {
        let name = Name::new(topic, self.parts.seed());
        let locked = Locked::new(self.parts)?;
        let slot = locked.topics().find(&name);
        Ok(slot.and_then(|slot| {
            let entry = locked.topics().entry(slot)?;
            Some(History::new(&locked, self.epoch, slot, entry))
        }))
    }

    /// Reads the topic's retained record into `batch`, in place of what is in it; says whether there is one.
    pub fn retained(&self, topic: &Topic, batch: &mut Batch) -> Result<bool, LockError> {
        let name = Name::new(topic, self.parts.seed());
        for _ in 0..LOOKS {
            let retained = {
                let locked = Locked::new(self.parts)?;
                let entry = locked
                    .topics()
                    .find(&name)
                    .and_then(|slot| locked.topics().entry(slot));
                entry.and_then(|entry| entry.retained())
            };
            let Some(retained) = retained else {
                break;
            };
            if read_one(&self.parts, retained.position, retained.id, batch) {
                return Ok(true);
            }
        }
        batch.clear();
        Ok(false)
    }

    /// Forgets a topic's history and its retained record: no [`History`] has them any more, but for one that was there
    /// before. The bytes stay in memory until they are overwritten. Says whether there was such a topic.
    pub fn forget(&self, topic: &Topic) -> Result<bool, LockError> {
        let name = Name::new(topic, self.parts.seed());
        let locked = Locked::new(self.parts)?;
        let slot = locked.topics().find(&name);
        let Some(entry) = slot.and_then(|slot| locked.topics().entry(slot)) else {
            return Ok(false);
        };
        let retained = locked.word(header::RETAINED);
        let less = entry.retained_words();
        entry.forget();
        locked.set(header::RETAINED, retained.saturating_sub(less));
        Ok(true)
    }

    /// The latest record's id.
    pub fn latest(&self) -> RecordId {
        RecordId(get(&self.parts.header[header::LAST_ID]))
    }
}
