//! One that is behind: it reads the log itself, as there is room.

use topics::{
    Batch, CannotResume, History, Kind, Limits, LockError, Log, Record, RecordId, Token, Trail,
};

use super::{END, Phase, State, Subscriber, Wanted};
use crate::form::Prepared;
use crate::outlet::{Closing, Outlet, Refused};
use crate::sync::atomic::Ordering;
use crate::tally::Tally;

/// How many bytes are read of the log before they are handed on.
const CHUNK: usize = 256 << 10;
/// So many times, before other subscribers have their turn.
const ROUNDS: usize = 8;

/// Some of what a subscriber has missed.
struct Chunk {
    batches: Vec<Batch>,
    /// Of what comes after this one, something is missing.
    bound: RecordId,
}

/// How a step has ended.
#[derive(PartialEq, Eq)]
enum Step {
    More,
    Done,
}

/// Why a step has not ended.
enum Stopped {
    /// By the outlet.
    Refused(Refused),
    /// Somebody else has the log's lock, and does not go on.
    Busy,
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Stopped::Refused(refused)
    }
}

impl Subscriber {
    /// Reads the log as far as there is room; says whether somebody else is going to go on.
    pub(super) fn catch_up(
        &self,
        log: &Log<'static>,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> bool {
        for _ in 0..ROUNDS {
            let Phase::Behind(wanted) = state.phase else {
                return false;
            };
            if tally.is_busy() {
                // Another one has waited for the lock just now.
                tally.delay(self.key());
                return true;
            }
            match self.read(log, wanted, state, outlet, tally) {
                Ok(Step::More) => {}
                Ok(Step::Done) => return false,
                Err(Stopped::Busy) => {
                    tally.delay(self.key());
                    return true;
                }
                Err(Stopped::Refused(Refused::Full)) => {
                    // Another one of the outlet may have found ample room meanwhile.
                    self.pace.falters();
                    return true;
                }
                Err(Stopped::Refused(Refused::Ended)) => {
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
        tally: &mut Tally<'_>,
    ) -> Result<Step, Stopped> {
        let mut histories = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match log.history(&part.topic) {
                Ok(Some(history)) => histories.push(history),
                Err(LockError::Busy) => return Err(Stopped::Busy),
                Ok(None) | Err(_) => {
                    outlet.close(Closing::Unavailable);
                    return Err(Refused::Ended.into());
                }
            }
        }
        let Some(first) = histories.first() else {
            return Err(Refused::Ended.into());
        };
        self.pace.falters();
        self.greet_late(state, outlet)?;
        self.hand_on_retained(log, state, outlet, tally)?;
        let (now, end) = (first.token(), first.end());
        let is_whole = match wanted {
            Wanted::Everything => match self.missed(&histories, state, now) {
                Ok(chunk) => {
                    let last = now.id.min(state.until);
                    let bound = chunk.bound.min(last);
                    let is_its = |record: &Record<'_>| record.id <= bound;
                    self.hand_on_all(&chunk.batches, is_its, state, outlet, tally)?;
                    state.since = state.since.max(bound);
                    bound == last
                }
                Err(reason) => {
                    let gap = (reason, self.lost(&histories, state.since, now));
                    self.tell_gap(&gap, now, state, outlet, tally)?;
                    state.since = now.id;
                    state.until = END;
                    false
                }
            },
            Wanted::Newest => {
                self.count_newest(&histories, now, state, outlet, tally)?;
                self.hand_on_newest(&histories, now, state, outlet, tally)?;
                state.since = now.id;
                true
            }
        };
        if !is_whole {
            return Ok(Step::More);
        }
        // With no record to come before, nothing else would tell.
        self.tell_dropped(state, outlet)?;
        self.tell_members(log, state, outlet, tally)?;
        // Up to a certain one it was live before, and its live records go on behind that, wherever they have begun.
        if std::mem::replace(&mut state.until, END) == END {
            state.start = end;
            self.live_from.store(end, Ordering::SeqCst);
        }
        state.phase = Phase::Live;
        state.trails = Vec::new();
        self.pace.has_caught_up(outlet);
        Ok(Step::Done)
    }

    /// Hands on what its topics retain, to a newcomer. What it would get behind that anyway is left to that.
    fn hand_on_retained(
        &self,
        log: &Log<'static>,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Stopped> {
        let mut batch = Batch::new();
        while let Some(&part) = state.retained.last() {
            let is_there = log.retained(&self.parts[part].topic, &mut batch);
            if is_there == Err(LockError::Busy) {
                return Err(Stopped::Busy);
            }
            let record = batch.iter().next().filter(|_| is_there == Ok(true));
            let is_its = |record: &Record<'_>| record.id <= state.since && self.wants(record);
            if let Some(record) = record.filter(is_its) {
                // With the id that it has been told before: its own is older, and who came back with that would get twice
                // what lies in between.
                let record = Record {
                    id: state.since,
                    ..record
                };
                Prepared::new(record, self.epoch, 1).give(self.terms.form, outlet)?;
                tally.delivered(self.parts[part].slot);
            }
            state.retained.pop();
        }
        Ok(())
    }

    /// The first of what it has missed, of each topic.
    fn missed(
        &self,
        histories: &[History<'static>],
        state: &mut State,
        now: Token,
    ) -> Result<Chunk, CannotResume> {
        state.trails.resize_with(histories.len(), Trail::default);
        let most = CHUNK / histories.len().max(1);
        let mut chunk = Chunk {
            batches: Vec::with_capacity(histories.len()),
            bound: RecordId(u64::MAX),
        };
        let since = Token {
            id: state.since,
            ..now
        };
        for (history, trail) in histories.iter().zip(&mut state.trails) {
            let mut batch = Batch::new();
            // It has been let in already: it gets what is still there.
            if !history.resume_some(since, &Limits::NONE, most, trail, &mut batch)? {
                let last = batch.iter().last().map_or(since.id, |last| last.id);
                chunk.bound = chunk.bound.min(last);
            }
            chunk.batches.push(batch);
        }
        Ok(chunk)
    }

    /// The topics of which it misses something when it goes on behind `now`.
    fn lost(&self, histories: &[History<'static>], since: RecordId, now: Token) -> Vec<u32> {
        if let [only] = &*self.parts {
            return vec![only.slot];
        }
        let since = Token { id: since, ..now };
        let is_lost = |history: &History<'static>| {
            let missed = history.count_missed(0, since, now.id);
            missed.map_or(true, |(count, _)| count > 0)
        };
        let all = self.parts.iter().zip(histories);
        all.filter(|(_, history)| is_lost(history))
            .map(|(part, _)| part.slot)
            .collect()
    }

    /// Hands on what was read, in the order of the ids.
    pub(super) fn hand_on_all(
        &self,
        batches: &[Batch],
        is_its: impl Fn(&Record<'_>) -> bool,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Refused> {
        let all = batches.iter().flat_map(Batch::iter);
        let mut records: Vec<Record<'_>> = all
            .filter(|record| record.kind != Kind::Notice && self.wants(record) && is_its(record))
            .collect();
        records.sort_unstable_by_key(|record| record.id);
        for record in records {
            let prepared = Prepared::new(record, self.epoch, 1);
            self.hand_on(state, &prepared, outlet, tally)?;
        }
        Ok(())
    }
}
