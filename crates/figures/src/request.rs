//! Requests to close a connection, from whichever child was asked to the child that has it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::board::{Alive, Board, Process, slot};
use crate::bytes;
use crate::entry::{State, field as entry};
use crate::form::cut;
use crate::snapshot::unix_ms;

/// The words of a request.
pub(crate) const REQUEST: usize = 32;

/// The words of a request.
pub(crate) mod field {
    pub const STATE: usize = 0;
    /// Who has the connection; [`EVERYONE`](super::EVERYONE) for a request for many.
    pub const OWNER: usize = 1;
    /// The connection's number, or the request's ticket.
    pub const ID: usize = 2;
    pub const CODE: usize = 3;
    pub const REASON_LENGTH: usize = 4;
    /// Not 0: the connections are drained.
    pub const DRAINS: usize = 5;
    /// Sixteen words.
    pub const REASON: usize = 8;
}

/// What a close frame has room for (RFC 6455 §5.5.1).
const MOST_REASON: usize = 123;
/// A request that nobody has taken for so long, in milliseconds, is nobody's any more: its child has died, or the
/// child that was writing it has.
const FORGOTTEN: u64 = 10_000;

// A request's state has its kind in the low two bits, and when it was posted in the others.
const FREE: u64 = 0;
const WRITING: u64 = 1;
const READY: u64 = 2;

/// No process: a request for the marked connections of all. It stays until it is forgotten.
pub(crate) const EVERYONE: u64 = u64::MAX;

/// That a connection is to be closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseRequest {
    /// The connection's number.
    pub id: u64,
    /// The close code.
    pub code: u16,
    /// The close reason.
    pub reason: String,
}

/// What an operator wants of connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// That they are closed, with this.
    Close {
        /// The close code.
        code: u16,
        /// The close reason.
        reason: String,
    },
    /// That they are closed as if their child ended: with 1001, one after the other.
    Drain,
}

/// What a child is to do with connections of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Their numbers, and how long each may stay.
    pub connections: Vec<(u64, Duration)>,
    /// What is to be done with them.
    pub wish: Wish,
}

/// What became of a request.
#[derive(Debug)]
pub enum Posted<'m> {
    /// It waits for the child that has the connection, which looks when this word, its bell, changes: wake whoever
    /// waits there.
    Waits(&'m AtomicU64),
    /// There is no such connection.
    NoSuchConnection,
    /// Too many requests wait.
    Full,
}

