//! The topics of a world: who subscribes, what was published, who is there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use super::received::Received;
use crate::abi::*;

/// The topics of a world. Its lock is held while peers get what they get, and theirs are taken within it.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// There are none.
    is_absent: bool,
    latest: u64,
    topics: BTreeMap<String, Topic>,
}

#[derive(Default)]
struct Topic {
    history: Vec<Published>,
    retained: Option<Published>,
    subscribers: Vec<Subscriber>,
}

#[derive(Clone)]
struct Published {
    id: u64,
    message: Received,
}

struct Subscriber {
    who: usize,
    peer: Weak<dyn Guest>,
    member: Option<String>,
    flags: u32,
}

/// Who subscribes: a connection of the world.
pub(super) trait Guest: Send + Sync {
    /// A message that nobody looks at.
    fn get(&self, received: Received);

    /// Something for `on_topic`.
    fn put_event(&self, event: Event);
}

/// Which one it is, to be compared only.
pub(super) type Who = *const ();

/// What `on_topic` is to be told.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub kind: u32,
    pub topic: String,
    pub id: String,
    pub message: Received,
    pub count: usize,
}

/// Which log the ids are of.
const EPOCH: &str = "00000000000000aa";

impl Board {
    pub fn set_absent(&self, is_absent: bool) {
        self.state().is_absent = is_absent;
    }

    /// What `subscribe` says, and does.
    pub fn subscribe(
        &self,
        (who, peer): (Who, Weak<dyn Guest>),
        name: &str,
        since: Option<&str>,
        member: Option<String>,
        flags: u32,
    ) -> i32 {
        let mut state = self.state();
        if state.is_absent {
            return WEBSOCKET_TOPIC_UNAVAILABLE;
        }
        let is_plain = flags & (WEBSOCKET_SUBSCRIBE_ON_TOPIC | WEBSOCKET_SUBSCRIBE_JSON) == 0;
        let is_odd = flags > 15
            || flags & 3 == 3
            || is_plain && flags & WEBSOCKET_SUBSCRIBE_PRESENCE != 0
            || member.is_none() && flags & WEBSOCKET_SUBSCRIBE_UNIQUE != 0;
        let latest = state.latest;
        let since = since.map(|since| Since::read(since, latest)).transpose();
        let (Ok(since), false) = (since, is_odd || !is_name(name, 255)) else {
            return WEBSOCKET_TOPIC_INVALID;
        };
        if member.as_ref().is_some_and(|member| !is_name(member, 128)) {
            return WEBSOCKET_TOPIC_INVALID;
        }
        let is_its = |subscriber: &Subscriber| subscriber.who == who.addr();
        let all = state.topics.values();
        if all
            .filter(|topic| topic.subscribers.iter().any(is_its))
            .count()
            >= 128
        {
            return WEBSOCKET_TOPIC_FULL;
        }
        let topic = state.topics.entry(name.to_owned()).or_default();
        if topic.subscribers.iter().any(is_its) {
            return WEBSOCKET_TOPIC_INVALID;
        }
        let is_unique = flags & WEBSOCKET_SUBSCRIBE_UNIQUE != 0;
        if is_unique
            && topic
                .members()
                .any(|other| Some(other) == member.as_deref())
        {
            return WEBSOCKET_TOPIC_TAKEN;
        }
        let subscriber = Subscriber {
            who: who.addr(),
            peer,
            member,
            flags,
        };
        let begin = match since {
            Some(Since::Id(id)) => topic.history.iter().take_while(|one| one.id <= id).count(),
            Some(Since::Last(count)) => topic.history.len().saturating_sub(count),
            Some(Since::Lost) | None => topic.history.len(),
        };
        if let (Some(one), None | Some(Since::Lost)) = (&topic.retained, since) {
            // With what it may come back with, as the server does.
            let one = Published {
                id: latest,
                ..one.clone()
            };
            subscriber.give(name, &one);
        }
        for one in &topic.history[begin..] {
            subscriber.give(name, one);
        }
        let joined = subscriber.member.clone();
        topic.subscribers.push(subscriber);
        if let Some(member) = joined {
            topic.tell(WEBSOCKET_TOPIC_JOINED, name, latest, &member);
        }
        match since {
            Some(Since::Lost) => WEBSOCKET_TOPIC_LOST,
            _ => WEBSOCKET_TOPIC_DONE,
        }
    }

    /// Whether there was a subscription.
    pub fn unsubscribe(&self, who: Who, name: &str) -> bool {
        let mut state = self.state();
        let latest = state.latest;
        let topic = state.topics.get_mut(name);
        topic.is_some_and(|topic| topic.remove(who, name, latest))
    }

    /// A connection has ended, and its subscriptions with it.
    pub fn leave(&self, who: Who) {
        let mut state = self.state();
        let latest = state.latest;
        for (name, topic) in &mut state.topics {
            topic.remove(who, name, latest);
        }
    }

