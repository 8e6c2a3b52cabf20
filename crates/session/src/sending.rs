//! What leaves a session: what applications send, from any thread, and how it reaches the transport.
//!
//! [`crate::handover`] decides which thread writes; here that thread does, and tells the outside what has come of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use websocket_proto::{CloseFrame, Compression, MessageKind, ProtocolError};

use crate::ending::ClosedBy;
use crate::environment::Environment;
use crate::footprint::addresses;
use crate::gathering::Receiver;
use crate::handover::{Holding, Progress, Pushed};
use crate::limits::{CORK_LIMIT, DEAF, THROUGH};
use crate::outbox::{Outgoing, Refused, SentBy};
use crate::session::Session;
use crate::sync::atomic::Ordering;

impl<E: Environment> Session<E> {
    /// Sends a message, a part of one or a control frame; blocks while the outbox is full. An error is never
    /// [`Refused::Full`], but before the application has accepted the session, when nobody takes anything out.
    pub fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let sent_by = self.who_sends();
        loop {
            let gathers = self.gathers(sent_by);
            if self.sends_through(outgoing, gathers) {
                return Ok(());
            }
            match self.with_output(|| self.handover.push(outgoing, sent_by, gathers)) {
                Ok(accepted) => {
                    self.accepted(outgoing, accepted);
                    return Ok(());
                }
                Err(Refused::Full) if self.is_accepted() => self.block(outgoing, sent_by),
                Err(refused) => return Err(refused),
            }
        }
    }

    /// Sends a large message from where it is, when that is possible: says whether it has.
    #[inline(always)]
    fn sends_through(&self, outgoing: Outgoing<'_>, gathers: bool) -> bool {
        match outgoing {
            Outgoing::Message(kind, compression, payload)
                if payload.len() >= if gathers { CORK_LIMIT } else { THROUGH } =>
            {
                self.pass(kind, compression, payload)
            }
            _ => false,
        }
    }

    #[inline(never)]
    fn pass(&self, kind: MessageKind, compression: Compression, payload: &[u8]) -> bool {
        self.with_output(|| {
            let Some(holding) = self.handover.pass(kind, compression, payload) else {
                return false;
            };
            self.message_sent();
            holding.write_through(payload, &self.environment, |progress| self.tell(progress));
            true
        })
    }

    /// There is no room, and there may be.
    #[cold]
    fn block(&self, outgoing: Outgoing<'_>, sent_by: SentBy) {
        // What this thread has given to others does not wait with it, whose callback it may be in.
        let thread = self.environment.current_thread();
        self.buffers.gatherings().flush(thread);
        let wait = || self.wait_for_room(outgoing, sent_by);
        match sent_by {
            SentBy::Callback => self.environment.while_blocked(wait),
            SentBy::Thread => wait(),
        }
    }

    /// [`Session::send`] that does not block; on_writable follows a [`Refused::Full`].
    pub fn try_send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let sent_by = self.who_sends();
        let gathers = self.gathers(sent_by);
        if self.sends_through(outgoing, gathers) {
            return Ok(());
        }
        let accepted = self.with_output(|| self.handover.try_push(outgoing, sent_by, gathers))?;
        self.accepted(outgoing, accepted);
        Ok(())
    }

    /// [`Session::try_send`] by somebody who has more to send: what was taken may wait for [`Session::flush`]. The room for
    /// it is a thread's, on whatever thread.
    pub fn gather(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let push = || self.handover.try_push(outgoing, SentBy::Thread, true);
        let accepted = self.with_output(push)?;
        self.accepted(outgoing, accepted);
        Ok(())
    }

    /// Writes what was gathered.
    pub fn flush(&self) {
        self.transmit();
    }

    /// [`Session::try_send`] to another session, from a callback of this one, which passes on what its client says, or on a
    /// thread of its own. In a callback that has more input at hand, what the other takes is gathered, and leaves when that
    /// is used up; `receiver` is kept until then.
    pub fn try_send_to(
        &self,
        other: &Self,
        outgoing: Outgoing<'_>,
        receiver: impl FnOnce() -> Option<Arc<dyn Receiver>>,
    ) -> Result<(), Refused> {
        let gathers = self.gathers(self.who_sends());
        if !gathers || std::ptr::eq(self, other) {
            return other.try_send(outgoing);
        }
        let push = || other.handover.try_push(outgoing, SentBy::Thread, true);
        let accepted = other.with_output(push)?;
        let is_left = accepted.holding.is_none();
        other.accepted(outgoing, accepted);
        // AcqRel: who finds the mark set is seen by the write that follows its taking away.
        if is_left && !other.is_gathered_for.swap(true, Ordering::AcqRel) {
            match receiver() {
                Some(receiver) => self.give(receiver),
                None => other.flush_gathered(),
            }
        }
        Ok(())
    }

    /// In a callback that has more input at hand: `receiver` is flushed when that is used up, as what
    /// [`Session::try_send_to`] gives. Says whether it is: what nobody gathers is the caller's to flush.
    pub fn gather_for(&self, receiver: Arc<dyn Receiver>) -> bool {
        let gathers = self.gathers(self.who_sends());
        if gathers {
            self.give(receiver);
        }
        gathers
    }

    fn give(&self, receiver: Arc<dyn Receiver>) {
        let thread = self.environment.current_thread();
        if self.buffers.gatherings().add(thread, receiver) {
            // Relaxed: only the thread that runs the callback counts and asks.
            let given = self.given.load(Ordering::Relaxed);
            self.given.store(given + 1, Ordering::Relaxed);
        }
    }

    /// Writes what callbacks of other sessions have given to this one.
    pub fn flush_gathered(&self) {
        self.is_gathered_for.swap(false, Ordering::AcqRel);
        self.transmit();
    }

    /// Has what this thread has given to others written.
    pub(crate) fn flush_given(&self) {
        self.given.store(0, Ordering::Relaxed);
        let thread = self.environment.current_thread();
        self.buffers.gatherings().flush(thread);
    }

    /// What a send looks at first: see [`footprint`](crate::footprint). Nothing is looked at for saying so.
    #[inline]
    pub fn footprint(&self) -> [Range<usize>; 3] {
        let [outside, _] = self.environment.footprint();
        [
            addresses(&self.handover),
            addresses(&self.turn_thread),
            outside,
        ]
    }

    /// What a send looks at behind that: the wire, and where the environment counts. Known from what [`Session::footprint`] says;
    /// `None` when the session is not open yet.
    #[inline]
    pub fn far_footprint(&self) -> Option<[Range<usize>; 2]> {
        let wire = self.handover.wire_addresses()?;
        let [_, figures] = self.environment.footprint();
        Some([wire, figures])
    }

    /// Has on_called called soon.
    pub fn call(&self) {
        // Release: the turn that acquires it calls the application, which looks at what this thread did.
        self.asked.is_called.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether [`Session::gather`] would find room; on_writable follows a `false`.
    pub fn has_room(&self) -> bool {
        self.handover.has_room_or_wants_it()
    }

    fn who_sends(&self) -> SentBy {
        match self.is_in_callback() {
            true => SentBy::Callback,
            false => SentBy::Thread,
        }
    }

    /// Whether what is sent is gathered for a moment.
    fn gathers(&self, sent_by: SentBy) -> bool {
        // Relaxed: only the turn's thread sets it, and only that thread asks.
        sent_by == SentBy::Callback && self.is_corked.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn accepted(&self, outgoing: Outgoing<'_>, accepted: Pushed<'_, E::Transport>) {
        self.with_output(|| {
            if outgoing.ends_message() {
                self.message_sent();
            }
            if let Some(holding) = accepted.holding {
                self.write(holding);
            }
            if let Some(queued) = accepted.stalled_bytes {
                self.tell_queued(queued);
            }
            if accepted.has_wanted_room {
                self.room_has_come();
            }
            if accepted.resumes_input {
                self.wake();
            }
        });
    }

    /// Starts the closing handshake. Says whether it was this call that did.
    pub fn close(&self, frame: Option<&CloseFrame>, by: ClosedBy) -> bool {
        let note_it = || self.closed_by(by, frame.cloned());
        let Ok(holding) = self.with_output(|| self.handover.push_close(frame, note_it)) else {
            return false;
        };
        self.with_output(|| self.environment.closing());
        if let Some(holding) = holding {
            self.write(holding);
        }
        self.wake();
        true
    }

    /// [`Session::close`] by the application, with the payload data of a Close frame; the error is what is wrong with
    /// it.
    pub fn close_with_payload(&self, payload: &[u8]) -> Result<bool, ProtocolError> {
        let frame = CloseFrame::parse(payload, self.reserved_close_codes)?;
        Ok(self.close(frame.as_ref(), ClosedBy::Plugin))
    }

    /// The calling thread waits until there may be room for `outgoing`.
    fn wait_for_room(&self, outgoing: Outgoing<'_>, sent_by: SentBy) {
        // A callback would wait for what it has gathered itself.
        self.transmit();
        match sent_by {
            SentBy::Thread => {
                if self.handover.wait_for_room(outgoing, DEAF) {
                    self.expire();
                }
            }
            SentBy::Callback => match self.handover.must_wait_for_transport(outgoing) {
                Some(deadline) => {
                    self.environment.wait_to_write(deadline);
                    self.expire();
                }
                // What others have left to this thread while it waited for the wire: what it sends next may be gathered.
                None => self.transmit(),
            },
        }
    }

    /// Gives a peer up that has taken no output in time, and releases the threads in `send`; from any thread,
    /// because the turn's own may be one of them. The turn finds the same afterwards. Says when to look again. A waiter
    /// whose timer has expired forgets it, calls this, and takes a turn, which tells it of the next time anew.
    pub fn expire(&self) -> Option<Instant> {
        // Relaxed: the turn that is asked for behind this sees it.
        self.is_deadline_lost.store(true, Ordering::Relaxed);
        self.with_output(|| {
            // There may be room that no thread has had the time to see.
            self.resume();
            let sight = self.handover.look(self.environment.now());
            // What others have left to this thread while it waited for the wire.
            self.transmit();
            if sight.has_expired || sight.failure.is_some() {
                self.stop_sending();
                return None;
            }
            sight.send_deadline
        })
    }

    /// The patience of all threads in `send` is over.
    #[cfg(shuttle)]
    pub fn time_passes(&self) {
        self.handover.time_passes();
    }

    /// Looks at the transport, once the session is open and until it has been given back.
    pub fn with_transport<T>(&self, look: impl FnOnce(&mut E::Transport) -> T) -> Option<T> {
        self.look_at(self.handover.hold()?, look)
    }

    /// [`Session::with_transport`] that does not wait: `None` while another thread has the transport, too.
    pub fn try_with_transport<T>(&self, look: impl FnOnce(&mut E::Transport) -> T) -> Option<T> {
        self.look_at(self.handover.try_hold()?, look)
    }

    fn look_at<T>(
        &self,
        mut holding: Holding<'_, E::Transport>,
        look: impl FnOnce(&mut E::Transport) -> T,
    ) -> Option<T> {
        let seen = self.with_output(|| look(holding.transport()));
        self.give_back(holding);
        Some(seen)
    }

    /// Writes what waits, when no other thread is at it.
    pub(crate) fn transmit(&self) {
        if let Some(holding) = self.handover.take_output() {
            self.write(holding);
        }
    }

    /// Whether the transport may be full.
    pub fn is_stalled(&self) -> bool {
        self.handover.is_stalled()
    }

    /// Goes on writing after the transport was full.
    #[inline]
    pub fn resume(&self) {
        // The poller says so with every input, too. Who hears of room sees at least what was noted before the write that
        // there was no room for.
        if !self.handover.is_at_rest() {
            self.resume_output();
        }
    }

    #[inline(never)]
    fn resume_output(&self) {
        if let Some(holding) = self.handover.resume() {
            self.write(holding);
        }
    }

    pub(crate) fn write(&self, holding: Holding<'_, E::Transport>) {
        self.with_output(|| holding.write(&self.environment, |progress| self.tell(progress)));
    }

    pub(crate) fn give_back(&self, holding: Holding<'_, E::Transport>) {
        self.with_output(|| holding.give_back(&self.environment, |progress| self.tell(progress)));
    }

    /// Tells the outside what has come of a write.
    #[inline(always)]
    fn tell(&self, progress: Progress) {
        if progress.sent > 0 {
            self.environment.bytes_out(progress.sent);
        }
        self.tell_queued(progress.queued);
        if progress.has_wanted_room {
            self.room_has_come();
        }
        if progress.is_turn_due {
            // A thread that knows nothing of the input may have written to the socket, or have found it broken.
            self.wake();
        }
        if let Some(deadline) = progress.stalled {
            self.environment.stalled(deadline);
        }
    }

    /// Says how much waits, which it did under the lock a moment ago.
    #[inline(always)]
    fn tell_queued(&self, queued: usize) {
        self.environment.queued(queued);
        if queued > 0 || !self.handover.is_at_rest() {
            self.tell_queued_again(queued);
        }
    }

    /// Others may have said so since, and meant what came later: whoever is last says what is true.
    #[inline(never)]
    fn tell_queued_again(&self, mut told: usize) {
        loop {
            let queued = self.handover.queued();
            if queued == told {
                return;
            }
            self.environment.queued(queued);
            told = queued;
        }
    }

    /// An application was told that there is no room, and there is now.
    fn room_has_come(&self) {
        // Release: the turn that acquires it calls the application, which may look at what this thread did.
        self.asked.is_writable.store(true, Ordering::Release);
        self.wake();
    }
}
