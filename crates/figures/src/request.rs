//! Requests to close a connection, from whichever child was asked to the child that has it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::board::{Alive, Board, Process, slot};
use crate::entry::{State, field as entry};
use crate::label::cut;
use crate::snapshot::unix_ms;

/// The words of a request.
pub(crate) const REQUEST: usize = 32;

/// The words of a request.
mod field {
    pub const STATE: usize = 0;
    /// Who has the connection.
    pub const OWNER: usize = 1;
    pub const ID: usize = 2;
    pub const CODE: usize = 3;
    pub const REASON_LENGTH: usize = 4;
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
        let now = unix_ms() << 2;
        let Some(words) = self.requests.iter().find(|words| {
            let state = words[field::STATE].load(Ordering::Relaxed);
            let is_free = state == FREE || now.saturating_sub(state) >> 2 > FORGOTTEN;
            is_free
                && words[field::STATE]
                    .compare_exchange(state, now | WRITING, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        }) else {
            return Posted::Full;
        };
        let reason = cut(&request.reason, MOST_REASON);
        words[field::OWNER].store(owner, Ordering::Relaxed);
        words[field::ID].store(request.id, Ordering::Relaxed);
        words[field::CODE].store(request.code.into(), Ordering::Relaxed);
        words[field::REASON_LENGTH].store(reason.len() as u64, Ordering::Relaxed);
        for (word, bytes) in words[field::REASON..]
            .iter()
            .zip(reason.as_bytes().chunks(8))
        {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        words[field::STATE].store(now | READY, Ordering::Release);
        let bell = &self.slot(index).header[slot::BELL];
        bell.fetch_add(1, Ordering::Release);
        Posted::Waits(bell)
    }

    /// Takes the requests for connections of one process.
    pub(crate) fn take_requests(self, owner: u64) -> Vec<CloseRequest> {
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
            let word = |index: usize| words[index].load(Ordering::Relaxed);
            let bytes: Vec<u8> = (field::REASON..REQUEST)
                .flat_map(|index| word(index).to_le_bytes())
                .collect();
            let length = (word(field::REASON_LENGTH) as usize).min(MOST_REASON);
            taken.push(CloseRequest {
                id: word(field::ID),
                code: word(field::CODE) as u16,
                reason: String::from_utf8_lossy(&bytes[..length]).into_owned(),
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
