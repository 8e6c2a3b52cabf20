//! The end of a turn: what its waiter has to wait for, and what else is due meanwhile.

use std::time::Instant;

use websocket_proto::{CloseCode, CloseFrame};

use crate::ending::{ClosedBy, Ending};
use crate::environment::{Environment, Wait};
use crate::outbox::{Outgoing, SentBy};
use crate::reader::{Reader, Stop};
use crate::session::Session;
use crate::sync::atomic::Ordering;
use crate::watch::{Finding, earliest};

impl<E: Environment> Session<E> {
    /// What the waiter has to wait for after a turn that leaves nothing behind, as most do: the time of the last full look,
    /// [`Session::what_to_wait_for`], which may be too early by now and costs a turn then, once in a while.
    #[inline]
    pub(crate) fn glance(&self, reader: &mut Reader<E>, now: Instant) -> Option<Wait> {
        // In this order: what others do to the output behind the first line, they tell the waiter themselves.
        let is_calm = self.handover.is_at_rest()
            && reader.is_watch_told
            && !self.is_deadline_lost.load(Ordering::Relaxed)
            && !self.has_failed()
            && matches!(reader.stop, Stop::Drained)
            && reader.ending.is_none()
            && !reader.is_lost
            && !self.is_to_drain()
            && self.asked.is_nothing();
        if !is_calm {
            return None;
        }
        let is_mid_message = reader.receiver.is_mid_message();
        Some(Wait::For {
            input: true,
            output: false,
            deadline: reader.watch.glance(now, is_mid_message)?,
            is_new: false,
        })
    }

    /// What the waiter has to wait for after a turn.
    #[inline(never)]
    pub(crate) fn what_to_wait_for(&self, reader: &mut Reader<E>, now: Instant) -> Wait {
        // Relaxed: what makes it true again is followed by another turn.
        self.is_deadline_lost.store(false, Ordering::Relaxed);
        reader.is_watch_told = false;
        if self.has_failed() {
            // A callback may have kept the panic to itself; its own thread is not woken by itself.
            return Wait::Again;
        }
        let sight = self.handover.look(now);
        if let Some(status) = sight.failure {
            if reader.stop.holds_input_back() {
                // What has been read before the transport broke is handled.
                reader.is_lost = true;
                self.stop_sending();
                return Wait::Again;
            }
            reader.ends(Ending::Broken(status));
            return Wait::Ended;
        }
        if let Some(ending) = &reader.ending
            && ((sight.is_idle && !sight.has_output) || !ending.has_close_to_send())
        {
            return Wait::Ended;
        }
        if sight.has_expired {
            reader.ends(Ending::SendTimeout);
            return Wait::Ended;
        }
        let watched_until = match sight.is_close_sent {
            true => {
                let timeout = reader.close_timeout;
                let deadline = *reader.close_deadline.get_or_insert_with(|| now + timeout);
                if deadline <= now {
                    reader.ends(Ending::CloseTimeout);
                    return Wait::Ended;
                }
                Some(deadline)
            }
            false => match self.look_after(reader, now, !sight.is_idle || sight.has_output) {
                Ok(until) => until,
                Err(wait) => return wait,
            },
        };
        // Output beside an idle wire was left to this thread while it waited for the wire.
        if matches!(reader.stop, Stop::Again(_)) || (sight.is_idle && sight.has_output) {
            return Wait::Again;
        }
        // Asked once: what ends in between would be waited for in vain.
        let paused_until = reader.watch.paused_until(&self.environment);
        if paused_until.is_none() && matches!(reader.stop, Stop::Paused(_)) {
            // The pause has ended since the turn has stopped for it: the next one stops for room, if there is none.
            return Wait::Again;
        }
        let may_read = !sight.is_clogged && paused_until.is_none() && sight.has_room;
        if may_read && reader.stop.waits_to_read() {
            return Wait::Again;
        }
        let deadlines = [watched_until, sight.send_deadline, paused_until];
        reader.is_watch_told = true;
        Wait::For {
            // A turn that has stopped for want of room is told when there is some. One that has read all there was is not: it is the
            // next input that has a turn look again.
            input: reader.ending.is_none() && !reader.stop.waits_to_read(),
            output: !sight.is_idle,
            deadline: earliest(&deadlines),
            is_new: true,
        }
    }

    /// Looks after an open WebSocket: whether its peer lives, whether it is to be closed, whether the application is
    /// to be called. Says when to look again, or what to do at once. `is_sending`: output waits for the peer.
    fn look_after(
        &self,
        reader: &mut Reader<E>,
        now: Instant,
        is_sending: bool,
    ) -> Result<Option<Instant>, Wait> {
        let [drain_at, retire_at] = self.drains_at();
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let is_mid_message = reader.receiver.is_mid_message();
        let closed_by = match reader.watch.check(
            now,
            self.last_sent(),
            is_sending,
            is_mid_message,
            reader.stop.waits_to_read(),
            &self.environment,
        ) {
            _ if is_over(drain_at) => ClosedBy::Stopping,
            _ if is_over(retire_at) => ClosedBy::Operator,
            Finding::Dead => {
                reader.ends(Ending::PongTimeout);
                return Err(Wait::Ended);
            }
            Finding::Ping(payload) => {
                // It is only refused when the connection ends anyway, or when there is no room, so that nothing is
                // read and nothing was to be pinged.
                let ping = Outgoing::Ping(&payload);
                let pushed = self.handover.push(ping, SentBy::Callback, false);
                if let Some(holding) = pushed.ok().and_then(|accepted| accepted.holding) {
                    self.write(holding);
                }
                return Err(Wait::Again);
            }
            Finding::Idle => ClosedBy::Idle,
            Finding::Unfinished => ClosedBy::Unfinished,
            Finding::Old => ClosedBy::Age,
            Finding::TooFast => ClosedBy::Rate,
            Finding::Well(watched_until) => {
                let timer = self.asked.timer();
                if is_over(timer) || self.asked.is_due_at_once() {
                    return Err(Wait::Again);
                }
                let times = [watched_until, drain_at, retire_at, timer];
                return Ok(earliest(&times));
            }
        };
        let code = match closed_by {
            ClosedBy::Rate | ClosedBy::Unfinished => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::GOING_AWAY,
        };
        self.close(Some(&CloseFrame::from(code)), closed_by);
        // What comes of it: is it written, and when must it be answered?
        Err(Wait::Again)
    }
}
