//! What waits to be sent to one peer: whole frames, in order, up to a limit.

use std::collections::VecDeque;
use std::sync::Arc;

use websocket_proto::{CloseFrame, Compression, ControlPayload, LocalError, MessageKind, Sender};

use crate::buffers::Buffers;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, lock};

/// Small frames are gathered into one buffer up to this many bytes, so that they leave in one write.
const GATHER: usize = 16 * 1024;

/// The outbox. Any thread puts in; the thread that holds the transport takes out.
pub struct Outbox {
    state: Mutex<State>,
    room: Condvar,
    /// Bytes put in and not yet taken by the socket.
    queued: AtomicUsize,
    is_close_sent: AtomicBool,
    limit: usize,
    buffers: Arc<Buffers>,
}

struct State {
    sender: Sender,
    /// Buffers of whole frames.
    frames: VecDeque<Vec<u8>>,
    /// Messages that wait until the one that is being sent in parts has ended.
    held_up: VecDeque<(MessageKind, Compression, Box<[u8]>)>,
    /// The bytes of `held_up`.
    held_up_bytes: usize,
    /// The answer to the latest ping, while there is no room for it.
    pong: Option<ControlPayload>,
    has_ended: bool,
    waiting: usize,
    /// Somebody was told that there is no room, and wants to know when there is.
    wants_room: bool,
}

