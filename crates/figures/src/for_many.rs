//! What an operator wants of many connections at once: of those that a filter means, in whichever children they are.
//!
//! Whoever asks counts them, and when they are as many as the operator expects, marks each of them in its entry: with its
//! number, so that the mark is nobody else's when the entry is, and with the request's ticket. Then one request for all
//! children is posted, and each looks for marks among its own. So exactly those that were counted are meant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::board::{Alive, Board, Process, slot};
use crate::entry::field;
use crate::filter::Filter;
use crate::request::{EVERYONE, Wish};
use crate::seen::Sieve;

/// What became of a request for many.
#[derive(Debug)]
pub enum PostedForMany<'m> {
    /// It waits for the children that have the connections: wake whoever waits at these bells.
    Waits(Vec<&'m AtomicU64>),
    /// It is not so many that are meant, but this number, or nobody is; nothing is done.
    OtherNumber(u64),
    /// Too many requests wait.
    Full,
}

impl<'m> Board<'m> {
    /// Asks the children that have the WebSockets that `filter` means, of which there have to be `expected`, for what is
    /// wished. They are to be done with evenly over the time `over`.
    pub fn post_for_many(
        self,
        filter: &Filter,
        expected: u64,
        wish: &Wish,
        over: Duration,
        alive: Alive<'_>,
    ) -> PostedForMany<'m> {
        // First, so that nobody is marked for nothing.
        let Some(request) = self.free_request() else {
            return PostedForMany::Full;
        };
        let sieve = Sieve::new(filter, self);
        let mut meant = Vec::new();
        let mut bells = Vec::new();
        for (index, owner) in self.taken() {
            let Some(process) = Process::unpack(owner).filter(|&process| alive(process)) else {
                continue;
            };
            let slot = self.slot(index);
            let before = meant.len();
            meant.extend(slot.seen().filter(|seen| {
                seen.owner == owner && seen.is_open() && sieve.lets_through(seen, process.pid)
            }));
            if meant.len() > before {
                bells.push(&slot.header[slot::BELL]);
            }
        }
        let count = meant.len() as u64;
        if count != expected || count == 0 {
            request.give_back();
            return PostedForMany::OtherNumber(count);
        }
        // The oldest go first.
        meant.sort_unstable_by_key(|seen| seen.id);
        let ticket = self.next_ticket();
        for (index, seen) in (0..).zip(&meant) {
            let delay = over.as_millis() as u64 * index / count;
            let delay = delay.min(u64::from(u32::MAX));
            seen.words[field::TICKET].store(delay << 32 | u64::from(ticket), Ordering::Relaxed);
            seen.words[field::MARKED].store(seen.id, Ordering::Release);
        }
        request.fill(EVERYONE, ticket.into(), wish);
        for bell in &bells {
            bell.fetch_add(1, Ordering::Release);
        }
        PostedForMany::Waits(bells)
    }
}