impl<'m> Board<'m> {
    /// Asks the child that has a connection to close it.
    pub fn post(self, request: &CloseRequest, alive: Alive<'_>) -> Posted<'m> {
        let Some((index, owner)) = self.holder(request.id, alive) else {
            return Posted::NoSuchConnection;
        };
        let Some(form) = self.free_request() else {
            return Posted::Full;
        };
        let wish = Wish::Close {
            code: request.code,
            reason: request.reason.clone(),
        };
        form.fill(owner, request.id, &wish);
        let bell = &self.slot(index).header[slot::BELL];
        bell.fetch_add(1, Ordering::Release);
        Posted::Waits(bell)
    }

    /// Room for a request.
    pub(crate) fn free_request(self) -> Option<EmptyRequest<'m>> {
        let now = unix_ms() << 2;
        let words = self.requests.iter().find(|words| {
            let state = words[field::STATE].load(Ordering::Relaxed);
            let is_free = state == FREE || now.saturating_sub(state) >> 2 > FORGOTTEN;
            is_free
                && words[field::STATE]
                    .compare_exchange(state, now | WRITING, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })?;
        Some(EmptyRequest { words, now })
    }

    /// The requests for many that wait and that nobody has told this process of yet, by their tickets; `told` are those that
    /// it knows.
    pub(crate) fn requests_for_many(self, told: &mut Vec<u32>) -> Vec<(u32, Wish)> {
        let waiting = self.requests.iter().filter(|words| {
            words[field::STATE].load(Ordering::Acquire) & 3 == READY
                && words[field::OWNER].load(Ordering::Relaxed) == EVERYONE
        });
        let waiting = waiting.map(|words| (words[field::ID].load(Ordering::Relaxed) as u32, words));
        let waiting: Vec<_> = waiting.collect();
        told.retain(|ticket| waiting.iter().any(|(of, _)| of == ticket));
        let new = waiting
            .into_iter()
            .filter(|(ticket, _)| !told.contains(ticket));
        let new: Vec<_> = new.map(|(ticket, words)| (ticket, wish(words))).collect();
        told.extend(new.iter().map(|(ticket, _)| ticket));
        new
    }

    /// Takes the requests for single connections of one process.
    pub(crate) fn take_requests(self, owner: u64) -> Vec<Order> {
        let is_ready = |state: u64| state & 3 == READY;
        let mut taken = Vec::new();
        for words in self.requests {
            let state = words[field::STATE].load(Ordering::Acquire);
            if !is_ready(state) || words[field::OWNER].load(Ordering::Relaxed) != owner {
                continue;
            }
            // From now on, so that it is not forgotten while it is being read.
            let writing = unix_ms() << 2 | WRITING;
            if words[field::STATE]
                .compare_exchange(state, writing, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            taken.push(Order {
                connections: vec![(words[field::ID].load(Ordering::Relaxed), Duration::ZERO)],
                wish: wish(words),
            });
            words[field::STATE].store(FREE, Ordering::Release);
        }
        taken
    }

    /// The slot of the living child that has an open connection, and who it is.
    fn holder(self, id: u64, alive: Alive<'_>) -> Option<(usize, u64)> {
        self.taken().find(|&(index, owner)| {
            let has_it = self.slot(index).used_entries().iter().any(|words| {
                let state = words[entry::STATE].load(Ordering::Acquire);
                words[entry::ID].load(Ordering::Relaxed) == id
                    && words[entry::OWNER].load(Ordering::Relaxed) == owner
                    && matches!(State::unpack(state), Some(State::Open | State::Closing))
            });
            id != 0 && has_it && Process::unpack(owner).is_some_and(alive)
        })
    }
}

/// A request that is being written.
pub(crate) struct EmptyRequest<'m> {
    words: &'m [AtomicU64; REQUEST],
    now: u64,
}

impl EmptyRequest<'_> {
    /// Writes it. From here on it can be taken.
    pub fn fill(self, owner: u64, id: u64, wish: &Wish) {
        let words = self.words;
        let (code, reason, drains) = match wish {
            Wish::Close { code, reason } => (*code, cut(reason, MOST_REASON), 0),
            Wish::Drain => (0, "", 1),
        };
        words[field::OWNER].store(owner, Ordering::Relaxed);
        words[field::ID].store(id, Ordering::Relaxed);
        words[field::CODE].store(code.into(), Ordering::Relaxed);
        words[field::DRAINS].store(drains, Ordering::Relaxed);
        words[field::REASON_LENGTH].store(reason.len() as u64, Ordering::Relaxed);
        bytes::write(&words[field::REASON..], reason.as_bytes());
        words[field::STATE].store(self.now | READY, Ordering::Release);
    }

    /// Gives it back unwritten.
    pub fn give_back(self) {
        self.words[field::STATE].store(FREE, Ordering::Release);
    }
}

/// What a request says is to be done.
fn wish(words: &[AtomicU64; REQUEST]) -> Wish {
    let word = |index: usize| words[index].load(Ordering::Relaxed);
    if word(field::DRAINS) != 0 {
        return Wish::Drain;
    }
    let length = (word(field::REASON_LENGTH) as usize).min(MOST_REASON);
    Wish::Close {
        code: word(field::CODE) as u16,
        reason: bytes::text(&bytes::read(&words[field::REASON..]), 0, length),
    }
}
