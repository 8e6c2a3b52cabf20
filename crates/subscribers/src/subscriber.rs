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
//! The thread that delivers never waits for a subscriber that another thread is at. It leaves a note
//! ([`Subscriber::was_passed_by`]), and whoever finds it catches up with the log.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use topics::{Batch, Epoch, Kind, Limits, Log, Record, RecordId, Subscription, Token, Topic};

use crate::form::{self, Recovery};
use crate::outlet::{Closing, Outlet, Refused};
use crate::terms::{Form, Slow, Terms};

/// How many bytes are read of the log before they are handed on.
const CHUNK: usize = 256 << 10;
/// So many times, before other subscribers have their turn.
const ROUNDS: usize = 8;
/// Whoever is behind has been let in already: it gets what is still there.
const UNLIMITED: Limits = Limits {
    messages: usize::MAX,
    age: None,
    now: 0,
};
/// The latest one.
const NEWEST: Limits = Limits {
    messages: 1,
    age: None,
    now: 0,
};

/// One subscriber, of one topic or more.
pub struct Subscriber {
    pub(crate) number: u64,
    outlet: Weak<dyn Outlet>,
    terms: Terms,
    pub(crate) parts: Box<[Part]>,
    /// What is counted for it in the log.
    pub(crate) subscriptions: Mutex<Vec<Subscription>>,
    state: Mutex<State>,
    /// The thread that delivers has found another one here, and has gone on.
    was_passed_by: AtomicBool,
    /// Something was handed to its outlet in this round; only the thread that delivers looks.
    pub(crate) is_touched: AtomicBool,
}

/// One of its topics.
pub(crate) struct Part {
    pub topic: Topic,
    pub slot: u32,
}

struct State {
    phase: Phase,
    /// What was published up to here it has got, or has been told of.
    since: RecordId,
    /// While it is live: where in the log that begins.
    start: u64,
    /// For each topic, how many had been published with the last that it got.
    nth: Box<[u64]>,
    /// What it has lost, and has not been told of.
    dropped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is to get what the log has.
    Behind(Wanted),
    /// It gets what is read. Not `is_steady`: it has just been behind, and its outlet is full of that.
    Live { is_steady: bool },
    /// It gets nothing any more.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Everything,
    /// The newest of each topic.
    Newest,
}

/// How a step has ended.
#[derive(PartialEq, Eq)]
enum Step {
    More,
    Done,
}

/// What a call has come to, to be counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub delivered: u64,
    pub dropped: u64,
    pub gaps: u64,
}

/// A record, with what it looks like to those who want JSON, made once.
pub(crate) struct Prepared<'a> {
    record: Record<'a>,
    epoch: Epoch,
    json: OnceCell<String>,
}

impl<'a> Prepared<'a> {
    pub fn new(record: Record<'a>, epoch: Epoch) -> Self {
        Prepared {
            record,
            epoch,
            json: OnceCell::new(),
        }
    }

    fn give(&self, form: Form, outlet: &dyn Outlet) -> Result<(), Refused> {
        let may_compress = !self.record.flags.uncompressed;
        match form {
            Form::Plain => outlet.take(self.record.kind, may_compress, self.record.payload),
            Form::Json => {
                let json = self
                    .json
                    .get_or_init(|| form::message(&self.record, self.epoch));
                outlet.take(Kind::Text, may_compress, json.as_bytes())
            }
        }
    }
}

impl Subscriber {
    pub(crate) fn new(
        number: u64,
        outlet: Weak<dyn Outlet>,
        terms: Terms,
        parts: Box<[Part]>,
        subscriptions: Vec<Subscription>,
        (since, nth): (RecordId, Box<[u64]>),
    ) -> Arc<Self> {
        Arc::new(Subscriber {
            number,
            outlet,
            terms,
            parts,
            subscriptions: Mutex::new(subscriptions),
            state: Mutex::new(State {
                phase: Phase::Behind(Wanted::Everything),
                since,
                start: 0,
                nth,
                dropped: 0,
            }),
            was_passed_by: AtomicBool::new(false),
            is_touched: AtomicBool::new(false),
        })
    }

