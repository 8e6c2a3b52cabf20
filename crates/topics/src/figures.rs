//! What is to be said about a log.

use crate::error::LockError;
use crate::log::Log;
use crate::memory::{get, header, seat};
use crate::name::RecordId;
use crate::seat::Count;
use crate::table::{Owner, Seats, Topics};
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
    /// What all children have counted ([`Count`]), those that are gone included: messages that were handed to
    /// subscribers,
    pub delivered: u64,
    /// messages that slow subscribers have not got,
    pub dropped: u64,
    /// times that a subscriber has missed something,
    pub gaps: u64,
    /// subscribers that came back and got what they had missed.
    pub resumed: u64,
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
}

/// How many topics are listed before publishers have their turn.
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
        let counted = |what: Count| {
            let seats = self.parts.seats[..high].iter();
            seats
                .map(|words| get(&words[seat::COUNTS + what as usize]))
                .fold(0, u64::wrapping_add)
        };
        Figures {
            delivered: counted(Count::Delivered),
            dropped: counted(Count::Dropped),
            gaps: counted(Count::Gaps),
            resumed: counted(Count::Resumed),
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
            all.extend(slots.filter_map(|slot| {
                let slot = slot as u32;
                let entry = locked
                    .topics()
                    .entry(slot)
                    .filter(|entry| entry.is_live())?;
                Some(TopicFigures {
                    name: entry.text()?,
                    published: entry.published(),
                    last: RecordId(entry.last().id),
                    subscribers: locked.seats().subscribers(slot),
                    is_retained: entry.retained().is_some(),
                })
            }));
        }
        Ok(all)
    }
}
