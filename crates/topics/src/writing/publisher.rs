//! Publishing.

use super::Locked;
use super::room::most_words;
use crate::bell::Bell;
use crate::error::PublishError;
use crate::log::Log;
use crate::memory::{Body, Fingerprint, Flags, Header, Kind, header};
use crate::name::{RecordId, Topic};
use crate::table::{Full, Key, Keys, Name, Seats};

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// To which topic.
    pub topic: &'a Topic,
    /// What the payload is.
    pub kind: Kind,
    /// How it is to be treated.
    pub flags: Flags,
    /// Who publishes it, as far as the log's users want to know; 0 for nobody in particular.
    pub origin: u64,
    /// When, in milliseconds of Unix time.
    pub time: u64,
    /// Published again to the same topic with the same key, the same message (kind, flags and payload) is published once;
    /// another one is [`PublishError::KeyReused`]. The latest keys are remembered, [`KEYS`](crate::KEYS) of them, or fewer by chance.
    pub key: Option<&'a str>,
    /// The payload.
    pub payload: &'a [u8],
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// Its id.
    pub id: RecordId,
    /// It was published before, with the same key; now, nothing was.
    pub is_repeated: bool,
    /// How many subscribers the topic has, of all children.
    pub subscribers: u64,
}

/// A topic whose children are still to be woken: [`Publisher::ring`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Unrung(u32);

/// Publishes, from any thread, and wakes the children that have subscribers. Not from a signal handler: what it has
/// interrupted may have the lock, and then it gets [`LockError::Held`](crate::LockError::Held).
#[derive(Clone, Copy)]
pub struct Publisher<'m, B> {
    log: Log<'m>,
    bell: B,
}

impl<'m, B: Bell> Publisher<'m, B> {
    /// One that publishes to this log.
    pub fn new(log: Log<'m>, bell: B) -> Self {
        Publisher { log, bell }
    }

    /// The most bytes of a payload.
    pub fn most_payload(&self) -> usize {
        most_payload(self.log.parts.ring.len())
    }

    /// Publishes a message. It waits for other publishers, each for the time of a copy, and for no reader. When it
    /// returns an error, nothing was published.
    pub fn publish(&self, message: &Message<'_>) -> Result<Published, PublishError> {
        let (published, unrung) = self.publish_quietly(message)?;
        unrung.into_iter().for_each(|unrung| self.ring(unrung));
        Ok(published)
    }

    /// [`Publisher::publish`] that wakes nobody, for who has more to publish: a child that waits finds the message when it is
    /// woken, by [`Publisher::ring`], soon, or by another publisher. There is nobody to wake for a repeated one.
    pub fn publish_quietly(
        &self,
        message: &Message<'_>,
    ) -> Result<(Published, Option<Unrung>), PublishError> {
        let parts = self.log.parts;
        let limit = self.most_payload();
        if message.payload.len() > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let seed = self.log.parts.seed();
        let name = Name::new(message.topic, seed);
        let body = Body {
            topic: message.topic.as_str(),
            key: message.key.map(|key| Keys::hash(message.topic, key, seed)),
            payload: message.payload,
        };
        let checksum = body.checksum();
        let (slot, id) = {
            let locked = Locked::new(parts)?;
            let length = message.payload.len() as u32;
            let what = Fingerprint::new(message.kind, message.flags, length, checksum);
            if let Some(id) = used_before(&locked, body.key, what)? {
                let slot = locked.topics().find(&name);
                let subscribers = slot.map_or(0, |slot| locked.seats().subscribers(slot));
                let published = Published {
                    id,
                    is_repeated: true,
                    subscribers,
                };
                return Ok((published, None));
            }
            write(&locked, message, &name, &body, checksum)?
        };
        let published = Published {
            id: RecordId(id),
            is_repeated: false,
            subscribers: Seats(parts).subscribers(slot),
        };
        Ok((published, Some(Unrung(slot))))
    }

    /// Wakes the children that have subscribers of what was published quietly.
    pub fn ring(&self, Unrung(slot): Unrung) {
        Seats(self.log.parts).ring(slot, &self.bell);
    }
}

/// The most bytes of a payload, whatever its topic's name.
pub(crate) fn most_payload(ring: u64) -> usize {
    let most = usize::try_from(most_words(ring)).unwrap_or(usize::MAX) * 8;
    (most - Header::MOST).min(u32::MAX as usize - 7)
}

/// The record that was published with this key.
fn used_before(
    locked: &Locked<'_>,
    key: Option<Key>,
    what: Fingerprint,
) -> Result<Option<RecordId>, PublishError> {
    match key.and_then(|key| locked.keys().find(key)) {
        Some(used) if used.what == what => Ok(Some(RecordId(used.id))),
        Some(_) => Err(PublishError::KeyReused),
        None => Ok(None),
    }
}

/// Writes a message, with the lock held; returns its topic's entry and its id.
pub(super) fn write(
    locked: &Locked<'_>,
    message: &Message<'_>,
    name: &Name<'_>,
    body: &Body<'_>,
    checksum: u32,
) -> Result<(u32, u64), PublishError> {
    let topics = locked.topics();
    let full = |Full| PublishError::TopicsFull;
    let slot = topics.find_or_make(name).map_err(full)?;
    let entry = topics.entry(slot).ok_or(PublishError::TopicsFull)?;
    let last = entry.last();
    let record = Header {
        id: locked.word(header::LAST_ID).wrapping_add(1),
        time: message.time,
        previous: last.position,
        previous_id: last.id,
        nth: match message.kind {
            Kind::Notice => entry.published(),
            _ => entry.published().wrapping_add(1),
        },
        origin: message.origin,
        slot,
        payload: message.payload.len() as u32,
        topic: name.text.len() as u8,
        kind: message.kind,
        flags: message.flags,
        is_keyed: body.key.is_some(),
        is_carried: false,
        body: checksum,
    };
    if message.flags.retain && !locked.may_retain(record.words(), entry.retained_words()) {
        return Err(PublishError::RetainedFull);
    }
    locked.make_room(record.words());
    let position = locked.word(header::COMMIT);
    record.write(locked.parts.ring, position);
    body.write(locked.parts.ring, Header::body_at(position));
    locked.commit(&record, body.key);
    Ok((slot, record.id))
}
