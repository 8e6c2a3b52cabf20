//! What leaves a connection: what plugins send, from any thread, and how it reaches the socket.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, TryLockError};
use std::time::Instant;

use websocket_proto::CloseFrame;

use crate::lock::lock;
use crate::websocket::connection::Connection;
use crate::websocket::ending::ClosedBy;
use crate::websocket::outbox::{Outgoing, Refused, SentBy};
use crate::websocket::transport::Transport;

/// Bytes of answers that may be gathered before they are written.
const CORK_LIMIT: usize = 48 * 1024;

impl Connection {
    /// Sends a message, a part of one or a control frame; blocks while the outbox is full. An error is never
    /// [`Refused::Full`], but before the 101, when nobody takes anything out.
    pub fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let sent_by = self.who_sends();
        if let Outgoing::Ping(payload) = outgoing {
            self.pinged(payload);
        }
        loop {
            match self.outbox.push(outgoing, sent_by) {
                Err(Refused::Full) if self.is_accepted() => self.wait_for_room(outgoing, sent_by),
                pushed => return self.pushed(outgoing, sent_by, pushed),
            }
        }
    }

    /// [`Connection::send`] that does not block; on_writable follows a [`Refused::Full`].
    pub fn try_send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        let sent_by = self.who_sends();
        if let Outgoing::Ping(payload) = outgoing {
            self.pinged(payload);
        }
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
                self.entry().queued(self.outbox.queued());
            }
            Err(Refused::Invalid(reason)) => self.log_misuse(&reason),
            Err(Refused::Full | Refused::Ended) => {}
        }
        pushed
    }

    /// Starts the closing handshake. Says whether it was this call that did.
    pub fn close(&self, frame: Option<&CloseFrame>, by: ClosedBy) -> bool {
        let is_first = self.outbox.push_close(frame).is_ok();
        if is_first {
            self.closed_by(by, frame.cloned());
            self.entry().closing();
            self.transmit();
            self.wake();
        }
        is_first
    }

    /// [`Connection::close`] with the payload data of a Close frame.
    pub fn close_with_payload(&self, payload: &[u8]) -> bool {
        match CloseFrame::parse(payload, self.reserved_close_codes) {
            Ok(frame) => self.close(frame.as_ref(), ClosedBy::Plugin),
            Err(reason) => {
                self.log_misuse(&reason);
                false
            }
        }
    }

    /// Writes, unless what the turn's thread sends is gathered for a moment.
    pub(crate) fn transmit_unless_corked(&self) {
        if !self.is_corked.load(Ordering::Relaxed) || self.outbox.queued() >= CORK_LIMIT {
            self.transmit();
        }
    }

    fn wait_for_room(&self, outgoing: Outgoing<'_>, sent_by: SentBy) {
        let deadline = self
            .with_transport(|transport| transport.send_deadline())
            .flatten();
        let has_waited = self
            .driver()
            .is_some_and(|driver| driver.wait_to_write(deadline));
        if !has_waited {
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
        let (is_over, deadline) = self.with_transport(|transport| {
            let is_over = transport.expire() || transport.failure().is_some();
            (is_over, transport.send_deadline())
        })?;
        if is_over {
            self.outbox.end();
            return None;
        }
        deadline
    }

    /// Looks at the transport. Who finds it taken meanwhile leaves its message to this thread.
    pub(crate) fn with_transport<T>(&self, look: impl FnOnce(&mut Transport) -> T) -> Option<T> {
        let seen = self.transport().as_mut().map(look);
        self.transmit();
        seen
    }

    /// The transport, before those who would only write to it: a mutex goes to whoever is quick, and a plugin's
    /// threads that send without end would keep a turn from reading. The caller sees to output that is left to it.
    pub(crate) fn transport(&self) -> MutexGuard<'_, Option<Transport>> {
        match self.transport.try_lock() {
            Ok(transport) => transport,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.is_wanted.store(true, Ordering::Relaxed);
                let transport = lock(&self.transport);
                // Whoever has seen it set had put its output in before, and this thread looks for output after this:
                // the outbox's lock orders the two.
                self.is_wanted.store(false, Ordering::Relaxed);
                transport
            }
        }
    }

    // The transport's side, on whatever thread has it.

    /// Writes what the outbox holds and the socket takes, if nobody else is at it. Who holds the transport
    /// writes what others put in meanwhile, so that nothing stays behind.
    pub(crate) fn transmit(&self) {
        while self.outbox.has_output()
            && !self.is_stalled.load(Ordering::Acquire)
            && !self.is_wanted.load(Ordering::Relaxed)
        {
            let mut transport = match self.transport.try_lock() {
                Ok(transport) => transport,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let Some(transport) = transport.as_mut() else {
                return;
            };
            if !self.write_out(transport)
                && let Some(driver) = self.driver()
            {
                driver.stalled(transport.send_deadline());
            }
        }
    }

    /// Whether the socket was full when it was last written to.
    pub fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::SeqCst)
    }

    /// Goes on writing after the socket was full.
    pub fn resume(&self) {
        if self.is_stalled()
            && let Some(transport) = lock(&self.transport).as_mut()
        {
            self.transmitted(transport.resume());
            self.is_stalled
                .store(!transport.is_idle(), Ordering::SeqCst);
        }
        self.transmit();
    }

    /// Writes frame after frame until the outbox is empty or somebody wants the transport; `false` when it takes no more.
    fn write_out(&self, transport: &mut Transport) -> bool {
        loop {
            while transport.is_idle() {
                if self.is_wanted.load(Ordering::Relaxed) {
                    return true;
                }
                let Some(frames) = self.outbox.take() else {
                    return true;
                };
                self.transmitted(transport.write(frames));
            }
            // Room that comes from here on is seen by whoever the driver has resume. What has come since the write
            // is told only once, perhaps to somebody who has looked before this: so the socket is asked again.
            self.is_stalled.store(true, Ordering::SeqCst);
            self.transmitted(transport.resume());
            if !transport.is_idle() {
                return false;
            }
            self.is_stalled.store(false, Ordering::SeqCst);
        }
    }

    fn transmitted(&self, count: usize) {
        self.entry().bytes_out(count);
        let has_room = self.outbox.transmitted(count);
        self.entry().queued(self.outbox.queued());
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
