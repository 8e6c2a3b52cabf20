//! Who joins a topic and who leaves it.

use super::Locked;
use super::publisher::{Message, write};
use crate::memory::{Body, Flags, Kind, header};
use crate::name::Topic;
use crate::table::Name;

/// The payload of a record of the kind [`Kind::Notice`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notice<'a> {
    /// Who it is about.
    pub member: &'a str,
    /// It has left; else it has joined.
    pub has_left: bool,
    /// How many members the topic has now.
    pub members: u32,
}

/// How many members leave before publishers have their turn.
const DISMISSED_AT_ONCE: usize = 32;

const JOINED: u8 = b'j';
const LEFT: u8 = b'l';

impl<'a> Notice<'a> {
    /// Reads a payload.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = payload.split_first()?;
        let (members, member) = rest.split_first_chunk()?;
        Some(Notice {
            member: str::from_utf8(member).ok()?,
            has_left: match kind {
                JOINED => false,
                LEFT => true,
                _ => return None,
            },
            members: u32::from_le_bytes(*members),
        })
    }

    fn payload(&self) -> Vec<u8> {
        let kind = if self.has_left { LEFT } else { JOINED };
        let mut payload = vec![kind];
        payload.extend(self.members.to_le_bytes());
        payload.extend(self.member.as_bytes());
        payload
    }
}

impl Locked<'_> {
    /// Tells a topic's subscribers that a member has joined.
    pub fn welcome(&self, index: u32, slot: u32) {
        self.members().announce(index);
        self.tell(slot, &self.members().text(index), false);
    }

    /// A member leaves; tells those who have been told of it. It is told of and then taken away, so that a kill in between takes
    /// nobody away untold.
    pub fn part_with(&self, index: u32, slot: u32) {
        if self.members().is_announced(index) {
            self.tell(slot, &self.members().text(index), true);
        }
        self.members().remove(index);
    }

    /// Tells a topic's subscribers of a member. What cannot be told is not: the list of members is right all the same.
    fn tell(&self, slot: u32, member: &str, has_left: bool) {
        let entry = self.topics().entry(slot).filter(|entry| entry.is_live());
        let name = entry.and_then(|entry| entry.text());
        let Some(topic) = name.and_then(|name| Topic::new(&name).ok()) else {
            return;
        };
        // Those of whom nobody has been told yet are counted when they are. Who leaves is still there.
        let members = self.members().announced(slot);
        let members = members.saturating_sub(usize::from(has_left));
        let payload = Notice {
            member,
            has_left,
            members: u32::try_from(members).unwrap_or(u32::MAX),
        }
        .payload();
        let message = Message {
            topic: &topic,
            kind: Kind::Notice,
            flags: Flags {
                volatile: true,
                ..Flags::default()
            },
            origin: 0,
            time: 0,
            key: None,
            payload: &payload,
        };
        let body = Body {
            topic: topic.as_str(),
            key: None,
            payload: &payload,
        };
        let name = Name::new(&topic, self.parts.seed());
        if write(self, &message, &name, &body, body.checksum()).is_ok() {
            let notices = self.word(header::NOTICES);
            self.set(header::NOTICES, notices.wrapping_add(1));
        }
    }

    /// Members of a seat's leave, because its child is gone; says whether these were all. To tell of one takes a look at all
    /// members of all topics: only so many leave at once as keep nobody waiting.
    pub fn dismiss(&self, seat: usize) -> bool {
        for (index, slot) in self.members().of_seat(seat).take(DISMISSED_AT_ONCE) {
            self.part_with(index, slot);
        }
        self.members().of_seat(seat).next().is_none()
    }
}
