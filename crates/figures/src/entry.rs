//! One connection, as long as it is there.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::time::Duration;

use crate::board::{Alive, Process};
use crate::calls::{Caller, Calls};
use crate::client::{Address, Client};
use crate::label::Location;
use crate::layout::ENTRY;
use crate::rates::{Figure, STEP};
use crate::seat::Seat;
use crate::snapshot::unix_ms;
use crate::tally::{self, TallyWords, field as counter};
use crate::texts::{self, About, TextWords};

pub(crate) type EntryWords = [AtomicU64; ENTRY];

/// The words of an entry.
pub(crate) mod field {
    /// The connection's number; 0 while it has none yet, and when the entry is free.
    pub const ID: usize = 0;
    pub const STATE: usize = 1;
    /// The process that it belongs to: an entry that a dead child has left is not its successor's.
    pub const OWNER: usize = 2;
    pub const LOCATION: usize = 3;
    pub const ADDRESS: [usize; 2] = [4, 5];
    /// When it came, in milliseconds of Unix time.
    pub const SINCE: usize = 6;
    pub const MESSAGES_IN: usize = 7;
    pub const MESSAGES_OUT: usize = 8;
    pub const BYTES_IN: usize = 9;
    pub const BYTES_OUT: usize = 10;
    pub const QUEUED: usize = 11;
    /// The latest round trip, in nanoseconds; 0 before the first one.
    pub const ROUND_TRIP: usize = 12;
    /// Where it is counted for its client; 0 when it is not.
    pub const CLIENT: usize = 13;
    /// The number of the connection that a request for many means, if it is still this entry's.
    pub const MARKED: usize = 14;
    /// That request's ticket in the low half, and the delay in the high one.
    pub const TICKET: usize = 15;
}

/// What an entry counts, and where it goes in the end.
pub(crate) const COUNTERS: [(usize, usize); 4] = [
    (field::MESSAGES_IN, counter::MESSAGES_IN),
    (field::MESSAGES_OUT, counter::MESSAGES_OUT),
    (field::BYTES_IN, counter::BYTES_IN),
    (field::BYTES_OUT, counter::BYTES_OUT),
];

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Before the 101.
    Opening,
    /// A WebSocket.
    Open,
    /// In the closing handshake.
    Closing,
}

impl State {
    /// Its name in every output.
    pub fn name(self) -> &'static str {
        match self {
            State::Opening => "opening",
            State::Open => "open",
            State::Closing => "closing",
        }
    }

    fn pack(self) -> u64 {
        match self {
            State::Opening => 1,
            State::Open => 2,
            State::Closing => 3,
        }
    }

    /// `None` for a free entry, and for one whose connection has ended.
    pub(crate) fn unpack(word: u64) -> Option<State> {
        [State::Opening, State::Open, State::Closing]
            .into_iter()
            .find(|state| state.pack() == word)
    }
}

const NO_STATE: u64 = 0;
/// What is counted for a connection that has gone without a word.
pub(crate) const ABNORMAL_CLOSURE: u16 = 1006;

/// One connection's entry, from before its handshake has been judged until nobody uses the connection any more. It
/// is given back when it is dropped.
pub struct Entry<'m> {
    seat: Arc<Seat<'m>>,
    place: Kept<'m>,
    id: u64,
    location: Location,
    client: Client,
    /// It is counted for its client. Not what the entry says, which the one who cleans up behind this child may have to believe.
    is_counted: AtomicBool,
    /// It is counted for its Location.
    is_taken: AtomicBool,
    /// Which of its client's connections it was when it came; 0 when it is not counted.
    nth: u64,
}

enum Kept<'m> {
    Listed(Listed<'m>),
    /// The child's entries are all taken.
    Unlisted(Box<EntryWords>),
}

/// An entry of the board that is taken.
#[derive(Clone, Copy)]
pub(crate) struct Listed<'m> {
    pub words: &'m EntryWords,
    pub texts: &'m TextWords,
    pub index: u32,
}

