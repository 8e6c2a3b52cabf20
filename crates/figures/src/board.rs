//! The board: the shared words, by their parts.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::allowances::{Allowance, Allowances, BUCKET, BUCKETS, Bucket};
use crate::bytes;
use crate::calls::{CALL, Call, CallWords, Calls};
use crate::client::{Address, Client};
use crate::clients::{Clients, WINDOW, Window};
use crate::entry::{self, EntryWords};
use crate::label::{LABEL, Label, Location};
use crate::layout::{ENTRY, HEADER, LOCATIONS, Layout, PLUGINS, REQUESTS, Words, take};
use crate::rates::{ALL_ROWS, ROW, Rates, Row};
use crate::request::REQUEST;
use crate::snapshot::{unix_ms, unix_time};
use crate::tally::{self, TALLY, TallyWords};
use crate::texts::{TEXTS, TextWords};

/// What the first word says of memory that holds a board of this form. The last digit changes with the form.
const FORM: u64 = 0x6669_6775_7265_7307;

/// A process: what names it as long as it lives, and no other one afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id, which is not 0.
    pub pid: u32,
    /// When it has started, in whatever unit; 0 when nobody knows.
    pub started: u32,
}

/// What is known of a process that has ended without giving its seat back.
#[derive(Debug)]
pub struct Death {
    /// Its id.
    pub pid: u32,
    /// How many WebSockets ended with it.
    pub lost: u64,
    /// What its threads were calling: one of them is who did it, unless somebody else did.
    pub calls: Vec<Call<u8>>,
}

/// Says whether a process still lives.
pub type Alive<'a> = &'a dyn Fn(Process) -> bool;

impl Process {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.started) << 32 | u64::from(self.pid)
    }

    /// `None` for a slot that nobody has ever had.
    pub(crate) fn unpack(word: u64) -> Option<Process> {
        (word != 0).then_some(Process {
            pid: word as u32,
            started: (word >> 32) as u32,
        })
    }
}

/// What an owner's word says beside who it is. No process has an id so large.
pub(crate) mod owner {
    /// The process has ended, and another process is taking back what it has counted of its clients.
    pub const BEING_CLEANED: u64 = 1 << 30;
    /// That has been done.
    pub const CLEANED: u64 = 1 << 31;
    /// The process has given its seat back itself, because it was told to end.
    pub const LEFT: u64 = 1 << 29;
    pub const FLAGS: u64 = BEING_CLEANED | CLEANED | LEFT;
}

/// Puts one word in another's place, if it is still there.
pub(crate) fn replace(word: &AtomicU64, before: u64, after: u64) -> bool {
    word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// The board. A copy is as good as the original.
#[derive(Clone, Copy)]
pub struct Board<'m> {
    header: &'m [AtomicU64; HEADER],
    /// The processes that have the slots; apart from them, so that looking for one touches no other memory.
    pub(crate) owners: &'m Words,
    /// How many connections each client has.
    windows: &'m [Window],
    /// What the clients that do most have done in the last minutes.
    rows: &'m [Row],
    /// How often each client may still do something.
    buckets: &'m [Bucket],
    pub(crate) requests: &'m [[AtomicU64; REQUEST]],
    pub(crate) labels: &'m [Label],
    pub(crate) plugins: &'m [Label],
    /// What readers have seen, for each Location.
    pub(crate) marks: &'m [TallyWords],
    /// What children that are gone have counted, for each Location.
    pub(crate) retired: &'m [TallyWords],
    slots: &'m Words,
    layout: Layout,
}

/// Words of the board's header.
mod field {
    pub const FORM: usize = 0;
    pub const LAYOUT: usize = 1;
    /// When the board was made, in milliseconds of Unix time.
    pub const MADE: usize = 2;
    /// The latest connection's number.
    pub const LATEST: usize = 3;
    /// Keeps clients from choosing where they are counted.
    pub const SEED: usize = 4;
    /// Children that have died.
    pub const DIED: usize = 5;
    /// The latest request for many.
    pub const TICKET: usize = 6;
    /// The module that the parent has loaded last; four words.
    pub const BUILD: usize = 8;
}

/// A child's part of the board.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'m> {
    pub header: &'m [AtomicU64; HEADER],
    pub tallies: &'m [TallyWords],
    pub calls: Calls<'m>,
    pub entries: &'m [EntryWords],
    /// What each entry's WebSocket is called: apart from the entries, which are written for each message.
    pub texts: &'m [TextWords],
}

