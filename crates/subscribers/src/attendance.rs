//! The subscriptions of one connection, each to one topic, that come and go while it is open; and the letters that wait for it.
//!
//! ```text
//!  the thread that delivers ── outlet ──► letters ──► the connection's own turn: Attendance::next
//!                                 └─────► the connection, where nobody looks at what it gets
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use topics::{Member, Topic};

use crate::hub::{Hub, MOST_TOPICS, Subscribing};
use crate::letter::Letter;
use crate::outlet::{Outlet, Refused};
use crate::subscriber::{Pace, Subscriber};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::terms::{Since, Terms};

/// The subscriptions of one connection. Every function may be called from any thread.
pub struct Attendance {
    origin: u64,
    /// So many bytes of letters wait at most, and one more letter.
    room: usize,
    subscriptions: Mutex<State>,
    letters: Mutex<Letters>,
    /// That of the connection, which all of its subscriptions fill.
    pace: Arc<Pace>,
}

enum State {
    Open(Vec<Held>),
    /// The connection has ended.
    Ended,
}

#[derive(Clone)]
struct Held {
    topic: Topic,
    hub: Arc<Hub>,
    subscriber: Arc<Subscriber>,
}

#[derive(Default)]
struct Letters {
    waiting: VecDeque<Arc<Letter>>,
    bytes: usize,
    /// One that has been looked at, and goes to the client once there is room.
    passed: Option<Arc<Letter>>,
}

/// Why there is no subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotSubscribed {
    /// The connection has ended.
    Ended,
    /// It is subscribed to this topic already.
    Twice,
    /// To more than [`MOST_TOPICS`], or the log refuses.
    Refused(Subscribing),
}

impl fmt::Display for NotSubscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSubscribed::Ended => f.write_str("the connection has ended"),
            NotSubscribed::Twice => f.write_str("it is subscribed to this topic already"),
            NotSubscribed::Refused(reason) => reason.fmt(f),
        }
    }
}

impl Attendance {
    /// Of a connection that has none yet. `origin`: a number that no other connection has, whatever its process, and not 0;
    /// `room`: so many bytes of letters may wait.
    pub fn new(origin: u64, room: usize) -> Self {
        Attendance {
            origin: origin.max(1),
            room,
            subscriptions: Mutex::new(State::Open(Vec::new())),
            letters: Mutex::default(),
            pace: Arc::default(),
        }
    }

    /// Who it is, as a publisher.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// Subscribes to a topic. Says whether it gets all that it has asked for: `false` when it has come back, and what it has
    /// missed cannot be told exactly.
    pub fn subscribe(
        &self,
        hub: &Arc<Hub>,
        topic: &Topic,
        since: Since,
        member: Option<(&Member, bool)>,
        terms: Terms,
        outlet: Weak<dyn Outlet>,
    ) -> Result<bool, NotSubscribed> {
        // Held meanwhile, so that whoever ends all of them finds this one.
        let mut state = lock(&self.subscriptions);
        let State::Open(all) = &mut *state else {
            return Err(NotSubscribed::Ended);
        };
        if all.iter().any(|held| held.topic == *topic) {
            return Err(NotSubscribed::Twice);
        }
        if all.len() >= MOST_TOPICS {
            return Err(NotSubscribed::Refused(Subscribing::TooMany));
        }
        let terms = Terms {
            origin: self.origin,
            ..terms
        };
        let outlet = (outlet, Arc::clone(&self.pace));
        let subscriber = hub.subscribe_with(member, vec![topic.clone()], since, terms, outlet);
        let subscriber = subscriber.map_err(NotSubscribed::Refused)?;
        let is_whole = !subscriber.has_lost();
        all.push(Held {
            topic: topic.clone(),
            hub: Arc::clone(hub),
            subscriber,
        });
        Ok(is_whole)
    }

    /// Ends the subscription to a topic; says whether there was one. A letter that waits is delivered all the same.
    pub fn unsubscribe(&self, topic: &Topic) -> bool {
        let held = match &mut *lock(&self.subscriptions) {
            State::Open(all) => {
                let index = all.iter().position(|held| held.topic == *topic);
                index.map(|index| all.swap_remove(index))
            }
            State::Ended => None,
        };
        let Some(held) = held else {
            return false;
        };
        held.hub.leave(&held.subscriber);
        true
    }

    /// There is room again, or time: hands on what the topics have.
    pub fn go_on(&self) {
        let all = match &*lock(&self.subscriptions) {
            State::Open(all) => all.clone(),
            State::Ended => return,
        };
        for held in all {
            held.hub.go_on(&held.subscriber);
        }
    }

    /// The connection has ended, and its subscriptions end with it.
    pub fn end(&self) {
        let state = std::mem::replace(&mut *lock(&self.subscriptions), State::Ended);
        if let State::Open(all) = state {
            for held in all {
                held.hub.leave(&held.subscriber);
            }
        }
        *lock(&self.letters) = Letters::default();
    }

    /// Takes a letter for [`Attendance::next`].
    pub fn put(&self, letter: &Arc<Letter>) -> Result<(), Refused> {
        let mut letters = lock(&self.letters);
        if letters.bytes >= self.room {
            return Err(Refused::Full);
        }
        letters.bytes += letter.size();
        letters.waiting.push_back(Arc::clone(letter));
        Ok(())
    }

    /// Whether at most half of the room for letters is used.
    pub fn has_ample_room(&self) -> bool {
        lock(&self.letters).bytes <= self.room / 2
    }

    /// Whether a letter waits.
    pub fn has_letters(&self) -> bool {
        let letters = lock(&self.letters);
        letters.passed.is_some() || !letters.waiting.is_empty()
    }

    /// The next letter; `true`: it has been [kept](Attendance::keep).
    pub fn next(&self) -> Option<(Arc<Letter>, bool)> {
        let mut letters = lock(&self.letters);
        if let Some(passed) = letters.passed.take() {
            return Some((passed, true));
        }
        let letter = letters.waiting.pop_front()?;
        letters.bytes -= letter.size();
        Some((letter, false))
    }

    /// A letter that has been looked at, and found no room on its way to the client: it is the next one.
    pub fn keep(&self, letter: Arc<Letter>) {
        lock(&self.letters).passed = Some(letter);
    }
}

/// Of a connection that was never accepted.
impl Drop for Attendance {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