impl<'m> Entry<'m> {
    /// Writes an entry for a connection that opens.
    pub(crate) fn new(
        seat: Arc<Seat<'m>>,
        listed: Option<Listed<'m>>,
        location: Location,
        address: Address,
        since: u64,
    ) -> Self {
        let place = match listed {
            Some(listed) => Kept::Listed(listed),
            None => Kept::Unlisted(Box::default()),
        };
        let board = seat.board();
        let mut entry = Entry {
            seat,
            place,
            id: 0,
            location,
            client: address.client(),
            is_counted: AtomicBool::new(false),
            is_taken: AtomicBool::new(true),
            nth: 0,
        };
        let words = entry.words();
        // Whoever sees one of these finds that the last connection's number has gone: see the crate's comment.
        fence(Ordering::Release);
        for (field, value) in [
            (field::OWNER, entry.seat.owner()),
            (field::LOCATION, u64::from(location.0)),
            (field::ADDRESS[0], address.0),
            (field::ADDRESS[1], address.1),
            (field::SINCE, since),
            (field::QUEUED, 0),
            (field::ROUND_TRIP, 0),
        ] {
            words[field].store(value, Ordering::Relaxed);
        }
        entry.count();
        entry.tally()[counter::TAKEN].fetch_add(1, Ordering::SeqCst);
        entry.words()[field::STATE].store(State::Opening.pack(), Ordering::Release);
        entry.id = board.next_id();
        entry.words()[field::ID].store(entry.id, Ordering::Release);
        entry
    }

    /// The connection's number, that no other has, in any child.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What this connection calls of a plugin, and where to say so.
    pub fn caller(&self, plugin: &str) -> (Caller, Calls<'m>) {
        let plugin = self.seat.board().plugin(plugin);
        (Caller::new(plugin, self.id), self.seat.calls())
    }

    /// Whether this connection is among the first `limit` of its client, over all children.
    ///
    /// Two that come at once cannot both be the last that may: each is counted before either asks. One that could not
    /// be counted is within any limit. Those of a child that has died do not count, whoever knows of its end: `alive` is
    /// asked only before the answer would be no.
    pub fn is_within(&self, limit: u64, alive: Alive<'_>) -> bool {
        let board = self.seat.board();
        let counted = || board.clients().of(self.client);
        self.nth <= limit || counted() <= limit || {
            // In this order: what is taken back in between is missing from the second number only.
            let counted = counted();
            counted.saturating_sub(board.left_behind(self.client, alive)) <= limit
        }
    }

    /// Whether its Location has no more than so many connections, over all children. Of several that come at once for the last
    /// place, all may be refused: each is counted before any asks.
    pub fn is_within_location(&self, limit: u64, alive: Alive<'_>) -> bool {
        let board = self.seat.board();
        let everybody = |_: Process| true;
        // Who lives is asked only before the answer would be no.
        board.taken_in(self.location, &everybody) <= limit
            || board.taken_in(self.location, alive) <= limit
    }

    /// Counts it for its client. One that is not listed nobody could take back when the child dies.
    fn count(&mut self) {
        if let Kept::Listed(Listed { words, .. }) = self.place {
            let clients = self.seat.board().clients();
            let nth = clients.enter(self.client, &words[field::CLIENT]);
            self.is_counted = AtomicBool::new(nth.is_some());
            self.nth = nth.unwrap_or(0);
        }
    }

    /// It is no connection of its client any more.
    fn count_out(&self) {
        if self.is_counted.swap(false, Ordering::AcqRel) {
            let clients = self.seat.board().clients();
            clients.leave(self.client, &self.words()[field::CLIENT]);
        }
    }

    /// The handshake has been accepted: it is a WebSocket, and this is what it is called.
    pub fn opened(&self, about: &About) {
        if let Kept::Listed(Listed { texts, .. }) = self.place {
            // Before the state, without which nobody reads them.
            texts::write(texts, about);
        }
        self.set_state(State::Open);
        tally::add(self.tally(), counter::ACCEPTED, 1);
        self.count_unlisted(1);
        self.rate(Figure::Handshakes, 1);
    }

