//! An entry, read while its connection writes on it, and whether it is one of those that are meant.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crate::board::{Board, Slot};
use crate::client::Address;
use crate::entry::{COUNTERS, EntryWords, State, field};
use crate::filter::Filter;
use crate::layout::LOCATIONS;
use crate::snapshot::Connection;
use crate::texts::{self, TextWords};

/// An entry that stayed the same connection's while it was read.
pub(crate) struct Seen<'m> {
    pub words: &'m EntryWords,
    texts: &'m TextWords,
    pub id: u64,
    pub owner: u64,
    pub location: usize,
    pub state: Option<State>,
    address: Address,
    since: u64,
    pub counters: [u64; COUNTERS.len()],
    pub queued: u64,
    round_trip: u64,
}

impl<'m> Slot<'m> {
    /// The connections that have an entry, each as it was at one moment.
    pub fn seen(&self) -> impl Iterator<Item = Seen<'m>> {
        let used = self.used_entries().len();
        let entries = self.entries[..used].iter().zip(self.texts);
        entries.filter_map(|(words, texts)| Seen::of(words, texts))
    }
}

impl<'m> Seen<'m> {
    fn of(words: &'m EntryWords, texts: &'m TextWords) -> Option<Self> {
        let id = words[field::ID].load(Ordering::Acquire);
        let word = |field: usize| words[field].load(Ordering::Relaxed);
        let seen = Seen {
            words,
            texts,
            id,
            owner: word(field::OWNER),
            location: word(field::LOCATION) as usize,
            // Behind it, the texts of one that is open are there.
            state: State::unpack(words[field::STATE].load(Ordering::Acquire)),
            address: Address(word(field::ADDRESS[0]), word(field::ADDRESS[1])),
            since: word(field::SINCE),
            counters: COUNTERS.map(|(from, _)| word(from)),
            queued: word(field::QUEUED),
            round_trip: word(field::ROUND_TRIP),
        };
        fence(Ordering::Acquire);
        (id != 0 && word(field::ID) == id).then_some(seen)
    }

    /// Whether it is a WebSocket that has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self.state, Some(State::Open | State::Closing))
    }

    /// What it is called; `None` when the entry is another connection's by now.
    fn texts(&self) -> Option<texts::Read> {
        let read = texts::read(self.texts);
        fence(Ordering::Acquire);
        (self.words[field::ID].load(Ordering::Relaxed) == self.id).then_some(read)
    }

    /// All that there is to say of it; `None` when the entry is another connection's by now.
    pub fn connection(&self, state: State, pid: u32, location: &str) -> Option<Connection> {
        let [messages_in, messages_out, bytes_in, bytes_out] = self.counters;
        let about = match self.is_open() {
            true => Some(self.texts()?.about),
            false => None,
        };
        Some(Connection {
            id: self.id,
            pid,
            location: location.to_owned(),
            client: self.address.ip(),
            about,
            state,
            since: Duration::from_millis(self.since),
            messages_in,
            messages_out,
            bytes_in,
            bytes_out,
            queued: self.queued,
            round_trip: (self.round_trip != 0).then(|| Duration::from_nanos(self.round_trip)),
        })
    }
}

/// A filter, in the board's terms.
pub(crate) struct Sieve<'f> {
    filter: &'f Filter,
    /// The Locations of the filter's name: there may be two, see `locations` in `read.rs`.
    locations: Option<Vec<usize>>,
}

impl<'f> Sieve<'f> {
    pub fn new(filter: &'f Filter, board: Board<'_>) -> Self {
        let locations = filter.location.as_ref().map(|wanted| {
            let all = 0..LOCATIONS;
            let is_it = |&location: &usize| {
                board
                    .label(location)
                    .is_some_and(|(name, _)| name == *wanted)
            };
            all.filter(is_it).collect()
        });
        Sieve { filter, locations }
    }

    /// Whether a connection, of the child with this process id, is meant.
    pub fn lets_through(&self, seen: &Seen<'_>, pid: u32) -> bool {
        let Filter {
            user,
            client,
            child,
            ..
        } = self.filter;
        child.is_none_or(|child| child == pid)
            && client.is_none_or(|client| Some(client) == seen.address.ip())
            && self
                .locations
                .as_ref()
                .is_none_or(|of| of.contains(&seen.location))
            && user.as_ref().is_none_or(|user| {
                seen.is_open() && seen.texts().is_some_and(|texts| texts.is_of(user))
            })
    }
}
