//! What could not be done because another process had the log's lock, and did not go on. The thread that delivers waits for
//! nobody: it looks from time to time whether the lock is to be had, and then it is done.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::Weak;

use topics::{Bell, LockError, Membership, Seat, Subscription};

use crate::subscriber::Subscriber;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What is late.
#[derive(Default)]
pub(crate) struct Late(Mutex<State>);

#[derive(Default)]
struct State {
    owed: Vec<Owed>,
    /// Subscribers, by a topic's slot and their numbers, that are to go on.
    subscribers: BTreeSet<(u32, u64)>,
}

/// What is to be written into the log.
pub(crate) enum Owed {
    /// Somebody has subscribed no longer.
    Leave(Subscription),
    /// A member has left.
    Exit(Membership),
    /// A member has joined.
    Announce(Weak<Subscriber>),
}

impl Late {
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.owed.is_empty() && state.subscribers.is_empty()
    }

    /// Does it, now or, in its turn, later; says whether it is the first that is late.
    pub fn settle(&self, seat: &Seat<'static>, bell: &dyn Bell, owed: Owed) -> bool {
        let owed = match self.is_empty() {
            true => attempt(seat, bell, owed),
            false => Some(owed),
        };
        // Under one lock: those that were there before may have been seen to meanwhile.
        let mut state = self.state();
        let was_empty = state.owed.is_empty() && state.subscribers.is_empty();
        state.owed.extend(owed);
        was_empty && !state.owed.is_empty()
    }

    /// A subscriber is to go on once the lock is to be had.
    pub fn delay(&self, subscriber: (u32, u64)) {
        self.state().subscribers.insert(subscriber);
    }

    /// Does what is owed, as far as the lock is to be had; the subscribers that are to go on, when it is.
    pub fn catch_up(
        &self,
        seat: &Seat<'static>,
        bell: &dyn Bell,
        is_busy: impl Fn() -> bool,
    ) -> BTreeSet<(u32, u64)> {
        // Not held meanwhile: who leaves does not wait either.
        let owed = take(&mut self.state().owed);
        let mut all = owed.into_iter();
        while let Some(owed) = all.next() {
            if let Some(owed) = attempt(seat, bell, owed) {
                let mut state = self.state();
                state.owed.push(owed);
                state.owed.extend(all);
                return BTreeSet::new();
            }
        }
        let has_any = !self.state().subscribers.is_empty();
        match has_any && !is_busy() {
            true => take(&mut self.state().subscribers),
            false => BTreeSet::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is still owed afterwards.
fn attempt(seat: &Seat<'static>, bell: &dyn Bell, owed: Owed) -> Option<Owed> {
    match owed {
        Owed::Leave(subscription) => match seat.unsubscribe(subscription) {
            Err((LockError::Busy, subscription)) => Some(Owed::Leave(subscription)),
            _ => None,
        },
        Owed::Exit(membership) => match seat.exit(membership, bell) {
            Err((LockError::Busy, membership)) => Some(Owed::Exit(membership)),
            _ => None,
        },
        Owed::Announce(subscriber) => {
            let who = subscriber.upgrade()?;
            // One that has left meanwhile joins no more.
            let announced = match &*who.membership() {
                Some(membership) => seat.announce(membership, bell),
                None => Ok(()),
            };
            (announced == Err(LockError::Busy)).then_some(Owed::Announce(subscriber))
        }
    }
}