impl<'m> Board<'m> {
    /// Makes a board of words that are all zero, [`Layout::words`] of them or more; `None` when there are fewer. Who
    /// does not know `seed` cannot choose clients whose connections take long to count.
    pub fn new(words: &'m [AtomicU64], layout: Layout, seed: u64) -> Option<Self> {
        let board = Self::cut(words, layout)?;
        board.header[field::LAYOUT].store(layout.pack(), Ordering::Relaxed);
        board.header[field::MADE].store(unix_ms(), Ordering::Relaxed);
        board.header[field::SEED].store(seed, Ordering::Relaxed);
        board.header[field::FORM].store(FORM, Ordering::Release);
        Some(board)
    }

    /// The board that [`Board::new`] has made of these words; `None` when none of this form is there.
    pub fn find(words: &'m [AtomicU64]) -> Option<Self> {
        let header = words.first_chunk::<HEADER>()?;
        if header[field::FORM].load(Ordering::Acquire) != FORM {
            return None;
        }
        let layout = Layout::unpack(header[field::LAYOUT].load(Ordering::Relaxed));
        Self::cut(words, layout)
    }

    fn cut(mut words: &'m [AtomicU64], layout: Layout) -> Option<Self> {
        let words = &mut words;
        let [header] = take::<HEADER>(words, 1)? else {
            return None;
        };
        Some(Board {
            header,
            owners: take::<ENTRY>(words, layout.slots.div_ceil(ENTRY))?.as_flattened(),
            windows: take::<WINDOW>(words, layout.windows())?,
            rows: take::<ROW>(words, ALL_ROWS)?,
            buckets: take::<BUCKET>(words, BUCKETS)?,
            requests: take(words, REQUESTS)?,
            labels: take::<LABEL>(words, LOCATIONS)?,
            plugins: take::<LABEL>(words, PLUGINS)?,
            marks: take::<TALLY>(words, LOCATIONS)?,
            retired: take::<TALLY>(words, LOCATIONS)?,
            slots: take::<1>(words, layout.slots * layout.slot_words())?.as_flattened(),
            layout,
        })
    }

    /// How large it is.
    pub fn layout(self) -> Layout {
        self.layout
    }

    pub(crate) fn made(self) -> u64 {
        self.header[field::MADE].load(Ordering::Relaxed)
    }

    /// From here on children have this build of the module.
    pub fn set_build(self, build: &str) {
        write_build(&self.header[field::BUILD..], build);
    }

    /// The module that the parent has loaded last.
    pub(crate) fn build(self) -> String {
        read_build(&self.header[field::BUILD..])
    }

