//! Where one subscriber is.
//!
//! ```text
//!              caught up with the log, up to a position
//!   Behind ───────────────────────────────────────────────► Live ──► Ended
//!     ▲  reads the log itself, as there is room               │  gets what the process's reader reads behind that position
//!     └───────────────────────────────────────────────────────┘
//!       the reader was overrun, or has passed it by; it is slow, and to get the newest; it has just been behind
//! ```
//!
//! It may end while it is behind, too.
//!
//! The thread that delivers waits for no subscriber that another thread is at, or for a moment. It leaves a note
//! ([`Subscriber::passed_by`]), and whoever finds it catches up with the log: up to what was passed by, and no further. What comes
//! next is on its way with that thread, and some of it, volatile messages and notices, is in no history.

mod behind;
mod newest;
mod note;
mod pace;
mod telling;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use topics::{
    CannotResume, Epoch, Gap, Kind, Log, Membership, Record, RecordId, Subscription, Topic, Trail,
};

use note::Note;
pub(crate) use pace::Pace;

use crate::footprint::{Fetch, Footprint};
use crate::form::{Prepared, Recovery};
use crate::outlet::{Closing, Outlet, Refused};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sync::{self, Mutex, MutexGuard, PoisonError, TryLockError};
use crate::tally::Tally;
use crate::terms::{Slow, Terms};

/// Behind everything.
const END: RecordId = RecordId(u64::MAX);
/// So often, and so long, what is in no history waits for who has a subscriber's state.
const PATIENCE: usize = 30;
const MOMENT: Duration = Duration::from_micros(100);

/// One subscriber, of one topic or more.
pub struct Subscriber {
    pub(crate) number: u64,
    outlet: Weak<dyn Outlet>,
    footprint: Footprint,
    pace: Arc<Pace>,
    epoch: Epoch,
    terms: Terms,
    pub(crate) parts: Box<[Part]>,
    /// What is counted for it in the log.
    pub(crate) subscriptions: Mutex<Vec<Subscription>>,
    /// Its place among the members of its first topic.
    membership: Mutex<Option<Membership>>,
    /// It has come back, and what it has missed cannot be told.
    has_lost: bool,
    state: Mutex<State>,
    /// What the thread that delivers has not delivered, because it has found another one here.
    passed_by: Note,
    /// Something volatile has waited in vain for who has the state. The thread that delivers alone looks.
    has_waited: AtomicBool,
    /// For the simulation: it was not to be had for so long that a volatile record may have passed it by.
    #[cfg(shuttle)]
    pub has_missed_volatile: AtomicBool,
    /// Where its live records have begun, the last time that it was live.
    live_from: AtomicU64,
    /// A notice of members has passed it by: it is told how many there are.
    has_missed_notice: AtomicBool,
    /// Something was handed to its outlet in this round; only the thread that delivers looks.
    pub(crate) is_touched: AtomicBool,
}

/// One of its topics.
pub(crate) struct Part {
    pub topic: Topic,
    pub slot: u32,
    /// Where in the log its own notices begin: what was published before is in its history, where no notice is.
    pub start: u64,
}

struct State {
    phase: Phase,
    /// What was published up to here it has got, or has been told of.
    since: RecordId,
    /// While it is live: where in the log that begins.
    start: u64,
    /// While it is behind: it is live again behind this one, and gets what comes next as the process's reader reads it.
    until: RecordId,
    /// While it is to get the newest: what was published up to here is in `newest` or in `dropped`, or was before.
    counted: RecordId,
    /// The newest message of each topic that it has not got yet.
    newest: Box<[Option<RecordId>]>,
    /// What it has lost, and has not been told of.
    dropped: u64,
    /// Why it cannot be said how many more that are, as long as it has not been told.
    untold: Option<Untold>,
    /// The topics whose retained message it is to get first.
    retained: Vec<usize>,
    /// The topics of which it is to be told how many members there are.
    uncounted: VecDeque<usize>,
    /// Its first message, while there is no room for it.
    hello: Option<Box<str>>,
    /// While it is behind: where in each topic it goes on.
    trails: Vec<Trail>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is to get what the log has.
    Behind(Wanted),
    /// It gets what is read.
    Live,
    /// It gets nothing any more.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Everything,
    /// The newest of each topic.
    Newest,
}

