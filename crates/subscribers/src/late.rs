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
    /// In the order in which it has come.
    owed: Vec<Owed>,
    /// What was owed is being done: whatever comes meanwhile comes behind it.
    is_under_way: bool,
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
        self.state().is_empty()
    }

    /// Does it, now or, in its turn, later; says whether it is the first that is late.
    pub fn settle(&self, seat: &Seat<'static>, bell: &dyn Bell, owed: Owed) -> bool {
        let is_first = {
            let state = self.state();
            state.is_empty() && !state.is_under_way
        };
        let owed = match is_first {
            true => attempt(seat, bell, owed),
            false => Some(owed),
        };
        // Under one lock: those that were there before may have been seen to meanwhile.
        let mut state = self.state();
        let was_empty = state.is_empty();
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
        let owed = {
            let mut state = self.state();
            state.is_under_way = true;
            take(&mut state.owed)
        };
        let mut all = owed.into_iter();
        let undone = all.find_map(|owed| attempt(seat, bell, owed));
        let (is_done, has_any) = {
            let mut state = self.state();
            state.is_under_way = false;
            let is_done = undone.is_none();
            state.owed.splice(..0, undone.into_iter().chain(all));
            (is_done, !state.subscribers.is_empty())
        };
        match is_done && has_any && !is_busy() {
            true => take(&mut self.state().subscribers),
            false => BTreeSet::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.owed.is_empty() && self.subscribers.is_empty()
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use topics::{Epoch, Layout, Log, Member, Owner, Reader, Topic};

    use super::*;

    struct World {
        log: Log<'static>,
        seat: Seat<'static>,
        reader: Reader<'static>,
        late: Late,
        topic: Topic,
    }

    /// Two members of a topic, with their subscriptions.
    fn world() -> (World, [(Subscription, Membership); 2]) {
        let layout = Layout {
            ring: 64 << 10,
            topics: 4,
            seats: 4,
        };
        let words = (0..layout.words().unwrap()).map(|_| AtomicU64::new(0));
        let words = words.collect::<Vec<_>>().leak();
        let log = Log::new(words, layout, Epoch(NonZeroU64::MIN), [1, 2]).unwrap();
        let seat = log.claim(Owner(NonZeroU64::MIN), |_| true).unwrap();
        let topic = Topic::new("a").unwrap();
        let members = ["Ada", "Bob"].map(|name| {
            let (subscription, _) = seat.subscribe(&topic).unwrap();
            let member = Member::new(name).unwrap();
            let membership = seat.enter(&subscription, &member, true).unwrap();
            (subscription, membership)
        });
        let world = World {
            reader: seat.reader().unwrap(),
            seat: seat.impatient(),
            late: Late::default(),
            log,
            topic,
        };
        (world, members)
    }

    impl World {
        fn owe(&self, owed: Owed) {
            self.late.state().owed.push(owed);
        }

        fn catch_up(&self, bell: &dyn Bell) {
            let later = self.late.catch_up(&self.seat, bell, || false);
            assert!(later.is_empty());
        }

        fn subscribers(&self) -> u64 {
            self.seat.subscribers(&self.topic).unwrap()
        }
    }

    /// Catches up while the reader waits; and whoever is woken by that does the rest.
    struct Woken<'a> {
        world: &'a World,
        rest: Mutex<Option<Owed>>,
    }

    impl Bell for Woken<'_> {
        fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {
            self.world.catch_up(self);
        }

        fn wake(&self, _: &AtomicU64) {
            if let Some(owed) = self.rest.lock().unwrap().take() {
                let World { late, seat, .. } = self.world;
                assert!(late.settle(seat, self, owed), "nobody hears of it");
                assert_eq!(self.world.subscribers(), 2, "it overtakes its own exit");
            }
        }
    }

    #[test]
    fn nothing_is_done_before_what_is_under_way() {
        let (world, [(_held, ada), (subscription, bob)]) = world();
        for member in [ada, bob] {
            world.owe(Owed::Exit(member));
        }
        let bell = Woken {
            world: &world,
            rest: Mutex::new(Some(Owed::Leave(subscription))),
        };
        world.reader.wait(&bell, Duration::ZERO);
        assert!(bell.rest.lock().unwrap().is_none());
        assert!(world.log.members(&world.topic).unwrap().is_empty());
        world.catch_up(&bell);
        assert_eq!(world.subscribers(), 1);
        assert!(world.late.is_empty());
    }

    #[test]
    fn what_cannot_be_done_yet_stays_before_what_has_come_meanwhile() {
        let (world, [(_held, _), (subscription, bob)]) = world();
        world.owe(Owed::Exit(bob));
        let bell = Woken {
            world: &world,
            rest: Mutex::default(),
        };
        let (world, bell) = (&world, &bell);
        let ((has_it, begins), (end, ends)) = (channel(), channel::<()>());
        std::thread::scope(|scope| {
            let log = world.log;
            scope.spawn(move || {
                log.hold_lock(|| {
                    has_it.send(()).unwrap();
                    ends.recv().unwrap();
                });
            });
            begins.recv().unwrap();
            let catches_up = scope.spawn(|| world.catch_up(bell));
            while !world.late.state().owed.is_empty() {
                std::thread::yield_now();
            }
            world
                .late
                .settle(&world.seat, bell, Owed::Leave(subscription));
            catches_up.join().unwrap();
            end.send(()).unwrap();
        });
        let order = &world.late.state().owed;
        assert!(matches!(**order, [Owed::Exit(_), Owed::Leave(_)]));
    }
}