    /// How many connections each client has.
    pub(crate) fn clients(self) -> Clients<'m> {
        Clients::new(
            self.windows,
            self.header[field::SEED].load(Ordering::Relaxed),
        )
    }

    /// What the clients that do most have done in the last minutes.
    pub(crate) fn rates(self) -> Rates<'m> {
        Rates::new(self.rows, self.header[field::SEED].load(Ordering::Relaxed))
    }

    /// Uses `count` of what a client is allowed at a place, over all children: more than a burst passes when a burst does, and
    /// is owed afterwards. `place` is whatever number stands for what is counted together. `Err`: how long to
    /// wait for it; nothing is used.
    pub fn use_allowance(
        self,
        client: Option<IpAddr>,
        place: u64,
        allowance: Allowance,
        count: u32,
    ) -> Result<(), Duration> {
        let seed = self.header[field::SEED].load(Ordering::Relaxed);
        Allowances::new(self.buckets, seed).take(client, place, allowance, count, unix_time())
    }

    /// A process has ended: what its clients had with it no longer counts, and its WebSockets have ended with 1006. Its
    /// figures stay. Called by the parent, which is the first to know. Says what was lost, if it had not given its seat back.
    pub fn ended(self, pid: u32) -> Option<Death> {
        let mut death = None;
        for (index, owner) in self.owners.iter().take(self.layout.slots).enumerate() {
            let before = owner.load(Ordering::Acquire);
            let is_its = before & (owner::BEING_CLEANED | owner::CLEANED) == 0
                && Process::unpack(before & !owner::FLAGS)
                    .is_some_and(|process| process.pid == pid);
            // Nobody takes the slot meanwhile, and nobody else cleans up.
            if is_its && replace(owner, before, before | owner::BEING_CLEANED) {
                death = self.clean_up(index, before).or(death);
                owner.store(before | owner::CLEANED, Ordering::Release);
            }
        }
        death
    }

    /// Ends what the process that `owner` names had in a slot, and says what that was, if it has died. Whoever cleans up may
    /// die, too: then something may be missing from the figures, and nothing is counted twice.
    pub(crate) fn clean_up(self, index: usize, owner: u64) -> Option<Death> {
        let slot = self.slot(index);
        let calls = slot.calls.running().map(|seen| seen.call).collect();
        slot.calls.clear();
        slot.take_clients_back(self.clients());
        let lost = slot.lose(owner & !owner::FLAGS);
        let process = Process::unpack(owner & !owner::FLAGS)?;
        if owner & owner::LEFT != 0 {
            return None;
        }
        self.header[field::DIED].fetch_add(1, Ordering::Relaxed);
        Some(Death {
            pid: process.pid,
            lost,
            calls,
        })
    }

    /// How many children have died: those that have ended without giving their seat back.
    pub fn died(self) -> u64 {
        self.header[field::DIED].load(Ordering::Relaxed)
    }

    /// How many connections a client still counts for that ended with their process, because nobody has taken them back
    /// yet: the parent takes up to a second to notice. Asking takes some microseconds for each process with a slot.
    pub(crate) fn left_behind(self, client: Client, alive: Alive<'_>) -> u64 {
        let owners = self.owners.iter().take(self.layout.slots).enumerate();
        let slots = owners.map(|(index, owner)| (owner.load(Ordering::Acquire), self.slot(index)));
        slots
            .filter(|(owner, slot)| owner & owner::CLEANED == 0 && !slot.used_entries().is_empty())
            .filter(|(owner, _)| {
                Process::unpack(owner & !owner::FLAGS).is_some_and(|process| !alive(process))
            })
            .map(|(_, slot)| slot.count_of(client))
            .sum()
    }

    /// How many connections of a Location there are in the children that live.
    pub(crate) fn taken_in(self, location: Location, alive: Alive<'_>) -> u64 {
        let location = usize::from(location.0);
        let slots = self.taken().map(|(index, owner)| (owner, self.slot(index)));
        let used = slots.filter(|(_, slot)| slot.is_used(location));
        let counts = used.filter_map(|(owner, slot)| {
            let count = slot.tallies[location][tally::field::TAKEN].load(Ordering::SeqCst);
            (count > 0 && Process::unpack(owner).is_some_and(alive)).then_some(count)
        });
        counts.sum()
    }

    fn take_calls(self, words: &mut &'m Words) -> Option<&'m [CallWords]> {
        let padded = (self.layout.threads * CALL).next_multiple_of(ENTRY) / CALL;
        take::<CALL>(words, padded)?.get(..self.layout.threads)
    }

    /// The next connection's number. A thread that has a higher one sees what was written before this call.
    pub(crate) fn next_id(self) -> u64 {
        self.header[field::LATEST].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A number for a request for many, that no other has: at least 1.
    pub(crate) fn next_ticket(self) -> u32 {
        let made = self.header[field::TICKET].fetch_add(1, Ordering::Relaxed);
        (made % u64::from(u32::MAX)) as u32 + 1
    }

    pub(crate) fn slot(self, index: usize) -> Slot<'m> {
        let size = self.layout.slot_words();
        let mut words = &self.slots[index * size..][..size];
        let mut cut = || {
            Some(Slot {
                header: take::<HEADER>(&mut words, 1)?.first()?,
                tallies: take(&mut words, LOCATIONS)?,
                calls: Calls(self.take_calls(&mut words)?),
                entries: take(&mut words, self.layout.entries)?,
                texts: take::<TEXTS>(&mut words, self.layout.entries)?,
            })
        };
        cut().expect("a slot has the words of a slot")
    }

    /// The slots that a process has or had, each with the word that names it.
    pub(crate) fn taken(self) -> impl Iterator<Item = (usize, u64)> {
        let owners = self.owners.iter().take(self.layout.slots).enumerate();
        owners
            .map(|(index, owner)| (index, owner.load(Ordering::Acquire) & !owner::FLAGS))
            .filter(|&(_, owner)| owner != 0)
    }
}