/// That it has missed something, why it cannot be told what, and the slots of the topics.
type Untold = (CannotResume, Vec<u32>);

impl Subscriber {
    pub(crate) fn new(
        (number, epoch): (u64, Epoch),
        (outlet, pace): (Weak<dyn Outlet>, Arc<Pace>),
        terms: Terms,
        parts: Box<[Part]>,
        (subscriptions, membership): (Vec<Subscription>, Option<Membership>),
        since: RecordId,
        recovery: &Recovery,
    ) -> Arc<Self> {
        let newest = vec![None; parts.len()].into();
        let retained = match recovery {
            Recovery::Recovered => 0..0,
            Recovery::New | Recovery::Lost(_) => 0..parts.len(),
        };
        Arc::new(Subscriber {
            number,
            outlet,
            footprint: Footprint::default(),
            pace,
            epoch,
            terms,
            parts,
            subscriptions: Mutex::new(subscriptions),
            membership: Mutex::new(membership),
            has_lost: matches!(recovery, Recovery::Lost(_)),
            state: Mutex::new(State {
                phase: Phase::Behind(Wanted::Everything),
                since,
                start: 0,
                until: END,
                counted: since,
                newest,
                dropped: 0,
                untold: None,
                retained: retained.rev().collect(),
                uncounted: VecDeque::new(),
                hello: None,
                trails: Vec::new(),
            }),
            live_from: AtomicU64::new(0),
            passed_by: Note::new(),
            has_waited: AtomicBool::new(false),
            #[cfg(shuttle)]
            has_missed_volatile: AtomicBool::new(false),
            has_missed_notice: AtomicBool::new(false),
            is_touched: AtomicBool::new(false),
        })
    }

