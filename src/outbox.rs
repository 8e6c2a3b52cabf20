//! What waits to be sent to one peer: whole frames, in order, up to a limit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use websocket_proto::{CloseFrame, Compression, ControlPayload, LocalError, MessageKind, Sender};

use crate::buffers::Buffers;

/// Small frames are gathered into one buffer up to this many bytes, so that they leave in one write.
const GATHER: usize = 16 * 1024;

/// The outbox. Any thread puts in; the thread that holds the transport takes out.
pub struct Outbox {
    state: Mutex<State>,
    room: Condvar,
    /// Bytes put in and not yet taken by the socket.
    queued: AtomicUsize,
    limit: usize,
    buffers: Arc<Buffers>,
}

struct State {
    sender: Sender,
    /// Buffers of whole frames.
    frames: VecDeque<Vec<u8>>,
    /// The answer to the latest ping, while there is no room for it.
    pong: Option<ControlPayload>,
    has_ended: bool,
    waiting: usize,
}

/// What a plugin sends.
#[derive(Clone, Copy)]
pub enum Outgoing<'a> {
    /// A data message.
    Message(MessageKind, Compression, &'a [u8]),
    /// A ping of the plugin's own.
    Ping(&'a [u8]),
    /// A pong that answers nothing.
    Pong(&'a [u8]),
}

/// Who sends. Threads of a plugin that keep the outbox full must not keep the peer's input waiting: so what its
/// callbacks send has room of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SentBy {
    /// A callback of the connection, on the thread that has its turn.
    Callback,
    /// Any other thread.
    Thread,
}

/// Why the outbox did not take something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The connection has ended.
    Ended,
    /// No room now.
    Full,
    /// It may not be sent.
    Invalid(LocalError),
}

impl Outbox {
    /// An empty outbox that takes messages while fewer than `limit` bytes wait, and as much again of callbacks.
    pub fn new(limit: usize, sender: Sender, buffers: Arc<Buffers>) -> Self {
        let state = State {
            sender,
            frames: VecDeque::new(),
            pong: None,
            has_ended: false,
            waiting: 0,
        };
        Outbox {
            state: Mutex::new(state),
            room: Condvar::new(),
            queued: AtomicUsize::new(0),
            limit,
            buffers,
        }
    }

    /// Puts in one message or control frame.
    pub fn push(&self, outgoing: Outgoing<'_>, sent_by: SentBy) -> Result<(), Refused> {
        let mut state = self.state();
        if state.has_ended {
            return Err(Refused::Ended);
        }
        if !self.has_room(sent_by) {
            return Err(Refused::Full);
        }
        let (Outgoing::Message(_, _, payload) | Outgoing::Ping(payload) | Outgoing::Pong(payload)) =
            outgoing;
        self.append(&mut state, payload.len(), |sender, frames| match outgoing {
            Outgoing::Message(kind, compression, _) => {
                sender.send_message_with(kind, payload, compression, frames)
            }
            Outgoing::Ping(_) => sender.send_ping(payload, frames),
            Outgoing::Pong(_) => sender.send_pong(payload, frames),
        })
    }

    /// Answers a ping. While there is no room only the latest is answered, as RFC 6455 §5.5.3 allows, so that a
    /// flood of pings takes no memory.
    pub fn push_pong(&self, payload: ControlPayload) {
        let mut state = self.state();
        if state.has_ended || state.sender.is_close_sent() {
            return;
        }
        if self.has_room(SentBy::Callback) {
            // Nothing is wrong with it: its length is a control frame's, and no Close has been sent.
            let _ = self.append(&mut state, payload.len(), |sender, frames| {
                sender.send_pong(&payload, frames)
            });
        } else {
            state.pong = Some(payload);
        }
    }

    /// Puts in the Close frame, whatever the limit; nothing goes in afterwards.
    pub fn push_close(&self, frame: Option<&CloseFrame>) -> Result<(), Refused> {
        let mut state = self.state();
        if state.has_ended {
            return Err(Refused::Ended);
        }
        self.append(&mut state, ControlPayload::MAX_LEN, |sender, frames| {
            sender.send_close(frame, frames)
        })?;
        state.pong = None;
        self.wake(&state);
        Ok(())
    }

    /// Whether the Close frame has been put in.
    pub fn is_close_sent(&self) -> bool {
        self.state().sender.is_close_sent()
    }

    /// The next frames to write, in one buffer.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        if let Some(pong) = state.pong.take() {
            // Frames that wait are whole: a control frame may go before them (RFC 6455 §5.4).
            let mut frame = Vec::new();
            if state.sender.send_pong(&pong, &mut frame).is_ok() {
                self.queued.fetch_add(frame.len(), Ordering::Relaxed);
                return Some(frame);
            }
        }
        state.frames.pop_front()
    }

    /// So many bytes of what was taken have left.
    pub fn transmitted(&self, count: usize) {
        let before = self.queued.fetch_sub(count, Ordering::AcqRel);
        let has_room_now = |limit| before >= limit && before - count < limit;
        if has_room_now(self.limit(SentBy::Thread)) || has_room_now(self.limit(SentBy::Callback)) {
            self.wake(&self.state());
        }
    }

    /// Whether [`Outbox::take`] has something to give.
    pub fn has_output(&self) -> bool {
        let state = self.state();
        !state.frames.is_empty() || state.pong.is_some()
    }

    /// Bytes put in and not yet taken by the socket.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    /// Whether a message would be taken.
    pub fn has_room(&self, sent_by: SentBy) -> bool {
        self.queued() < self.limit(sent_by)
    }

    /// Blocks until there is room, the Close frame has been put in or the connection has ended.
    pub fn wait_for_room(&self, sent_by: SentBy) {
        let mut state = self.state();
        state.waiting += 1;
        while !self.has_room(sent_by) && !state.has_ended && !state.sender.is_close_sent() {
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }

    fn limit(&self, sent_by: SentBy) -> usize {
        match sent_by {
            SentBy::Thread => self.limit,
            SentBy::Callback => self.limit.saturating_mul(2),
        }
    }

    /// The connection has ended: what waits is dropped, and every thread that waits for room goes on.
    pub fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        state.frames = VecDeque::new();
        state.pong = None;
        self.wake(&state);
    }

    /// Encodes frames of about `payload_len` bytes behind what waits.
    fn append(
        &self,
        state: &mut State,
        payload_len: usize,
        encode: impl FnOnce(&mut Sender, &mut Vec<u8>) -> Result<(), LocalError>,
    ) -> Result<(), Refused> {
        let State { sender, frames, .. } = state;
        let gathers = frames
            .back()
            .is_some_and(|last| last.len() + payload_len <= GATHER);
        if !gathers {
            frames.push_back(self.buffers.take(payload_len));
        }
        let last = frames.back_mut().expect("there is one by now");
        let before = last.len();
        let outcome = encode(sender, last);
        let count = last.len() - before;
        if last.is_empty() {
            frames.pop_back();
        }
        self.queued.fetch_add(count, Ordering::AcqRel);
        outcome.map_err(|error| match error {
            // A thread that sends while another closes has done nothing wrong.
            LocalError::CloseSent => Refused::Ended,
            error => Refused::Invalid(error),
        })
    }

    fn wake(&self, state: &MutexGuard<'_, State>) {
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