/// What an application sends.
#[derive(Clone, Copy)]
pub enum Outgoing<'a> {
    /// A data message.
    Message(MessageKind, Compression, &'a [u8]),
    /// A part of a data message; the last one is final.
    Fragment {
        /// Of the whole message.
        kind: MessageKind,
        /// The part.
        payload: &'a [u8],
        /// It is the last part.
        is_final: bool,
    },
    /// A ping of the application's own.
    Ping(&'a [u8]),
    /// A pong that answers nothing.
    Pong(&'a [u8]),
}

/// Who sends. Threads of an application that keep the outbox full must not keep the peer's input waiting: so what its
/// callbacks send has room of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SentBy {
    /// A callback of the session, on the thread that has its turn.
    Callback,
    /// Any other thread.
    Thread,
}

/// Why the outbox did not take something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The session has ended.
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
            held_up: VecDeque::new(),
            held_up_bytes: 0,
            pong: None,
            has_ended: false,
            waiting: 0,
            wants_room: false,
        };
        Outbox {
            state: Mutex::new(state),
            room: Condvar::new(),
            queued: AtomicUsize::new(0),
            is_close_sent: AtomicBool::new(false),
            limit,
            buffers,
        }
    }

    /// Puts in one message, part of a message or control frame.
    pub fn push(&self, outgoing: Outgoing<'_>, sent_by: SentBy) -> Result<(), Refused> {
        let mut state = self.state();
        if state.has_ended || state.sender.is_close_sent() {
            return Err(Refused::Ended);
        }
        if !self.has_room(sent_by) {
            return Err(Refused::Full);
        }
        match outgoing {
            Outgoing::Message(kind, compression, payload) => {
                if state.sender.is_message_unfinished() {
                    return self.hold_up(&mut state, (kind, compression, payload), sent_by);
                }
                self.append(&mut state, payload.len(), |sender, frames| {
                    sender.send_message_with(kind, payload, compression, frames)
                })
            }
            Outgoing::Fragment {
                kind,
                payload,
                is_final,
            } => {
                self.append(&mut state, payload.len(), |sender, frames| {
                    sender.send_fragment(kind, payload, is_final, frames)
                })?;
                if is_final {
                    self.release_held_up(&mut state);
                }
                Ok(())
            }
            Outgoing::Ping(payload) => self.append(&mut state, payload.len(), |sender, frames| {
                sender.send_ping(payload, frames)
            }),
            Outgoing::Pong(payload) => self.append(&mut state, payload.len(), |sender, frames| {
                sender.send_pong(payload, frames)
            }),
        }
    }

    /// [`Outbox::push`] for somebody who does not wait: when there is no room, [`Outbox::transmitted`] says when
    /// there is again.
    pub fn try_push(&self, outgoing: Outgoing<'_>, sent_by: SentBy) -> Result<(), Refused> {
        let pushed = match self.push(outgoing, sent_by) {
            // Whoever does not wait, does not wait for itself.
            Err(Refused::Invalid(LocalError::MessageUnfinished)) => Err(Refused::Full),
            pushed => pushed,
        };
        if pushed == Err(Refused::Full) {
            let mut state = self.state();
            state.wants_room = true;
            // It may have come since.
            if self.has_room(sent_by) && state.held_up.is_empty() {
                state.wants_room = false;
                drop(state);
                return self.try_push(outgoing, sent_by);
            }
        }
        pushed
    }

    /// Keeps a message until the one that is being sent in parts has ended.
    fn hold_up(
        &self,
        state: &mut State,
        (kind, compression, payload): (MessageKind, Compression, &[u8]),
        sent_by: SentBy,
    ) -> Result<(), Refused> {
        state
            .sender
            .check_message(kind, payload)
            .map_err(Refused::from)?;
        if self.queued() + state.held_up_bytes >= self.limit(sent_by) {
            return Err(match sent_by {
                SentBy::Thread => Refused::Full,
                // The callback that would end the message in parts may be this one.
                SentBy::Callback => Refused::Invalid(LocalError::MessageUnfinished),
            });
        }
        state.held_up_bytes += payload.len();
        state.held_up.push_back((kind, compression, payload.into()));
        Ok(())
    }

    /// Encodes what has waited for the end of a message in parts.
    fn release_held_up(&self, state: &mut State) {
        state.held_up_bytes = 0;
        for (kind, compression, payload) in std::mem::take(&mut state.held_up) {
            // Nothing is wrong with it: it has been checked.
            let _ = self.append(state, payload.len(), |sender, frames| {
                sender.send_message_with(kind, &payload, compression, frames)
            });
        }
        self.wake(state);
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
        self.is_close_sent.store(true, Ordering::Release);
        state.drop_behind_close();
        self.wake(&state);
        Ok(())
    }

    /// Whether nothing is taken any more: the connection has ended, or the Close frame has been put in.
    pub fn has_ended(&self) -> bool {
        let state = self.state();
        state.has_ended || state.sender.is_close_sent()
    }

    /// Whether the Close frame has been put in.
    pub fn is_close_sent(&self) -> bool {
        self.is_close_sent.load(Ordering::Acquire)
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

    /// So many bytes of what was taken have left. Says whether somebody is to be told that there is room now.
    pub fn transmitted(&self, count: usize) -> bool {
        let before = self.queued.fetch_sub(count, Ordering::AcqRel);
        let has_room_now = |limit| before >= limit && before - count < limit;
        if has_room_now(self.limit(SentBy::Thread)) || has_room_now(self.limit(SentBy::Callback)) {
            self.wake(&self.state());
        }
        before > self.ample() && before - count <= self.ample() && self.is_wanted_room_there()
    }

    /// Whether somebody is to be told that there is room now; says so once.
    pub fn is_wanted_room_there(&self) -> bool {
        let mut state = self.state();
        let is_there = self.queued() <= self.ample() && state.held_up.is_empty();
        is_there && std::mem::take(&mut state.wants_room)
    }

    /// What may wait when somebody is told that there is room.
    fn ample(&self) -> usize {
        self.limit / 2
    }

    /// Whether [`Outbox::take`] has something to give.
    pub fn has_output(&self) -> bool {
        let state = self.state();
        !state.frames.is_empty() || state.pong.is_some()
    }

    /// Bytes accepted and not yet taken by the socket, those behind an unfinished message included.
    pub fn buffered(&self) -> usize {
        let held_up = self.state().held_up_bytes;
        self.queued() + held_up
    }

    /// Bytes put in and not yet taken by the socket.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    /// Whether a message would be taken.
    pub fn has_room(&self, sent_by: SentBy) -> bool {
        self.queued() < self.limit(sent_by)
    }

    /// Blocks until there is room for `outgoing`, the Close frame has been put in or the connection has ended.
    pub fn wait_for_room(&self, outgoing: Outgoing<'_>, sent_by: SentBy) {
        let mut state = self.state();
        state.waiting += 1;
        while !state.has_ended && !state.sender.is_close_sent() {
            let held_up = match outgoing {
                Outgoing::Message(..) if state.sender.is_message_unfinished() => {
                    state.held_up_bytes
                }
                _ => 0,
            };
            if self.queued() + held_up < self.limit(sent_by) {
                break;
            }
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
        state.drop_behind_close();
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
        outcome.map_err(Refused::from)
    }

    fn wake(&self, state: &State) {
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// What may not follow the Close frame.
    fn drop_behind_close(&mut self) {
        self.held_up = VecDeque::new();
        self.held_up_bytes = 0;
        self.pong = None;
        self.wants_room = false;
    }
}

impl From<LocalError> for Refused {
    fn from(error: LocalError) -> Self {
        match error {
            // A thread that sends while another closes has done nothing wrong.
            LocalError::CloseSent => Refused::Ended,
            error => Refused::Invalid(error),
        }
    }
}