    /// The closing handshake has begun.
    pub fn closing(&self) {
        // It may end on another thread meanwhile, and stays ended then.
        let _ = self.words()[field::STATE].compare_exchange(
            State::Open.pack(),
            State::Closing.pack(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// The WebSocket has ended. `code` is what the log says, 1005 and 1006 included. Counts once.
    pub fn closed(&self, code: u16) {
        self.count_out();
        if self.is_taken.swap(false, Ordering::AcqRel) {
            self.tally()[counter::TAKEN].fetch_sub(1, Ordering::AcqRel);
        }
        if end(self.words()) {
            tally::closed(self.tally(), code, 1);
            self.count_unlisted(-1);
        }
    }

    /// Where in memory its counters are: addresses, which stay good whatever becomes of them.
    pub fn counted_at(&self) -> Range<usize> {
        let counters = &self.words()[field::MESSAGES_IN..=field::QUEUED];
        let Range { start, end } = counters.as_ptr_range();
        start.addr()..end.addr()
    }

    /// A message has come. One thread at a time says so.
    pub fn message_in(&self) {
        self.add_alone(field::MESSAGES_IN, 1);
    }

    /// A message has been sent.
    pub fn message_out(&self) {
        self.add(field::MESSAGES_OUT, 1);
    }

    /// So many bytes have been read from the connection. One thread at a time says so.
    pub fn bytes_in(&self, count: usize) {
        let before = self.add_alone(field::BYTES_IN, count as u64);
        self.step(before, count as u64);
    }

    /// So many bytes have been written to the connection.
    pub fn bytes_out(&self, count: usize) {
        let before = self.add(field::BYTES_OUT, count as u64);
        self.step(before, count as u64);
    }

    /// So many bytes wait for the peer now.
    pub fn queued(&self, bytes: usize) {
        self.words()[field::QUEUED].store(bytes as u64, Ordering::Relaxed);
    }

    /// A ping has been answered in this time.
    pub fn ping_round_trip(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.words()[field::ROUND_TRIP].store(nanos.max(1), Ordering::Relaxed);
        tally::round_trip(self.tally(), time);
    }

    /// A callback of its plugin has taken this time.
    pub fn callback_took(&self, time: Duration) {
        tally::callback_took(self.tally(), time);
    }

    fn add(&self, field: usize, count: u64) -> u64 {
        self.words()[field].fetch_add(count, Ordering::Relaxed)
    }

    /// Counts what only the thread counts that has the connection's turn: nobody comes between the load and the store.
    fn add_alone(&self, field: usize, count: u64) -> u64 {
        let word = &self.words()[field];
        let before = word.load(Ordering::Relaxed);
        word.store(before.wrapping_add(count), Ordering::Relaxed);
        before
    }

    /// So many bytes more than `before`: its client's rate is counted where these pass a step.
    #[inline]
    fn step(&self, before: u64, count: u64) {
        let steps = (before % STEP + count) / STEP;
        if steps > 0 {
            self.rate(Figure::Bytes, steps * STEP);
        }
    }

    /// What its client's rates have not been told of yet, at the end.
    fn last_step(&self) {
        let rest = |field: usize| self.words()[field].load(Ordering::Relaxed) % STEP;
        let rest = rest(field::BYTES_IN) + rest(field::BYTES_OUT);
        if rest > 0 {
            self.rate(Figure::Bytes, rest);
        }
    }

    #[cold]
    fn rate(&self, figure: Figure, count: u64) {
        let now = Duration::from_millis(unix_ms());
        let rates = self.seat.board().rates();
        rates.add(self.client, figure, count, now);
    }

    fn set_state(&self, state: State) {
        self.words()[field::STATE].store(state.pack(), Ordering::Release);
    }

    fn count_unlisted(&self, change: i64) {
        if let Kept::Unlisted(_) = self.place {
            let word = &self.tally()[counter::UNLISTED];
            word.fetch_add(change as u64, Ordering::Relaxed);
        }
    }

    fn tally(&self) -> &'m TallyWords {
        self.seat.tally(self.location)
    }

    fn words(&self) -> &EntryWords {
        match &self.place {
            Kept::Listed(listed) => listed.words,
            Kept::Unlisted(words) => words,
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.closed(ABNORMAL_CLOSURE);
        self.last_step();
        free(self.words(), self.tally());
        if let Kept::Listed(Listed { index, .. }) = self.place {
            self.seat.give_back(index);
        }
    }
}

/// Whatever an entry is for has ended. Says whether it was a WebSocket that nobody has seen end.
pub(crate) fn end(entry: &EntryWords) -> bool {
    let before = entry[field::STATE].swap(NO_STATE, Ordering::AcqRel);
    matches!(State::unpack(before), Some(State::Open | State::Closing))
}

/// Adds what an entry has counted to a tally, and frees it. It is taken away first: see the crate's comment.
pub(crate) fn free(entry: &EntryWords, tally: &TallyWords) {
    entry[field::STATE].store(NO_STATE, Ordering::Release);
    for (from, to) in COUNTERS {
        let count = entry[from].swap(0, Ordering::AcqRel);
        if count != 0 {
            tally::add(tally, to, count);
        }
    }
    entry[field::ID].store(0, Ordering::Release);
}
