//! What was published: what everybody sees is compared with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use topics::{Flags, Kind, Log, Message, PublishError, Topic};
use websocket_proto::MessageKind;

use crate::letter;
use crate::world::World;

/// How many topics there are.
pub const TOPICS: usize = 4;

/// Longer than any message, in bytes.
pub const MOST_LENGTH: u64 = 600;

/// A topic of the world, by its number.
pub fn topic(number: usize) -> Topic {
    Topic::new(&format!("/{number}")).expect("it is a topic's name")
}

/// The number of a topic.
pub fn topic_number(name: &str) -> usize {
    name[1..].parse().expect("it is a topic of this world")
}

/// What was published, by id.
#[derive(Default)]
pub struct Journal(Mutex<State>);

#[derive(Default)]
struct State {
    published: BTreeMap<u64, Published>,
    ids: BTreeMap<u32, u64>,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub id: u64,
    pub topic: usize,
    pub flags: Flags,
    /// Who does not get it, if anybody.
    pub origin: u64,
}

impl Journal {
    /// Publishes a message, by `send`.
    pub fn publish(
        &self,
        world: &World,
        log: Log<'static>,
        (number, flags, origin): (usize, Flags, u64),
        send: impl FnOnce(&Message<'_>) -> Result<topics::Published, PublishError>,
    ) {
        // Some are as long as can be, so that readers are overrun.
        let length = world.draw(|chance| match chance.percent(20) {
            true => MOST_LENGTH as usize,
            false => chance.length(MOST_LENGTH),
        });
        // Nobody takes a step before the message is in the log, so that this is its id.
        let id = log.latest().0 + 1;
        let published = Published {
            id,
            topic: number,
            flags,
            origin,
        };
        let message = {
            let mut state = self.state();
            let message = state.ids.len() as u32;
            state.ids.insert(message, id);
            state.published.insert(id, published);
            message
        };
        world.tell(|| {
            format!("{id} is published, message {message} to /{number}, {flags:?} by {origin}")
        });
        let kind = match letter::kind(message) {
            MessageKind::Text => Kind::Text,
            MessageKind::Binary => Kind::Binary,
        };
        let done = send(&Message {
            topic: &topic(number),
            kind,
            flags,
            origin,
            time: 0,
            key: None,
            payload: &letter::write(number as u16, message, length),
        });
        match done {
            Ok(done) => assert_eq!(done.id.0, id),
            Err(PublishError::RetainedFull) => drop(self.state().published.remove(&id)),
            Err(error) => panic!("it cannot be published: {error}"),
        }
    }

    /// The id of a message, which must have arrived as it was published.
    pub fn id_of(&self, kind: MessageKind, payload: &[u8]) -> u64 {
        let (_, number) = letter::read(payload).expect("it arrives as it was published");
        assert_eq!(kind, letter::kind(number), "it is of another kind");
        *self.state().ids.get(&number).expect("it was published")
    }

    /// A message, by its id.
    pub fn at(&self, id: u64) -> Published {
        let state = self.state();
        *state.published.get(&id).expect("it was published")
    }

    /// Those behind one id, up to another.
    pub fn between(&self, after: u64, last: u64) -> Vec<Published> {
        if after >= last {
            return Vec::new();
        }
        let state = self.state();
        let range = state.published.range(after + 1..=last);
        range.map(|(_, published)| *published).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
