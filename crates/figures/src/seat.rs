//! A child's place on the board.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::board::{Alive, Board, Death, Process, Slot, owner, replace, slot, write_build};
use crate::calls::{Caller, Calls};
use crate::client::Address;
use crate::entry::{self, Entry, Listed, field as entry_field};
use crate::label::Location;
use crate::layout::LOCATIONS;
use crate::request::Order;
use crate::snapshot::unix_ms;
use crate::tally::{self, RefusedFor, TallyWords};

/// A child's place on the board. It stays the child's until its process is gone; nothing has to be given back.
pub struct Seat<'m> {
    board: Board<'m>,
    slot: Slot<'m>,
    index: usize,
    owner: u64,
    free: Mutex<FreeEntries>,
    /// The tickets of the requests for many that wait and have been looked at.
    tickets: Mutex<Vec<u32>>,
}

/// The entries that are free: those that have been used before, and all from `high` on.
#[derive(Default)]
struct FreeEntries {
    used: Vec<u32>,
    high: u32,
}

/// What a child takes; 0: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Connections, those for pages included, as far as it is known.
    pub connections: u64,
    /// WebSockets.
    pub websockets: u64,
    /// Bytes of unfinished messages.
    pub message_memory: u64,
}

/// How many threads a child has for its WebSockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Threads {
    /// Those that have something to do.
    pub busy: u64,
    /// Those that wait.
    pub idle: u64,
}

impl<'m> Seat<'m> {
    /// Takes a slot that nobody has, or one whose child is gone; what that has counted is kept for its Locations.
    /// `None` when every slot has a living child. Says what has been lost with the child that was there before, if nobody
    /// knows of its death yet.
    pub fn claim(
        board: Board<'m>,
        process: Process,
        generation: u64,
        alive: Alive<'_>,
    ) -> Option<(Arc<Self>, Option<Death>)> {
        let owner = process.pack();
        let take = |index: usize, before: u64| {
            replace(&board.owners[index], before, owner).then_some((index, before))
        };
        let slots = board.layout().slots;
        let never_used = (0..slots)
            .filter(|&index| board.owners[index].load(Ordering::Relaxed) == 0)
            .find_map(|index| take(index, 0));
        // Not all of them from the first one: to ask whether a process lives takes time, and most slots are dead.
        let start = process.pid as usize % slots;
        let find = |wants_cleaned: bool| {
            let (front, back) = (0..start, start..slots);
            back.chain(front).find_map(|index| {
                let before = board.owners[index].load(Ordering::Acquire);
                let process = Process::unpack(before & !owner::FLAGS);
                let is_free = match before & (owner::BEING_CLEANED | owner::CLEANED) {
                    0 => !wants_cleaned && process.is_none_or(|process| !alive(process)),
                    flags => flags == owner::CLEANED,
                };
                is_free.then(|| take(index, before)).flatten()
            })
        };
        // Rather not one of whose end the parent, who has to log it, has not heard yet.
        let (index, before) = never_used.or_else(|| find(true)).or_else(|| find(false))?;
        let seat = Seat {
            board,
            slot: board.slot(index),
            index,
            owner,
            free: Mutex::default(),
            tickets: Mutex::default(),
        };
        let death = match before & owner::CLEANED {
            0 => board.clean_up(index, before),
            _ => None,
        };
        seat.retire_predecessor();
        let header = seat.slot.header;
        header[slot::THREADS_BUSY].store(0, Ordering::Relaxed);
        header[slot::THREADS_IDLE].store(0, Ordering::Relaxed);
        header[slot::STOPPING].store(0, Ordering::Relaxed);
        header[slot::GENERATION].store(generation, Ordering::Relaxed);
        seat.set_limits(Limits::default(), "");
        header[slot::SINCE].store(unix_ms(), Ordering::Release);
        Some((Arc::new(seat), death))
    }

    /// Adds what the slot's last child has left to what has been retired.
    fn retire_predecessor(&self) {
        for words in self.slot.used_entries() {
            let location = words[entry_field::LOCATION].load(Ordering::Relaxed) as usize;
            entry::free(words, &self.board.retired[location % LOCATIONS]);
        }
        self.slot.header[slot::HIGH].store(0, Ordering::Release);
        for location in (0..LOCATIONS).filter(|&location| self.slot.is_used(location)) {
            tally::move_to(&self.slot.tallies[location], &self.board.retired[location]);
        }
        for word in &self.slot.header[slot::USED..slot::LIMITS] {
            word.store(0, Ordering::Release);
        }
    }