    /// Its topics.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.parts.iter().map(|part| &part.topic)
    }

    /// Tells it what it is subscribed to, before anything else.
    pub(crate) fn greet(&self, recovery: &Recovery, token: Token) {
        let Some(outlet) = self.outlet.upgrade() else {
            return;
        };
        if self.terms.form == Form::Json {
            let hello = form::hello(self.topics(), recovery, token);
            if outlet.take(Kind::Text, true, hello.as_bytes()).is_err() {
                self.state().phase = Phase::Ended;
            }
        }
    }

    /// It gets nothing any more.
    pub(crate) fn end(&self) {
        self.state().phase = Phase::Ended;
    }

    /// Hands on a record that the process's reader has read; says whether its outlet has got something.
    pub(crate) fn deliver(
        &self,
        log: &Log<'static>,
        prepared: &Prepared<'_>,
        tally: &mut Tally,
    ) -> bool {
        let Some(mut state) = self.state_or_note() else {
            return false;
        };
        let Some(outlet) = self.outlet.upgrade() else {
            return false;
        };
        if self.is_to_look_again(&mut state) {
            self.catch_up(log, &mut state, &*outlet, tally);
            return true;
        }
        let record = &prepared.record;
        let is_live = matches!(state.phase, Phase::Live { .. });
        if !is_live || record.position < state.start || record.id <= state.since {
            return false;
        }
        let Some(part) = self.part_of(record.slot) else {
            return false;
        };
        match self.hand_on(&mut state, part, prepared, &*outlet, tally) {
            Ok(()) => {}
            Err(Refused::Ended) => state.phase = Phase::Ended,
            Err(Refused::Full) => self.is_full(&mut state, record.id, &*outlet, tally),
        }
        true
    }

    /// The reader was overrun: what it has not read is in the log, or is not. Says whether its outlet has got something.
    pub(crate) fn lag(&self, log: &Log<'static>, after: RecordId, tally: &mut Tally) -> bool {
        let Some(mut state) = self.state_or_note() else {
            return false;
        };
        let Some(outlet) = self.outlet.upgrade() else {
            return false;
        };
        if let Phase::Live { .. } = state.phase {
            state.since = state.since.max(after);
            state.phase = Phase::Behind(Wanted::Everything);
        }
        self.catch_up(log, &mut state, &*outlet, tally);
        true
    }

    /// Goes on where there was no room, or where it has begun.
    pub(crate) fn go_on(&self, log: &Log<'static>, tally: &mut Tally) {
        let Some(outlet) = self.outlet.upgrade() else {
            return;
        };
        loop {
            let mut state = self.state();
            self.is_to_look_again(&mut state);
            let is_to_wait = match state.phase {
                Phase::Behind(_) => self.catch_up(log, &mut state, &*outlet, tally),
                Phase::Live { .. } => {
                    // Full is full: there will be a next time.
                    let _ = self.tell_dropped(&mut state, &*outlet);
                    false
                }
                Phase::Ended => true,
            };
            drop(state);
            // Either this sees the note, or who has left it sees that nobody is here any more.
            fence(Ordering::SeqCst);
            if is_to_wait || !self.was_passed_by.load(Ordering::SeqCst) {
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
        part: usize,
        prepared: &Prepared<'_>,
        outlet: &dyn Outlet,
        tally: &mut Tally,
    ) -> Result<(), Refused> {
        self.tell_dropped(state, outlet)?;
        prepared.give(self.terms.form, outlet)?;
        state.since = prepared.record.id;
        state.nth[part] = prepared.record.nth;
        tally.delivered += 1;
        Ok(())
    }

    /// Tells it what it has lost.
    fn tell_dropped(&self, state: &mut State, outlet: &dyn Outlet) -> Result<(), Refused> {
        if state.dropped > 0 {
            if self.terms.form == Form::Json {
                outlet.take(Kind::Text, true, form::dropped(state.dropped).as_bytes())?;
            }
            state.dropped = 0;
        }
        Ok(())
    }

    /// There is no room for a live record.
    fn is_full(&self, state: &mut State, id: RecordId, outlet: &dyn Outlet, tally: &mut Tally) {
        match (self.terms.slow, state.phase) {
            // What fills its outlet is what it had missed: it has had no time to take it.
            (Slow::Close, Phase::Live { is_steady: false }) => {
                state.phase = Phase::Behind(Wanted::Everything);
            }
            (Slow::Close, _) => {
                outlet.close(Closing::Slow);
                state.phase = Phase::Ended;
            }
            (Slow::Drop, _) => {
                state.dropped += 1;
                tally.dropped += 1;
                state.since = id;
            }
            (Slow::Latest, _) => state.phase = Phase::Behind(Wanted::Newest),
        }
    }

    /// Reads the log as far as there is room; says whether somebody else is going to go on.
    fn catch_up(
        &self,
        log: &Log<'static>,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally,
    ) -> bool {
        for _ in 0..ROUNDS {
            let Phase::Behind(wanted) = state.phase else {
                return false;
            };
            match self.read(log, wanted, state, outlet, tally) {
                Ok(Step::More) => {}
                Ok(Step::Done) => return false,
                Err(Refused::Full) => return true,
                Err(Refused::Ended) => {
                    state.phase = Phase::Ended;
                    return true;
                }
            }
        }
        outlet.call_again();
        true
    }

    /// Reads some of the log, and hands it on in the order of the ids.
    ///
    /// The topics are looked at one after the other, but all as of the moment of the first: else a later record of one would
    /// come before an earlier one of another, and whoever comes back with its id would never get the earlier one.
    fn read(
        &self,
        log: &Log<'static>,
        wanted: Wanted,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally,
    ) -> Result<Step, Refused> {
        let since = Token {
            epoch: log.epoch(),
            id: state.since,
        };
        let most = CHUNK / self.parts.len().max(1);
        let mut moment = None;
        let mut bound = RecordId(u64::MAX);
        let mut batches = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let Ok(Some(history)) = log.history(&part.topic) else {
                outlet.close(Closing::Unavailable);
                return Err(Refused::Ended);
            };
            let (latest, _) = *moment.get_or_insert((history.token().id, history.end()));
            let mut batch = Batch::new();
            match wanted {
                Wanted::Newest => history.recent(&NEWEST, &mut batch),
                Wanted::Everything => {
                    match history.resume_some(since, &UNLIMITED, most, &mut batch) {
                        Ok(true) => {}
                        Ok(false) => {
                            bound = bound.min(batch.iter().last().map_or(since.id, |last| last.id));
                        }
                        Err(reason) => {
                            let latest = Token {
                                id: latest,
                                ..since
                            };
                            let reason = reason.to_string();
                            return self.tell_gap(&reason, latest, state, outlet, tally);
                        }
                    }
                }
            }
            batches.push(batch);
        }
        let (latest, end) = moment.unwrap_or_default();
        let bound = bound.min(latest);
        let mut records: Vec<(usize, Record<'_>)> = (0..)
            .zip(&batches)
            .flat_map(|(part, batch)| batch.iter().map(move |record| (part, record)))
            .filter(|(_, record)| record.id > since.id && record.id <= bound)
            .filter(|(_, record)| record.kind != Kind::Notice)
            .collect();
        records.sort_unstable_by_key(|(_, record)| record.id);
        for (part, record) in records {
            if wanted == Wanted::Newest {
                let lost = record.nth.saturating_sub(state.nth[part] + 1);
                state.dropped += lost;
                tally.dropped += lost;
                // Counted once, though it may find no room.
                state.nth[part] = record.nth.saturating_sub(1);
            }
            let prepared = Prepared::new(record, log.epoch());
            self.hand_on(state, part, &prepared, outlet, tally)?;
        }
        state.since = state.since.max(bound);
        if bound < latest {
            return Ok(Step::More);
        }
        state.start = end;
        state.phase = Phase::Live {
            is_steady: outlet.has_ample_room(),
        };
        Ok(Step::Done)
    }

    /// What it has missed cannot be told exactly: that is what it is told, before it gets what comes after `latest`.
    fn tell_gap(
        &self,
        reason: &str,
        latest: Token,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally,
    ) -> Result<Step, Refused> {
        match (self.terms.form, self.terms.slow) {
            (Form::Json, _) => {
                let gap = form::gap(reason, latest);
                outlet.take(Kind::Text, true, gap.as_bytes())?;
            }
            (Form::Plain, Slow::Close) => {
                tally.gaps += 1;
                outlet.close(Closing::Gap);
                return Err(Refused::Ended);
            }
            (Form::Plain, Slow::Drop | Slow::Latest) => {}
        }
        tally.gaps += 1;
        state.since = latest.id;
        Ok(Step::More)
    }

    fn part_of(&self, slot: u32) -> Option<usize> {
        self.parts.iter().position(|part| part.slot == slot)
    }

    /// What the thread that delivers has passed by is caught up with. Says whether there was something.
    fn is_to_look_again(&self, state: &mut State) -> bool {
        let was_passed_by = self.was_passed_by.swap(false, Ordering::SeqCst);
        let is_live = matches!(state.phase, Phase::Live { .. });
        if was_passed_by && is_live {
            state.phase = Phase::Behind(Wanted::Everything);
        }
        was_passed_by && is_live
    }

    /// For the thread that delivers: the state, or a note for who has it.
    fn state_or_note(&self) -> Option<MutexGuard<'_, State>> {
        let attempt = || match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        attempt().or_else(|| {
            self.was_passed_by.store(true, Ordering::SeqCst);
            // Either who has it sees the note, or this sees that nobody has it any more.
            fence(Ordering::SeqCst);
            attempt()
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
