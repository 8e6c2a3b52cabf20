//! A child's place at the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::bell::Bell;
use crate::count::{COUNTS, Count};
use crate::error::{EnterError, LockError, SubscribeError};
use crate::memory::{Parts, get, header, put, seat};
use crate::name::{Epoch, Member, RecordId, Topic};
use crate::reading::{History, Reader};
use crate::table::{Full, Name, NoPlace, Owner, Seats, Topics};
use crate::writing::Locked;

/// A child's place at the log. It stays the child's until its process is gone; nothing has to be given back.
pub struct Seat<'m> {
    parts: Parts<'m>,
    epoch: Epoch,
    index: usize,
    owner: Owner,
}

/// One subscriber of a topic, counted in its child's seat until [`Seat::unsubscribe`].
#[must_use = "it counts until it is given back"]
#[derive(Debug)]
pub struct Subscription {
    slot: u32,
    start: u64,
}

impl Subscription {
    /// The topic's number, the same for all its subscribers as long as there is one:
    /// [`Record::slot`](crate::Record::slot).
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Where the subscriber's live records begin: those of the same slot whose
    /// [`position`](crate::Record::position) is this or later. What is before is in the [`History`] that came with it,
    /// or of another topic that had the number earlier.
    pub fn start(&self) -> u64 {
        self.start
    }
}

/// A subscriber's place among the members of its topic, until [`Seat::exit`].
#[must_use = "it is a member until it exits"]
#[derive(Debug)]
pub struct Membership {
    index: u32,
    slot: u32,
}

const _: () = assert!(seat::COUNTS + COUNTS <= crate::memory::SEAT);

/// How long an impatient caller waits for the lock: longer than whoever has it may be off the processor, mostly.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(10);

impl<'m> Seat<'m> {
    pub(crate) fn new(parts: Parts<'m>, epoch: Epoch, index: usize, owner: Owner) -> Self {
        Seat {
            parts,
            epoch,
            index,
            owner,
        }
    }

    /// Counts a subscriber of a topic, which is then in the table as long as somebody subscribes to it. What was
    /// published before this moment is in the history, what comes later is read by the child's [`Reader`], and no record
    /// is in both or in neither.
    pub fn subscribe(&self, topic: &Topic) -> Result<(Subscription, History<'m>), SubscribeError> {
        let name = Name::new(topic, self.parts.seed());
        let locked = Locked::new(self.parts)?;
        if locked.seats().owner(self.index) != Some(self.owner) {
            return Err(SubscribeError::SeatLost);
        }
        let full = |Full| SubscribeError::TopicsFull;
        let slot = locked.topics().find_or_make(&name).map_err(full)?;
        let entry = locked
            .topics()
            .entry(slot)
            .ok_or(SubscribeError::TopicsFull)?;
        let count = &self.parts.row(self.index)[slot as usize];
        locked.subscribed().set(slot);
        put(count, get(count).saturating_add(1));
        let history = History::new(&locked, self.epoch, slot, entry);
        let start = history.end();
        Ok((Subscription { slot, start }, history))
    }

    /// Counts a subscriber no longer. Without the lock, it is given back, and counts until another call.
    pub fn unsubscribe(&self, subscription: Subscription) -> Result<(), (LockError, Subscription)> {
        let slot = subscription.slot;
        let locked = Locked::new(self.parts).map_err(|error| (error, subscription))?;
        if locked.seats().owner(self.index) == Some(self.owner) {
            let count = &self.parts.row(self.index)[slot as usize];
            put(count, get(count).saturating_sub(1));
            locked
                .subscribed()
                .look(slot, locked.seats().subscribers(slot));
        }
        Ok(())
    }

    /// Makes a subscriber a member of its topic, of which [`Log::members`](crate::Log::members) tells. `is_unique`: only if
    /// no member is called so.
    pub fn enter(
        &self,
        subscription: &Subscription,
        member: &Member,
        is_unique: bool,
    ) -> Result<Membership, EnterError> {
        let locked = Locked::new(self.parts)?;
        if locked.seats().owner(self.index) != Some(self.owner) {
            return Err(EnterError::SeatLost);
        }
        let slot = subscription.slot;
        let added = locked.members().add(self.index, slot, member, is_unique);
        let index = added.map_err(|no_place| match no_place {
            NoPlace::Taken => EnterError::Taken,
            NoPlace::Full => EnterError::Full,
        })?;
        Ok(Membership { index, slot })
    }

