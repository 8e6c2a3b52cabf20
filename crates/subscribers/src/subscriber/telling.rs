//! What a subscriber is told beside messages.

use std::sync::Arc;

use topics::{LockError, Log, RecordId, Token};

use super::{Phase, State, Subscriber, Untold};
use crate::form::{self, Recovery};
use crate::letter::{Letter, News};
use crate::outlet::{Closing, Message, Outlet, Refused};
use crate::sync::atomic::Ordering;
use crate::tally::Tally;
use crate::terms::{Form, Slow};

impl Subscriber {
    /// Tells it what it is subscribed to, before anything else.
    pub(crate) fn greet(&self, recovery: &Recovery, token: Token) {
        let Some(outlet) = self.outlet.upgrade() else {
            return;
        };
        if self.terms.form == Form::Json {
            let hello = form::hello(self.topics(), recovery, token);
            match outlet.take(Message::text(&hello)) {
                Ok(()) => {}
                Err(Refused::Full) => self.state().hello = Some(hello.into()),
                Err(Refused::Ended) => self.state().phase = Phase::Ended,
            }
        }
    }

    /// Says what it is subscribed to, if there was no room for that before.
    pub(super) fn greet_late(&self, state: &mut State, outlet: &dyn Outlet) -> Result<(), Refused> {
        if let Some(hello) = &state.hello {
            outlet.take(Message::text(hello))?;
            state.hello = None;
        }
        Ok(())
    }

    /// Tells it what it has lost.
    pub(super) fn tell_dropped(
        &self,
        state: &mut State,
        outlet: &dyn Outlet,
    ) -> Result<(), Refused> {
        if state.dropped > 0 {
            match self.terms.form {
                Form::Json => {
                    outlet.take(Message::text(&form::dropped(state.dropped)))?;
                }
                Form::Letters => {
                    let news = News::Dropped(state.dropped);
                    outlet.deliver(&self.letter(0, state.since, news))?;
                }
                Form::Plain => {}
            }
            state.dropped = 0;
        }
        Ok(())
    }

    /// Tells it how many members there are, when a notice has passed it by: topic by topic, as far as there is room, and
    /// none again before the others have had their turn.
    pub(super) fn tell_members(
        &self,
        log: &Log<'static>,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Refused> {
        // The look is for most, who are told nothing of members.
        if self.has_missed_notice.load(Ordering::SeqCst)
            && self.has_missed_notice.swap(false, Ordering::SeqCst)
        {
            let uncounted = &mut state.uncounted;
            for index in 0..self.parts.len() {
                if !uncounted.contains(&index) {
                    uncounted.push_back(index);
                }
            }
        }
        while let Some(&index) = state.uncounted.front() {
            let part = &self.parts[index];
            let members = match tally.is_busy() {
                true => Err(LockError::Busy),
                false => log.member_count(&part.topic),
            };
            if members == Err(LockError::Busy) {
                // Later, and not that there are none.
                tally.delay(self.key());
                return Ok(());
            }
            let members = members.unwrap_or(0);
            let members = u32::try_from(members).unwrap_or(u32::MAX);
            match self.terms.form {
                Form::Json => {
                    let text = form::members(part.topic.as_str(), members);
                    outlet.take(Message::text(&text))?;
                }
                Form::Letters => {
                    let news = News::Members(members);
                    outlet.deliver(&self.letter(index, state.since, news))?;
                }
                Form::Plain => {}
            }
            state.uncounted.pop_front();
        }
        Ok(())
    }

    fn letter(&self, part: usize, id: RecordId, news: News) -> Arc<Letter> {
        let topic = self.parts.get(part).map_or("", |part| part.topic.as_str());
        Arc::new(Letter {
            topic: topic.into(),
            id: Token {
                epoch: self.epoch,
                id,
            },
            news,
        })
    }

    /// What it has missed cannot be told exactly: that is what it is told. `token` is what it may come back with then.
    pub(super) fn tell_gap(
        &self,
        (reason, lost): &Untold,
        token: Token,
        state: &mut State,
        outlet: &dyn Outlet,
        tally: &mut Tally<'_>,
    ) -> Result<(), Refused> {
        match (self.terms.form, self.terms.slow) {
            (Form::Json, _) => {
                let gap = form::gap(&reason.to_string(), token);
                outlet.take(Message::text(&gap))?;
                // Those that were counted are among them.
                state.dropped = 0;
            }
            (Form::Letters, _) => {
                outlet.deliver(&self.letter(0, token.id, News::Gap))?;
                state.dropped = 0;
            }
            (Form::Plain, Slow::Close) => {
                tally.gap(lost);
                outlet.close(Closing::Gap);
                return Err(Refused::Ended);
            }
            (Form::Plain, Slow::Drop | Slow::Latest) => {}
        }
        tally.gap(lost);
        Ok(())
    }
}