/// Words of a slot's header.
pub(crate) mod slot {
    /// Entries from here on have never been used by this child.
    pub const HIGH: usize = 0;
    /// Changes when the child is to look at the requests.
    pub const BELL: usize = 1;
    pub const THREADS_BUSY: usize = 2;
    pub const THREADS_IDLE: usize = 3;
    pub const GENERATION: usize = 4;
    /// When the child has taken the slot, in milliseconds of Unix time.
    pub const SINCE: usize = 5;
    /// Not 0: the child is to end.
    pub const STOPPING: usize = 6;
    /// Which tallies have been used, one bit for each Location; four words.
    pub const USED: usize = 8;
    /// What the child takes: connections, then WebSockets, then bytes of unfinished messages; 0 for no limit.
    pub const LIMITS: usize = 12;
    /// Bytes that unfinished messages have.
    pub const MESSAGE_MEMORY: usize = 15;
    /// The module that it has; four words.
    pub const BUILD: usize = 16;
}

/// The words of a build's name.
const BUILD: usize = 4;

/// Writes the name of a build, as far as there is room.
pub(crate) fn write_build(words: &Words, build: &str) {
    let mut bytes = [0; 8 * BUILD];
    let build = crate::form::cut(build, bytes.len());
    bytes[..build.len()].copy_from_slice(build.as_bytes());
    bytes::write(words, &bytes);
}

pub(crate) fn read_build(words: &Words) -> String {
    let bytes = bytes::read(&words[..words.len().min(BUILD)]);
    let length = bytes.iter().position(|&byte| byte == 0);
    bytes::text(&bytes, 0, length.unwrap_or(bytes.len()))
}

impl Slot<'_> {
    /// Whether a Location's tally has been used; those that were not are left untouched, so that they take no memory.
    pub fn is_used(&self, location: usize) -> bool {
        self.header[slot::USED + location / 64].load(Ordering::Acquire) & (1 << (location % 64))
            != 0
    }

    pub fn set_used(&self, location: usize) {
        if !self.is_used(location) {
            self.header[slot::USED + location / 64]
                .fetch_or(1 << (location % 64), Ordering::Release);
        }
    }

    /// Takes back what the connections of a dead child count for their clients.
    pub fn take_clients_back(&self, clients: Clients<'_>) {
        for words in self.used_entries() {
            if words[entry::field::CLIENT].load(Ordering::Relaxed) != 0 {
                let [high, low] =
                    entry::field::ADDRESS.map(|field| words[field].load(Ordering::Relaxed));
                clients.leave(Address(high, low).client(), &words[entry::field::CLIENT]);
            }
        }
    }

    /// The WebSockets of the dead child that `owner` names have ended, without a Close frame. Says how many.
    pub fn lose(&self, owner: u64) -> u64 {
        let mut lost = 0;
        for words in self.used_entries() {
            if words[entry::field::OWNER].load(Ordering::Relaxed) == owner && entry::end(words) {
                let location = words[entry::field::LOCATION].load(Ordering::Relaxed) as usize;
                self.lose_in(location % LOCATIONS, 1);
                lost += 1;
            }
        }
        for location in (0..LOCATIONS).filter(|&location| self.is_used(location)) {
            let unlisted = self.tallies[location][tally::field::UNLISTED].swap(0, Ordering::AcqRel);
            self.lose_in(location, unlisted);
            lost += unlisted;
        }
        lost
    }

    fn lose_in(&self, location: usize, count: u64) {
        self.set_used(location);
        tally::closed(&self.tallies[location], entry::ABNORMAL_CLOSURE, count);
    }

    /// How many entries count for a client.
    fn count_of(&self, client: Client) -> u64 {
        let counted = self.used_entries().iter().filter(|words| {
            let [high, low] =
                entry::field::ADDRESS.map(|field| words[field].load(Ordering::Relaxed));
            words[entry::field::CLIENT].load(Ordering::Relaxed) != 0
                && Address(high, low).client() == client
        });
        counted.count() as u64
    }

    /// The entries that have been used.
    pub fn used_entries(&self) -> &[EntryWords] {
        let high = self.header[slot::HIGH].load(Ordering::Acquire) as usize;
        &self.entries[..high.min(self.entries.len())]
    }
}
