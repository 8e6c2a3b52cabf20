//! What is to be said about a log.

use crate::count::Counted;
use crate::error::LockError;
use crate::log::Log;
use crate::memory::{get, header, seat};
use crate::name::RecordId;
use crate::table::{Entry, Owner, Seats, Topics};
use crate::writing::Locked;

/// A log's figures, each as it was at some moment of the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Figures {
    /// The latest record's id: how many there have been.
    pub latest: RecordId,
    /// How many of them were notices of members that join and leave.
    pub notices: u64,
    /// How many bytes of messages are still there, and for how many there is room.
    pub used: u64,
    /// See `used`.
    pub room: u64,
    /// How many of them are of retained messages.
    pub retained: u64,
    /// How many topics are in the table, and for how many there is room.
    pub topics: usize,
    /// See `topics`.
    pub most_topics: usize,
    /// How many topics have been evicted for others.
    pub evictions: u64,
    /// How often a writer has found what another one, that was killed, had left.
    pub recovered: u64,
    /// What all children have counted, those that are gone included.
    pub counted: Counted,
    /// Those who have a seat.
    pub children: Vec<ChildFigures>,
}

/// One child's figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildFigures {
    /// Its seat's number.
    pub seat: usize,
    /// Who it is.
    pub owner: Owner,
    /// How many bytes its reader is behind.
    pub lag: u64,
}

/// One topic's figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicFigures {
    /// Its name.
    pub name: String,
    /// How many messages have been published to it since it is in the table.
    pub published: u64,
    /// The latest one that was not volatile, be it forgotten or overwritten by now.
    pub last: RecordId,
    /// How many subscribers it has, of all children.
    pub subscribers: u64,
    /// Whether it has a retained message.
    pub is_retained: bool,
    /// What all children have counted of it since it is in the table.
    pub counted: Counted,
}

/// How many topics are read before publishers have their turn.
const AT_ONCE: usize = 64;

impl Log<'_> {
    /// The log's figures. Takes no lock.
    pub fn figures(&self) -> Figures {
        let word = |index: usize| get(&self.parts.header[index]);
        let (tail, commit) = (word(header::TAIL), word(header::COMMIT));
        let cursor = |index: usize| get(&self.parts.seats[index][seat::CURSOR]);
        let child = |(seat, owner)| ChildFigures {
            seat,
            owner,
            lag: commit.saturating_sub(cursor(seat)).saturating_mul(8),
        };
        let high = Seats(self.parts).high();
        let counted = Counted::read(|what| {
            let seats = self.parts.seats[..high].iter();
            seats
                .map(|words| get(&words[seat::COUNTS + what as usize]))
                .fold(0, u64::wrapping_add)
        });
        Figures {
            counted,
            latest: self.latest(),
            notices: word(header::NOTICES),
            used: commit.saturating_sub(tail).saturating_mul(8),
            room: self.parts.ring.len() * 8,
            retained: word(header::RETAINED).saturating_mul(8),
            topics: Topics(self.parts).live().count(),
            most_topics: self.layout().topics,
            evictions: word(header::EVICTIONS),
            recovered: word(header::RECOVERED),
            children: Seats(self.parts).owners().map(child).collect(),
        }
    }

    /// All topics of the table, some at a time: what is published or evicted meanwhile may be in it or not.
    pub fn topics(&self) -> Result<Vec<TopicFigures>, LockError> {
        let mut all = Vec::new();
        for start in (0..Topics(self.parts).high()).step_by(AT_ONCE) {
            let locked = Locked::new(self.parts)?;
            let slots = start..(start + AT_ONCE).min(locked.topics().high());
            all.extend(slots.filter_map(|slot| of_topic(&locked, slot as u32)));
        }
        Ok(all)
    }

    /// So many topics, those to which most was published, and which that is, first. Without a look at the names of the others.
    pub fn busiest(&self, count: usize) -> Result<Vec<TopicFigures>, LockError> {
        let live = Topics(self.parts).live();
        let mut all: Vec<(u64, u32)> = live
            .map(|(slot, entry)| (entry.published(), slot))
            .collect();
        let most_first = |one: &(u64, u32), other: &(u64, u32)| other.0.cmp(&one.0);
        if count < all.len() {
            all.select_nth_unstable_by(count, most_first);
            all.truncate(count);
        }
        let mut listed = Vec::with_capacity(all.len());
        for some in all.chunks(AT_ONCE) {
            let locked = Locked::new(self.parts)?;
            listed.extend(some.iter().filter_map(|&(_, slot)| of_topic(&locked, slot)));
        }
        listed.sort_by(|one, other| {
            let most = other.published.cmp(&one.published);
            most.then_with(|| one.name.cmp(&other.name))
        });
        Ok(listed)
    }
}

fn of_topic(locked: &Locked<'_>, slot: u32) -> Option<TopicFigures> {
    let entry: Entry<'_> = locked.topics().entry(slot)?;
    if !entry.is_live() {
        return None;
    }
    Some(TopicFigures {
        name: entry.text()?,
        published: entry.published(),
        last: RecordId(entry.last().id),
        subscribers: locked.seats().subscribers(slot),
        is_retained: entry.retained().is_some(),
        counted: entry.counted(),
    })
}
