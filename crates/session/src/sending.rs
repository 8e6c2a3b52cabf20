//! What leaves a session: what applications send, from any thread, and how it reaches the transport.

use std::time::Instant;

use websocket_proto::{CloseFrame, ProtocolError};

use crate::ending::ClosedBy;
use crate::environment::Environment;
use crate::outbox::{Outgoing, Refused, SentBy};
use crate::session::Session;
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, lock, try_lock};
use crate::wire::Wire;

/// Bytes of answers that may be gathered before they are written.
const CORK_LIMIT: usize = 48 * 1024;

impl<E: Environment> Session<E> {
    /// Sends a message, a part of one or a control frame; blocks while the outbox is full. An error is never
    /// [`Refused::Full`], but before the 101, when nobody takes anything out.
    pub fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let sent_by = self.who_sends();
        loop {
            match self.outbox.push(outgoing, sent_by) {
                Err(Refused::Full) if self.is_accepted() => match sent_by {
                    SentBy::Callback => {
                        let wait = || self.wait_for_room(outgoing, sent_by);
                        self.environment.while_blocked(wait);
                    }
                    SentBy::Thread => self.wait_for_room(outgoing, sent_by),
                },
                pushed => return self.pushed(outgoing, sent_by, pushed),
            }
        }
    }

    /// [`Session::send`] that does not block; on_writable follows a [`Refused::Full`].
    pub fn try_send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let sent_by = self.who_sends();
        let pushed = self.outbox.try_push(outgoing, sent_by);
        self.pushed(outgoing, sent_by, pushed)
    }

    fn who_sends(&self) -> SentBy {
        match self.is_in_callback() {
            true => SentBy::Callback,
            false => SentBy::Thread,
        }
    }

    /// What is to be done after something was put into the outbox, or was refused.
    fn pushed(
        &self,
        outgoing: Outgoing<'_>,
        sent_by: SentBy,
        pushed: Result<(), Refused>,
    ) -> Result<(), Refused> {
        match pushed {
            Ok(()) => {
                match outgoing {
                    Outgoing::Message(..) => self.message_sent(),
                    Outgoing::Fragment { is_final: true, .. } => {
                        self.message_sent();
                        if self.outbox.is_wanted_room_there() {
                            self.room_has_come();
                        }
                    }
                    Outgoing::Fragment { .. } | Outgoing::Ping(_) | Outgoing::Pong(_) => {}
                }
                match sent_by {
                    SentBy::Callback => self.transmit_unless_corked(),
                    SentBy::Thread => self.transmit(),
                }
                self.environment.queued(self.outbox.queued());
            }
            Err(_) => {}
        }
        pushed
    }

    /// Starts the closing handshake. Says whether it was this call that did.
    pub fn close(&self, frame: Option<&CloseFrame>, by: ClosedBy) -> bool {
        let is_first = self.outbox.push_close(frame).is_ok();
        if is_first {
            self.closed_by(by, frame.cloned());
            self.environment.closing();
            self.transmit();
            self.wake();
        }
        is_first
    }

    /// [`Session::close`] by the application, with the payload data of a Close frame; the error is what is wrong with
    /// it.
    pub fn close_with_payload(&self, payload: &[u8]) -> Result<bool, ProtocolError> {
        let frame = CloseFrame::parse(payload, self.reserved_close_codes)?;
        Ok(self.close(frame.as_ref(), ClosedBy::Plugin))
    }

    /// Writes, unless what the turn's thread sends is gathered for a moment.
    pub(crate) fn transmit_unless_corked(&self) {
        if !self.is_corked.load(Ordering::Relaxed) || self.outbox.queued() >= CORK_LIMIT {
            self.transmit();
        }
    }

    fn wait_for_room(&self, outgoing: Outgoing<'_>, sent_by: SentBy) {
        let deadline = self.with_wire(|wire| wire.send_deadline()).flatten();
        if !self.environment.wait_to_write(deadline) {
            self.outbox.wait_for_room(outgoing, sent_by);
            return;
        }
        self.expire();
    }

    /// Gives a peer up that has taken no output in time, and releases the threads in `send`; from any thread,
    /// because the turn's own may be one of them. The turn finds the same afterwards. Says when to look again.
    pub fn expire(&self) -> Option<Instant> {
        // There may be room that nobody has had the time to see.
        self.resume();
        let (is_over, deadline) = self.with_wire(|wire| {
            let is_over = wire.expire(&self.environment) || wire.failure().is_some();
            (is_over, wire.send_deadline())
        })?;
        if is_over {
            self.outbox.end();
            return None;
        }
        deadline
    }

    /// Looks at the transport, once the session is open and until it has been given back.
    pub fn with_transport<T>(&self, look: impl FnOnce(&mut E::Transport) -> T) -> Option<T> {
        self.with_wire(|wire| look(wire.transport()))
    }

    /// Looks at the wire. A thread that finds it taken meanwhile leaves its message to this one.
    pub(crate) fn with_wire<T>(
        &self,
        look: impl FnOnce(&mut Wire<E::Transport>) -> T,
    ) -> Option<T> {
        let seen = self.wire().as_mut().map(look);
        self.transmit();
        seen
    }

    /// The wire, before threads that would only write to it: a mutex goes to the one that is quick, and an application's
    /// threads that send without end would keep a turn from reading. The caller sees to output that is left to it.
    pub(crate) fn wire(&self) -> MutexGuard<'_, Option<Wire<E::Transport>>> {
        match try_lock(&self.wire) {
            Some(wire) => wire,
            None => {
                self.is_wanted.store(true, Ordering::Relaxed);
                let wire = lock(&self.wire);
                // A thread that has seen it set had put its output in before, and this one looks for output after this:
                // the outbox's lock orders the two.
                self.is_wanted.store(false, Ordering::Relaxed);
                wire
            }
        }
    }

    // The wire's side, on the thread that has it.

    /// Writes what the outbox holds and the socket takes, if nobody else is at it. Who holds the transport
    /// writes what others put in meanwhile, so that nothing stays behind.
    pub(crate) fn transmit(&self) {
        while self.outbox.has_output()
            && !self.is_stalled.load(Ordering::Acquire)
            && !self.is_wanted.load(Ordering::Relaxed)
        {
            let Some(mut wire) = try_lock(&self.wire) else {
                return;
            };
            let Some(wire) = wire.as_mut() else {
                return;
            };
            if !self.write_out(wire) {
                self.environment.stalled(wire.send_deadline());
            }
        }
    }

    /// Whether the transport was full when it was last written to.
    pub fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::SeqCst)
    }

    /// Goes on writing after the transport was full.
    pub fn resume(&self) {
        if self.is_stalled()
            && let Some(wire) = lock(&self.wire).as_mut()
        {
            self.transmitted(wire.resume(&self.environment));
            self.is_stalled.store(!wire.is_idle(), Ordering::SeqCst);
        }
        self.transmit();
    }

    /// Writes frame after frame until the outbox is empty or another thread wants the wire; `false` when it takes no
    /// more.
    fn write_out(&self, wire: &mut Wire<E::Transport>) -> bool {
        loop {
            while wire.is_idle() {
                if self.is_wanted.load(Ordering::Relaxed) {
                    return true;
                }
                let Some(frames) = self.outbox.take() else {
                    return true;
                };
                self.transmitted(wire.write(frames, &self.environment));
            }
            // Room that comes from here on is seen by whoever the driver has resume. What has come since the write
            // is told only once, perhaps to somebody who has looked before this: so the socket is asked again.
            self.is_stalled.store(true, Ordering::SeqCst);
            self.transmitted(wire.resume(&self.environment));
            if !wire.is_idle() {
                return false;
            }
            self.is_stalled.store(false, Ordering::SeqCst);
        }
    }

    /// Something has been read, for which the transport may have written (TLS does): what did not leave waits for room
    /// as all output does.
    pub(crate) fn has_read(&self, wire: &mut Wire<E::Transport>) {
        if wire.is_clogged() && !self.is_stalled() && !self.write_out(wire) {
            self.environment.stalled(wire.send_deadline());
        }
    }

    fn transmitted(&self, count: usize) {
        self.environment.bytes_out(count);
        let has_room = self.outbox.transmitted(count);
        self.environment.queued(self.outbox.queued());
        if has_room {
            self.room_has_come();
        }
        // The socket may have been written to by a thread that knows nothing of the input.
        if self.is_input_stopped.load(Ordering::SeqCst)
            && self.outbox.has_room(SentBy::Callback)
            && self.is_input_stopped.swap(false, Ordering::SeqCst)
        {
            self.wake();
        }
    }

    /// Somebody was told that there is no room, and there is now.
    fn room_has_come(&self) {
        self.asked.is_writable.store(true, Ordering::Release);
        self.wake();
    }
}