    /// What `publish` says, and the id.
    pub fn publish(
        &self,
        publisher: Who,
        name: &str,
        message: Option<Received>,
        flags: u32,
    ) -> Result<String, i32> {
        let mut state = self.state();
        let both = WEBSOCKET_PUBLISH_VOLATILE | WEBSOCKET_PUBLISH_RETAIN;
        let message = message.filter(|_| is_name(name, 255) && flags & both != both && flags <= 15);
        let message = message.ok_or(WEBSOCKET_TOPIC_INVALID)?;
        if state.is_absent {
            return Err(WEBSOCKET_TOPIC_UNAVAILABLE);
        }
        state.latest += 1;
        let id = state.latest;
        let one = Published { id, message };
        let topic = state.topics.entry(name.to_owned()).or_default();
        for subscriber in &topic.subscribers {
            let is_own = subscriber.who == publisher.addr();
            if !is_own || flags & WEBSOCKET_PUBLISH_EXCLUDE_SELF == 0 {
                subscriber.give(name, &one);
            }
        }
        if flags & WEBSOCKET_PUBLISH_RETAIN != 0 {
            topic.retained = Some(one.clone());
        }
        if flags & WEBSOCKET_PUBLISH_VOLATILE == 0 {
            topic.history.push(one);
        }
        Ok(token(id))
    }

    /// What a function says that asks for a topic.
    pub fn look<T>(&self, name: &str, look: impl FnOnce(&[Option<String>]) -> T) -> Result<T, i32> {
        let state = self.state();
        if !is_name(name, 255) {
            return Err(WEBSOCKET_TOPIC_INVALID);
        }
        if state.is_absent {
            return Err(WEBSOCKET_TOPIC_UNAVAILABLE);
        }
        let subscribers = state.topics.get(name).map(|topic| &topic.subscribers);
        let members = subscribers.into_iter().flatten();
        let members: Vec<_> = members.map(|one| one.member.clone()).collect();
        Ok(look(&members))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum Since {
    Id(u64),
    Last(usize),
    Lost,
}

impl Since {
    fn read(text: &str, latest: u64) -> Result<Self, ()> {
        if let Some(count) = text.strip_prefix("last:") {
            return count.parse().map(Since::Last).map_err(drop);
        }
        let (epoch, id) = text.split_once('-').ok_or(())?;
        let id: u64 = id.parse().map_err(drop)?;
        Ok(match epoch == EPOCH && id <= latest {
            true => Since::Id(id),
            false => Since::Lost,
        })
    }
}

impl Topic {
    fn members(&self) -> impl Iterator<Item = &str> {
        let members = self.subscribers.iter();
        members.filter_map(|subscriber| subscriber.member.as_deref())
    }

    fn remove(&mut self, who: Who, name: &str, latest: u64) -> bool {
        let mut all = self.subscribers.iter();
        let Some(index) = all.position(|subscriber| subscriber.who == who.addr()) else {
            return false;
        };
        if let Some(member) = self.subscribers.remove(index).member {
            self.tell(WEBSOCKET_TOPIC_LEFT, name, latest, &member);
        }
        true
    }

    fn tell(&self, kind: u32, name: &str, latest: u64, member: &str) {
        let event = Event {
            kind,
            topic: name.to_owned(),
            id: token(latest),
            message: Received::Text(member.to_owned()),
            count: self.members().count(),
        };
        for subscriber in &self.subscribers {
            if subscriber.flags & WEBSOCKET_SUBSCRIBE_PRESENCE != 0 {
                subscriber.tell(&event);
            }
        }
    }
}

impl Subscriber {
    fn give(&self, topic: &str, one: &Published) {
        self.tell(&Event {
            kind: WEBSOCKET_TOPIC_MESSAGE,
            topic: topic.to_owned(),
            id: token(one.id),
            message: one.message.clone(),
            count: 0,
        });
    }

    fn tell(&self, event: &Event) {
        if let Some(peer) = self.peer.upgrade() {
            match self.flags & WEBSOCKET_SUBSCRIBE_ON_TOPIC {
                0 => peer.get(match self.flags & WEBSOCKET_SUBSCRIBE_JSON {
                    0 => event.message.clone(),
                    _ => Received::Text(json(event)),
                }),
                _ => peer.put_event(event.clone()),
            }
        }
    }
}

/// As the subprotocol topics.json has it, but for bytes, which are written as text.
fn json(event: &Event) -> String {
    let (topic, id) = (&event.topic, &event.id);
    let text = match &event.message {
        Received::Text(text) => text.clone(),
        Received::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    match event.kind {
        WEBSOCKET_TOPIC_MESSAGE => {
            format!("{{\"topic\":{topic:?},\"id\":{id:?},\"data\":{text:?}}}")
        }
        kind => {
            let what = if kind == WEBSOCKET_TOPIC_LEFT {
                "left"
            } else {
                "joined"
            };
            let count = event.count;
            format!("{{\"topic\":{topic:?},\"{what}\":{text:?},\"members\":{count}}}")
        }
    }
}

fn token(id: u64) -> String {
    format!("{EPOCH}-{id}")
}

fn is_name(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.contains(char::is_control)
}