    /// Its topics.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.parts.iter().map(|part| &part.topic)
    }

    /// Whether it has come back, and what it has missed could not be told.
    pub fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// By what it is found: the slot of one of its topics, and its number.
    fn key(&self) -> (u32, u64) {
        (self.parts.first().map_or(0, |part| part.slot), self.number)
    }

    /// Has it go on, on another thread.
    pub(crate) fn call_again(&self) {
        if let Some(outlet) = self.outlet.upgrade() {
            outlet.call_again();
        }
    }

    pub(crate) fn membership(&self) -> MutexGuard<'_, Option<Membership>> {
        let membership = self.membership.lock();
        membership.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is to get a record of one of its topics at all.
    fn wants(&self, record: &Record<'_>) -> bool {
        let is_own = record.flags.exclude_origin
            && self.terms.origin != 0
            && record.origin == self.terms.origin;
        match record.kind {
            Kind::Notice => self.terms.is_told_of_members,
            Kind::Text | Kind::Binary => !is_own,
        }
    }

    /// It gets nothing any more.
    pub(crate) fn end(&self) {
        self.state().phase = Phase::Ended;
    }

    /// Something of it has panicked: it gets nothing any more, and its connection is closed.
    pub(crate) fn fail(&self) {
        self.end();
        if let Some(outlet) = self.outlet.upgrade() {
            outlet.close(Closing::Unavailable);
        }
    }

    /// Whether a record is none of what it gets live. What it has got by its history is no reason to look at the log again;
    /// but notices are in no history, so that each since its own beginning counts, however far that has come by now.
    fn came_before(&self, record: &Record<'_>) -> bool {
        let is_since = |part: &Part| part.slot == record.slot && record.position >= part.start;
        match record.kind {
            Kind::Notice => !self.parts.iter().any(is_since),
            Kind::Text | Kind::Binary => record.position < self.live_from.load(Ordering::SeqCst),
        }
    }

    /// Hands on a record that the process's reader has read; says whether its outlet has got something.
    pub(crate) fn deliver(
        &self,
        log: &Log<'static>,
        prepared: &Prepared<'_>,
        tally: &mut Tally<'_>,
    ) -> bool {
        let record = &prepared.record;
        if !self.wants(record) || self.came_before(record) {
            return false;
        }
        let is_notice = record.kind == Kind::Notice;
        // Nobody who is behind finds a notice in the log.
        let has_missed = is_notice && self.has_missed_notice.swap(true, Ordering::SeqCst);
        // Before the state, and so given up behind it: this may be the last that there is of the connection, whose end wants the
        // state of each of its subscribers.
        let Some(outlet) = self.outlet.upgrade() else {
            return false;
        };
        // A notice is volatile, too.
        let is_volatile = record.flags.volatile;
        // Once for who stays: the others are not to wait for it with each message.
        let waits = is_notice || (is_volatile && !self.has_waited.load(Ordering::Relaxed));
        let Some(mut state) = self.state_or_note(record.id, record.id, waits) else {
            #[cfg(shuttle)]
            self.has_missed_volatile
                .fetch_or(is_volatile && !waits, Ordering::SeqCst);
            return false;
        };
        self.has_waited.store(false, Ordering::Relaxed);
        if is_notice {
            // It is in hand.
            self.has_missed_notice.store(has_missed, Ordering::SeqCst);
        }
        let looks_again = self.is_to_look_again(&mut state);
        if looks_again {
            // At once, for what is volatile does not wait.
            state.until = record.id;
            self.catch_up(log, &mut state, &*outlet, tally);
        }
        let is_live = matches!(state.phase, Phase::Live);
        // Its history has overtaken the record: so a message is in there, and a notice is not. What is volatile is in none, and
        // has its turn as long as nothing later has had it.
        let is_overtaken = record.position < state.start
            || record.id < state.since
            || (record.id == state.since && !is_volatile);
        if is_notice && (is_overtaken || !is_live) {
            self.has_missed_notice.store(true, Ordering::SeqCst);
        }
        if !is_live {
            // This one is not among those that it gets live.
            state.until = END;
            return looks_again;
        }
        if is_overtaken && !is_notice {
            return looks_again;
        }
        // With what was dropped first: the members' letter has an id that stands for it.
        let mut handed_on = self
            .tell_dropped(&mut state, &*outlet)
            .and_then(|()| self.tell_members(log, &mut state, &*outlet, tally));
        if !is_overtaken {
            handed_on =
                handed_on.and_then(|()| self.hand_on(&mut state, prepared, &*outlet, tally));
        }
        match handed_on {
            Ok(()) => {
                self.pace.has_got(&*outlet);
                self.note_footprint(&*outlet);
            }
            Err(Refused::Ended) => state.phase = Phase::Ended,
            Err(Refused::Full) => {
                // Nobody who is behind finds it.
                self.has_missed_notice.fetch_or(is_notice, Ordering::SeqCst);
                if !is_notice || self.terms.slow == Slow::Close {
                    self.is_full(&mut state, record, &*outlet, tally);
                }
            }
        }
        true
    }

    fn note_footprint(&self, outlet: &dyn Outlet) {
        if !self.footprint.is_known()
            && let Some(stretches) = outlet.footprint()
        {
            self.footprint.note(stretches);
        }
    }

    /// Has what [`Subscriber::deliver`] is going to touch of the subscriber itself fetched.
    pub(crate) fn fetch(self: &Arc<Self>, fetch: Fetch) {
        let start = Arc::as_ptr(self).addr();
        fetch(start..start + size_of::<Self>());
    }

    /// The same of its outlet; this looks at the subscriber.
    pub(crate) fn fetch_outlet(&self, fetch: Fetch) {
        self.footprint.fetch(fetch);
    }

    /// The reader was overrun: what it has not read is in the log, or is not. It finds out in its own turn.
    pub(crate) fn lag(&self, gap: &Gap) {
        let is_told = self.terms.is_told_of_members;
        // If it is concerned, and it is told of more than it would have to be if it is not.
        let has_missed = self.has_missed_notice.fetch_or(is_told, Ordering::SeqCst);
        // As in `deliver`.
        let Some(outlet) = self.outlet.upgrade() else {
            return;
        };
        let first_lost = RecordId(gap.after.0.saturating_add(1));
        let Some(mut state) = self.state_or_note(first_lost, END, false) else {
            return;
        };
        // A note stands for a record that may be before `after`: it is behind by that one.
        self.is_to_look_again(&mut state);
        if let Phase::Live = state.phase {
            if state.start >= gap.next {
                // All that is its is still to be read, unless its history has overtaken notices that are not in there.
                if self.parts.iter().all(|part| part.start >= gap.next) {
                    self.has_missed_notice.store(has_missed, Ordering::SeqCst);
                } else if is_told {
                    outlet.call_again();
                }
                return;
            }
            state.since = state.since.max(gap.after);
            state.phase = Phase::Behind(Wanted::Everything);
        }
        state.until = END;
        // All that were overrun at once would hold the reader up until it is overrun again.
        if state.phase != Phase::Ended {
            outlet.call_again();
        }
    }

    /// Goes on where there was no room, or where it has begun.
    pub(crate) fn go_on(&self, log: &Log<'static>, tally: &mut Tally<'_>) {
        let Some(outlet) = self.outlet.upgrade() else {
            return;
        };
        loop {
            let mut state = self.state();
            self.is_to_look_again(&mut state);
            let is_to_wait = match state.phase {
                Phase::Behind(_) => self.catch_up(log, &mut state, &*outlet, tally),
                Phase::Live => {
                    // Full is full: there will be a next time.
                    let _ = self
                        .tell_dropped(&mut state, &*outlet)
                        .and_then(|()| self.tell_members(log, &mut state, &*outlet, tally));
                    false
                }
                Phase::Ended => true,
            };
            drop(state);
            // Either this sees the note, or who has left it sees that nobody is here any more.
            fence(Ordering::SeqCst);
            if is_to_wait || self.passed_by.is_empty() {
                break;
            }
        }
        outlet.flush();
    }

    pub(crate) fn flush(&self) {
        if let Some(outlet) = self.outlet.upgrade() {
            outlet.flush();
        }
    }

    /// Hands a record on, behind what there is to be told of.
    fn hand_on(
        &self,
        state: &mut State,
        prepared: &Prepared<'_>,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Refused> {
        self.tell_dropped(state, outlet)?;
        prepared.give(self.terms.form, outlet)?;
        state.since = prepared.record.id;
        if prepared.record.kind != Kind::Notice {
            tally.delivered(prepared.record.slot);
        }
        Ok(())
    }

    /// There is no room for a live record.
    fn is_full(
        &self,
        state: &mut State,
        record: &Record<'_>,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) {
        match self.terms.slow {
            // What fills its outlet is what was missed: it has had no time to take it.
            Slow::Close if !self.pace.is_steady() => {
                state.phase = Phase::Behind(Wanted::Everything);
            }
            Slow::Close => {
                outlet.close(Closing::Slow);
                state.phase = Phase::Ended;
            }
            Slow::Drop => {
                state.dropped += 1;
                tally.dropped(record.slot, 1);
                state.since = record.id;
            }
            Slow::Latest => {
                // What came before this one it has got, or does not want.
                state.counted = state.since.max(RecordId(record.id.0 - 1));
                state.newest.fill(None);
                state.phase = Phase::Behind(Wanted::Newest);
            }
        }
    }

    /// What the thread that delivers has passed by is caught up with. Says whether there was something.
    fn is_to_look_again(&self, state: &mut State) -> bool {
        let Some((first, until)) = self.passed_by.take() else {
            return false;
        };
        match state.phase {
            Phase::Live => {
                // What came before that it has got, or does not want: it may be gone by now, and is no gap.
                state.since = state.since.max(RecordId(first.0.saturating_sub(1)));
                state.until = until;
                state.phase = Phase::Behind(Wanted::Everything);
                true
            }
            Phase::Behind(_) => {
                state.until = state.until.max(until);
                false
            }
            Phase::Ended => false,
        }
    }

    /// For the thread that delivers the records from `first` to `last`: the state, or a note for who has it. Who has it is mostly
    /// there to see that it has nothing to do: what is volatile waits a moment for that.
    fn state_or_note(
        &self,
        first: RecordId,
        last: RecordId,
        waits: bool,
    ) -> Option<MutexGuard<'_, State>> {
        let attempt = || match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if waits {
            for _ in 0..PATIENCE {
                if let Some(state) = attempt() {
                    return Some(state);
                }
                sync::sleep(MOMENT);
            }
            self.has_waited.store(true, Ordering::Relaxed);
            #[cfg(shuttle)]
            self.has_missed_volatile.store(true, Ordering::SeqCst);
        }
        attempt().or_else(|| {
            let before = self.passed_by.leave(first, last);
            // Either who has it sees the note, or this sees that nobody has it any more.
            fence(Ordering::SeqCst);
            let state = attempt()?;
            // It is not passed by after all.
            self.passed_by.take_back(before);
            Some(state)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
