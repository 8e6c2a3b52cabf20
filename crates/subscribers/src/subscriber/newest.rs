//! The newest message of each topic, for a subscriber that is slow and wants no other (`WebSocketTopicSlow latest`).

use topics::{Batch, History, Limits, Record, RecordId, Token, Trail};

use super::{State, Subscriber};
use crate::outlet::{Outlet, Refused};
use crate::tally::Tally;

/// The latest one.
const NEWEST: Limits = Limits {
    messages: 1,
    age: None,
    now: 0,
};

impl Subscriber {
    /// Finds out which message of each topic is the newest, and how many are dropped for it.
    pub(super) fn count_newest(
        &self,
        histories: &[History<'static>],
        now: Token,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Refused> {
        let counted = Token {
            id: state.counted,
            ..now
        };
        // What was counted is not counted again: so the word that found no room is kept.
        let mut gap = state.untold.take();
        let all = self.parts.iter().zip(histories);
        for ((part, history), newest) in all.zip(&mut state.newest) {
            let missed = history.count_missed(self.terms.origin, counted, now.id);
            let (count, last) = missed.unwrap_or_else(|reason| {
                let (latest, lost) = gap.get_or_insert((reason, Vec::new()));
                *latest = reason;
                if !lost.contains(&part.slot) {
                    lost.push(part.slot);
                }
                let last = history.recent_ids(&NEWEST).into_iter().next();
                let last = last.filter(|&id| id <= now.id);
                (u64::from(last.is_some()), last)
            });
            if last.is_some() {
                let lost = count - 1 + u64::from(newest.is_some());
                state.dropped += lost;
                tally.dropped(part.slot, lost);
                *newest = last;
            }
        }
        state.counted = now.id;
        match gap {
            Some(gap) => {
                let since = Token {
                    id: state.since,
                    ..now
                };
                let told = self.tell_gap(&gap, since, state, outlet, tally);
                if told.is_err() {
                    state.untold = Some(gap);
                }
                told
            }
            None => Ok(()),
        }
    }

    /// Hands on the newest message of each topic, as far as it is still there.
    pub(super) fn hand_on_newest(
        &self,
        histories: &[History<'static>],
        now: Token,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Refused> {
        let mut batches = Vec::with_capacity(histories.len());
        let all = self.parts.iter().zip(histories);
        for ((part, history), newest) in all.zip(&mut state.newest) {
            let Some(id) = *newest else {
                continue;
            };
            let before = Token {
                id: RecordId(id.0 - 1),
                ..now
            };
            let mut batch = Batch::new();
            if history
                .resume_some(before, &Limits::NONE, 1, &mut Trail::default(), &mut batch)
                .is_err()
            {
                *newest = None;
                state.dropped += 1;
                tally.dropped(part.slot, 1);
            }
            batches.push(batch);
        }
        let wanted: Vec<RecordId> = state.newest.iter().flatten().copied().collect();
        let is_wanted = |record: &Record<'_>| wanted.contains(&record.id);
        let handed_on = self.hand_on_all(&batches, is_wanted, state, outlet, tally);
        // They went in the order of the ids: those up to the last that went are through.
        let through = state.since;
        for newest in &mut state.newest {
            newest.take_if(|id| *id <= through);
        }
        handed_on
    }
}