    /// Tells the topic's subscribers that a member has joined.
    pub fn announce(
        &self,
        membership: &Membership,
        bell: &(impl Bell + ?Sized),
    ) -> Result<(), LockError> {
        {
            let locked = Locked::new(self.parts)?;
            if locked.seats().owner(self.index) == Some(self.owner) {
                locked.welcome(membership.index, membership.slot);
            }
        }
        Seats(self.parts).ring(membership.slot, bell);
        Ok(())
    }

    /// The member leaves, and the topic's subscribers are told. Without the lock, it is given back, and is one until another
    /// call.
    pub fn exit(
        &self,
        membership: Membership,
        bell: &(impl Bell + ?Sized),
    ) -> Result<(), (LockError, Membership)> {
        let slot = membership.slot;
        {
            let locked = match Locked::new(self.parts) {
                Ok(locked) => locked,
                Err(error) => return Err((error, membership)),
            };
            if locked.seats().owner(self.index) == Some(self.owner) {
                locked.part_with(membership.index, membership.slot);
            }
        }
        Seats(self.parts).ring(slot, bell);
        Ok(())
    }

    /// How many subscribers of a topic this child has.
    pub fn subscribers(&self, topic: &Topic) -> Result<u64, LockError> {
        let name = Name::new(topic, self.parts.seed());
        let locked = Locked::new(self.parts)?;
        let slot = locked.topics().find(&name);
        Ok(slot.map_or(0, |slot| get(&self.parts.row(self.index)[slot as usize])))
    }

    /// The child's reader, which begins at the log's end. There is one for each seat: two would share its bell.
    pub fn reader(&self) -> Result<Reader<'m>, LockError> {
        let locked = Locked::new(self.parts)?;
        let (end, latest) = (locked.word(header::COMMIT), locked.word(header::LAST_ID));
        Ok(Reader::new(self.parts, self.index, end, RecordId(latest)))
    }

    /// Has the child's reader return from [`Reader::wait`], because it is to end, for example. From any thread.
    pub fn ring(&self, bell: &(impl Bell + ?Sized)) {
        let word = Seats(self.parts).bell(self.index);
        word.fetch_add(1, Ordering::SeqCst);
        bell.wake(word);
    }

    /// The same seat, for a thread that must not wait: where another one has the lock, it is
    /// [busy](crate::LockError::Busy) after some milliseconds, not after a second.
    pub fn impatient(&self) -> Seat<'m> {
        Seat {
            parts: self.parts.with(IMPATIENCE),
            epoch: self.epoch,
            index: self.index,
            owner: self.owner,
        }
    }

    /// Counts, of the topic with this [number](Subscription::slot), as long as the child has a subscriber of it; from any
    /// thread. In all, [`Seat::count`] counts.
    pub fn count_of(&self, slot: u32, what: Count, by: u64) {
        if let Some(entry) = Topics(self.parts).entry(slot) {
            entry.count(what, by);
        }
    }

    /// Counts, in all; from any thread.
    pub fn count(&self, what: Count, by: u64) {
        // Relaxed: a sum, which stands alone.
        self.parts.seats[self.index][seat::COUNTS + what as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Gives the seat back before the process ends.
    pub fn leave(self) -> Result<(), LockError> {
        vacate(self.parts, self.index, self.owner)
    }

    /// Its number, from 0 to the layout's seats.
    pub fn index(&self) -> usize {
        self.index
    }
}

/// Takes a seat from whoever has it, if that is still `owner`; its members leave, some at a time.
pub(crate) fn vacate(parts: Parts<'_>, index: usize, owner: Owner) -> Result<(), LockError> {
    loop {
        let locked = Locked::new(parts)?;
        if locked.seats().owner(index) != Some(owner) {
            return Ok(());
        }
        if locked.dismiss(index) {
            locked.seats().vacate(index, owner);
            return Ok(());
        }
    }
}