    /// Opens an entry for a connection whose handshake has begun.
    pub fn open(self: &Arc<Self>, location: Location, client: Option<IpAddr>) -> Entry<'m> {
        let listed = self.take_entry();
        Entry::new(
            Arc::clone(self),
            listed,
            location,
            Address::new(client),
            unix_ms(),
        )
    }

    /// A handshake has been refused that has no entry.
    pub fn refused(&self, location: Location, reason: RefusedFor) {
        tally::refused(self.tally(location), reason);
    }

    /// What the child takes, and which build of the module it has.
    pub fn set_limits(&self, limits: Limits, build: &str) {
        let Limits {
            connections,
            websockets,
            message_memory,
        } = limits;
        let words = &self.slot.header[slot::LIMITS..];
        for (word, limit) in words.iter().zip([connections, websockets, message_memory]) {
            word.store(limit, Ordering::Relaxed);
        }
        self.slot.header[slot::MESSAGE_MEMORY].store(0, Ordering::Relaxed);
        write_build(&self.slot.header[slot::BUILD..], build);
    }

    /// How many bytes the child's unfinished messages have.
    pub fn set_message_memory(&self, bytes: u64) {
        self.slot.header[slot::MESSAGE_MEMORY].store(bytes, Ordering::Relaxed);
    }

    /// What the child's threads are doing.
    pub fn set_threads(&self, threads: Threads) {
        self.slot.header[slot::THREADS_BUSY].store(threads.busy, Ordering::Relaxed);
        self.slot.header[slot::THREADS_IDLE].store(threads.idle, Ordering::Relaxed);
    }

    /// The child has been told to end, and does: whatever is lost with it from here on is no accident.
    pub fn leave(&self) {
        self.board.owners[self.index].fetch_or(owner::LEFT, Ordering::AcqRel);
    }

    /// What the child itself calls of a plugin.
    pub fn caller(&self, plugin: &str) -> Caller {
        Caller::new(self.board.plugin(plugin), 0)
    }

    /// What the child's threads are calling.
    pub fn calls(&self) -> Calls<'m> {
        self.slot.calls
    }

    /// The child is to end.
    pub fn set_stopping(&self) {
        self.slot.header[slot::STOPPING].store(1, Ordering::Relaxed);
    }

    /// The word that changes when there may be requests for this child.
    pub fn bell(&self) -> &'m AtomicU64 {
        &self.slot.header[slot::BELL]
    }

    /// What an operator wants of the child's connections, each order said once.
    pub fn take_orders(&self) -> Vec<Order> {
        let mut told = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut orders = self.board.take_requests(self.owner);
        for (ticket, wish) in self.board.requests_for_many(&mut told) {
            let connections = self.marked(ticket);
            if !connections.is_empty() {
                orders.push(Order { connections, wish });
            }
        }
        orders
    }

    /// The child's connections that a request for many has marked, with how long each may stay.
    fn marked(&self, ticket: u32) -> Vec<(u64, Duration)> {
        let marked = self.slot.used_entries().iter().filter_map(|words| {
            let word = |field: usize| words[field].load(Ordering::Relaxed);
            let marked = words[entry_field::MARKED].load(Ordering::Acquire);
            let is_meant = marked != 0
                && marked == word(entry_field::ID)
                && word(entry_field::OWNER) == self.owner
                && word(entry_field::TICKET) as u32 == ticket;
            is_meant.then(|| {
                (
                    marked,
                    Duration::from_millis(word(entry_field::TICKET) >> 32),
                )
            })
        });
        marked.collect()
    }

    /// The board on which it is.
    pub fn board(&self) -> Board<'m> {
        self.board
    }

    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    pub(crate) fn tally(&self, location: Location) -> &'m TallyWords {
        let location = usize::from(location.0);
        self.slot.set_used(location);
        &self.slot.tallies[location]
    }

    fn take_entry(&self) -> Option<Listed<'m>> {
        let mut free = self.free();
        let index = free.used.pop().or_else(|| {
            let index = free.high;
            ((index as usize) < self.slot.entries.len()).then(|| {
                free.high += 1;
                self.slot.header[slot::HIGH].store(free.high.into(), Ordering::Release);
                index
            })
        })?;
        Some(Listed {
            words: &self.slot.entries[index as usize],
            texts: &self.slot.texts[index as usize],
            index,
        })
    }

    pub(crate) fn give_back(&self, index: u32) {
        self.free().used.push(index);
    }

    fn free(&self) -> MutexGuard<'_, FreeEntries> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
