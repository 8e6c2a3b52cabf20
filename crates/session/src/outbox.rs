//! What waits to be sent to one peer: whole frames, in order, up to a limit.

use std::collections::VecDeque;
use std::sync::Arc;

use websocket_proto::{
    CloseFrame, Compression, ControlPayload, LocalError, MessageKind, PreparedMessage, SendingHalf,
    frame::FrameHeaderBytes,
};

use crate::buffers::Buffers;
use crate::limits::{CORK_LIMIT, GATHER, HELD_UP_OVERHEAD, SHARED, SLACK};
use crate::pieces::{self, Piece, Pieces};

/// The outbox: plain data, which [`crate::handover`] keeps under its lock.
pub struct Outbox {
    sender: SendingHalf,
    /// Buffers of whole frames that are full, and frames that were made for many.
    full: VecDeque<Piece>,
    /// Whole frames behind those: the buffer that more are gathered in.
    last: Vec<u8>,
    /// The bytes of both.
    framed: usize,
    /// Bytes taken out, and not yet taken by the transport.
    leaving: usize,
    /// Messages that wait until the one that is being sent in parts has ended.
    held_up: VecDeque<HeldUp>,
    /// The bytes of `held_up`.
    held_up_bytes: usize,
    /// Who has sent the latest part of a message, and may be the one to end it.
    parts_by: SentBy,
    /// The answer to the latest ping, while there is no room for it. Most have none, and spend no memory on it.
    pong: Option<Box<ControlPayload>>,
    intake: Intake,
    /// An application was told that there is no room, and wants to know when there is.
    wants_room: bool,
    /// The same for a message that has to wait for the end of one in parts, behind others that do.
    wants_room_to_wait: bool,
    limit: usize,
    buffers: Arc<Buffers>,
}

/// What is still put in.
#[derive(PartialEq, Eq)]
enum Intake {
    Open,
    /// The peer is gone: what is put in never reaches it. The Close frame is, because it says of the session how it ends.
    CloseOnly,
    Shut,
}

/// A message that waits for the end of another.
enum HeldUp {
    Own(MessageKind, Compression, Box<[u8]>),
    Prepared(PreparedMessage),
}

/// What room there is, once some output has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewRoom {
    /// There is room for threads, or for callbacks, and there was none before.
    pub is_below_a_limit: bool,
    /// An application is to be told that there is room now; said once.
    pub is_wanted: bool,
}

impl NewRoom {
    const NO_NEWS: NewRoom = NewRoom {
        is_below_a_limit: false,
        is_wanted: false,
    };
}

/// What an application sends.
#[derive(Clone, Copy)]
pub enum Outgoing<'a> {
    /// A data message.
    Message(MessageKind, Compression, &'a [u8]),
    /// A data message that goes to many.
    Prepared(&'a PreparedMessage),
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

impl Outgoing<'_> {
    /// Whether a data message is whole with it.
    #[inline(always)]
    pub fn ends_message(&self) -> bool {
        matches!(
            self,
            Outgoing::Message(..)
                | Outgoing::Prepared(_)
                | Outgoing::Fragment { is_final: true, .. }
        )
    }
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
    /// The session has ended, its peer is gone, or the Close frame has been put in.
    Ended,
    /// No room now.
    Full,
    /// It may not be sent.
    Invalid(LocalError),
}

impl Outbox {
    /// An empty outbox that takes messages while fewer than `limit` bytes wait, and as much again of callbacks.
    pub fn new(limit: usize, sender: SendingHalf, buffers: Arc<Buffers>) -> Self {
        Outbox {
            sender,
            full: VecDeque::new(),
            last: Vec::new(),
            framed: 0,
            leaving: 0,
            held_up: VecDeque::new(),
            held_up_bytes: 0,
            parts_by: SentBy::Thread,
            pong: None,
            intake: Intake::Open,
            wants_room: false,
            wants_room_to_wait: false,
            limit,
            buffers,
        }
    }

    /// Puts in one message, part of a message or control frame.
    #[inline(always)]
    pub fn push(&mut self, outgoing: Outgoing<'_>, sent_by: SentBy) -> Result<(), Refused> {
        if self.has_ended() {
            return Err(Refused::Ended);
        }
        if !self.has_room(sent_by) {
            return Err(Refused::Full);
        }
        match outgoing {
            Outgoing::Message(kind, compression, payload) => {
                if self.sender.is_message_unfinished() {
                    self.sender.check_message(kind, payload)?;
                    let message = || HeldUp::Own(kind, compression, payload.into());
                    return self.hold_up(payload.len(), message, sent_by);
                }
                self.append(payload.len(), |sender, frames| {
                    sender.send_message_with(kind, payload, compression, frames)
                })
            }
            Outgoing::Prepared(message) => self.push_prepared(message, sent_by),
            Outgoing::Fragment {
                kind,
                payload,
                is_final,
            } => {
                self.append(payload.len(), |sender, frames| {
                    sender.send_fragment(kind, payload, is_final, frames)
                })?;
                self.parts_by = sent_by;
                if is_final {
                    self.release_held_up();
                }
                Ok(())
            }
            Outgoing::Ping(payload) => self.append(payload.len(), |sender, frames| {
                sender.send_ping(payload, frames)
            }),
            Outgoing::Pong(payload) => self.append(payload.len(), |sender, frames| {
                sender.send_pong(payload, frames)
            }),
        }
    }

    /// Whether a message may be written from where it is: nothing waits before it, and it leaves as it is. Its header, if so;
    /// from here on both count as taken out. Whatever speaks against the message itself, [`Outbox::push`] says.
    pub fn pass(
        &mut self,
        kind: MessageKind,
        compression: Compression,
        payload: &[u8],
    ) -> Option<FrameHeaderBytes> {
        if self.has_ended() || self.queued() > 0 || self.pong.is_some() {
            return None;
        }
        let header = self.sender.message_as_it_is(kind, compression, payload)?;
        self.leaving += header.len() + payload.len();
        Some(header)
    }

    /// [`Outbox::push`] for a sender that does not block: when there is no room, [`Outbox::transmitted`] says when there
    /// is again.
    pub fn try_push(&mut self, outgoing: Outgoing<'_>, sent_by: SentBy) -> Result<(), Refused> {
        let pushed = match self.push(outgoing, sent_by) {
            // A callback that blocked for the end of a message in parts might wait for itself; one that tries again
            // later does not.
            Err(Refused::Invalid(LocalError::MessageUnfinished)) => Err(Refused::Full),
            pushed => pushed,
        };
        if pushed == Err(Refused::Full) {
            // What it has to wait for: a part's end of waiting is not that of a message that waits for the last part.
            match self.has_room(sent_by) {
                true => self.wants_room_to_wait = true,
                false => self.wants_room = true,
            }
        }
        pushed
    }

    #[inline(never)]
    fn push_prepared(&mut self, message: &PreparedMessage, sent_by: SentBy) -> Result<(), Refused> {
        if self.sender.is_message_unfinished() {
            self.sender.check_prepared(message)?;
            let len = message.payload().len();
            return self.hold_up(len, || HeldUp::Prepared(message.clone()), sent_by);
        }
        self.append_prepared(message)
    }

    /// Puts in a frame that belongs to many, without a copy where that pays.
    fn append_prepared(&mut self, message: &PreparedMessage) -> Result<(), Refused> {
        let frame = self.sender.send_prepared(message)?;
        if frame.len() < SHARED {
            return self.append(frame.len(), |_, frames| {
                frames.extend_from_slice(&frame);
                Ok(())
            });
        }
        if !self.last.is_empty() {
            self.begin_another(Vec::new());
        }
        self.framed += frame.len();
        self.full.push_back(Piece::Shared(frame));
        Ok(())
    }

    /// Keeps a message until the one that is being sent in parts has ended.
    fn hold_up(
        &mut self,
        len: usize,
        message: impl FnOnce() -> HeldUp,
        sent_by: SentBy,
    ) -> Result<(), Refused> {
        if self.cost() >= self.limit(sent_by) {
            return Err(match sent_by {
                SentBy::Thread => Refused::Full,
                // The callback that would end the message in parts may be this one.
                SentBy::Callback => Refused::Invalid(LocalError::MessageUnfinished),
            });
        }
        self.held_up_bytes += len;
        self.held_up.push_back(message());
        Ok(())
    }

    /// Encodes what has waited for the end of a message in parts.
    fn release_held_up(&mut self) {
        self.held_up_bytes = 0;
        for message in std::mem::take(&mut self.held_up) {
            // Nothing is wrong with it: it has been checked.
            let _ = match message {
                HeldUp::Own(kind, compression, payload) => self
                    .append(payload.len(), |sender, frames| {
                        sender.send_message_with(kind, &payload, compression, frames)
                    }),
                HeldUp::Prepared(message) => self.append_prepared(&message),
            };
        }
    }

    /// Answers a ping. While there is no room only the latest is answered, as RFC 6455 §5.5.3 allows, so that a
    /// flood of pings takes no memory.
    pub fn push_pong(&mut self, payload: ControlPayload) {
        if self.has_ended() {
            return;
        }
        if self.has_room(SentBy::Callback) {
            // Nothing is wrong with it: its length is a control frame's, and no Close has been sent.
            let _ = self.append(payload.len(), |sender, frames| {
                sender.send_pong(&payload, frames)
            });
        } else {
            self.pong = Some(Box::new(payload));
        }
    }

    /// Puts in the Close frame, whatever the limit; nothing goes in afterwards.
    pub fn push_close(&mut self, frame: Option<&CloseFrame>) -> Result<(), Refused> {
        if self.intake == Intake::Shut {
            return Err(Refused::Ended);
        }
        self.append(ControlPayload::MAX_LEN, |sender, frames| {
            sender.send_close(frame, frames)
        })?;
        self.drop_behind_close();
        Ok(())
    }

    /// Whether nothing is taken any more: the connection has ended, its peer is gone, or the Close frame has been put in.
    pub fn has_ended(&self) -> bool {
        self.intake != Intake::Open || self.is_close_sent()
    }

    /// Whether the Close frame has been put in.
    pub fn is_close_sent(&self) -> bool {
        self.sender.is_close_sent()
    }

    /// All frames that wait, when they lie in one buffer. `spare` is an empty one, which may have room for others.
    /// Else [`Outbox::take_pieces`] has them.
    #[inline(always)]
    pub fn take(&mut self, spare: Vec<u8>) -> Option<Vec<u8>> {
        if !self.full.is_empty() || self.pong.is_some() || self.last.is_empty() {
            return None;
        }
        self.framed = 0;
        self.leaving += self.last.len();
        Some(std::mem::replace(&mut self.last, spare))
    }

    /// The next frames to write, as many as are worth one write; says whether there are any.
    #[inline(never)]
    pub fn take_pieces(&mut self, pieces: &mut Pieces) -> bool {
        let (mut bytes, mut count) = (0, 0);
        if let Some(pong) = self.pong.take() {
            // Frames that wait are whole: a control frame may go before them (RFC 6455 §5.4).
            let mut frame = Vec::new();
            if self.sender.send_pong(&pong, &mut frame).is_ok() {
                self.leaving += frame.len();
                (bytes, count) = (frame.len(), 1);
                pieces.push(Piece::Own(frame));
            }
        }
        while count < pieces::MOST && bytes < CORK_LIMIT {
            let piece = match self.full.pop_front() {
                Some(piece) => piece,
                None if self.last.is_empty() => break,
                None => Piece::Own(std::mem::take(&mut self.last)),
            };
            self.framed -= piece.len();
            self.leaving += piece.len();
            bytes += piece.len();
            count += 1;
            pieces.push(piece);
        }
        pieces::give_back(&mut self.full);
        count > 0
    }

    /// So many bytes of what was taken have left. Says for whom there is room now.
    #[inline(always)]
    pub fn transmitted(&mut self, count: usize) -> NewRoom {
        let before = self.queued();
        self.leaving -= count;
        // Every limit is above this, and nobody was refused.
        let is_calm = before <= self.limit / 2
            && self.held_up.is_empty()
            && !self.wants_room
            && !self.wants_room_to_wait;
        match is_calm {
            true => NewRoom::NO_NEWS,
            false => self.room_since(before),
        }
    }

    #[cold]
    fn room_since(&mut self, before: usize) -> NewRoom {
        let after = self.queued();
        let held_up = self.held_up_cost();
        let sinks_below = |limit| {
            let crosses = |held_up| before + held_up >= limit && after + held_up < limit;
            // A message that has to wait for the end of one in parts needs more room than that one's next part.
            crosses(0) || (held_up > 0 && crosses(held_up))
        };
        NewRoom {
            is_below_a_limit: sinks_below(self.limit(SentBy::Thread))
                || sinks_below(self.limit(SentBy::Callback)),
            is_wanted: self.is_wanted_room_there(),
        }
    }

    /// Whether an application is to be told that there is room now; says so once.
    pub fn is_wanted_room_there(&mut self) -> bool {
        let is_ample = |waits| waits <= self.limit / 2;
        let (is_there, is_there_to_wait) = (is_ample(self.queued()), is_ample(self.cost()));
        let is_told = is_there && std::mem::take(&mut self.wants_room);
        let is_told_to_wait = is_there_to_wait && std::mem::take(&mut self.wants_room_to_wait);
        is_told || is_told_to_wait
    }

    /// Whether there is something to take.
    pub fn has_output(&self) -> bool {
        self.framed > 0 || self.pong.is_some()
    }

    /// Bytes accepted and not yet taken by the socket, those of messages behind an unfinished one included.
    pub fn buffered(&self) -> usize {
        self.queued() + self.held_up_bytes
    }

    /// Bytes put in and not yet taken by the socket.
    pub fn queued(&self) -> usize {
        self.framed + self.leaving
    }

    /// Whether there is room for a message.
    pub fn has_room(&self, sent_by: SentBy) -> bool {
        self.queued() < self.limit(sent_by)
    }

    /// Whether there is room; whoever finds none is told of some.
    pub fn has_room_or_wants_it(&mut self, sent_by: SentBy) -> bool {
        let has_room = self.has_ended() || self.has_room(sent_by);
        self.wants_room |= !has_room;
        has_room
    }

    /// Whether `outgoing` has to wait for room that may come: as [`Outbox::push`] refuses it. So a callback waits for nothing
    /// but what the transport takes, and never for the end of a message in parts, which may be its own to end.
    pub fn must_wait(&self, outgoing: Outgoing<'_>, sent_by: SentBy) -> bool {
        let waits = match (outgoing, sent_by) {
            (Outgoing::Message(..) | Outgoing::Prepared(_), SentBy::Thread)
                if self.sender.is_message_unfinished() =>
            {
                self.cost()
            }
            _ => self.queued(),
        };
        !self.has_ended() && waits >= self.limit(sent_by)
    }

    /// What stands against a turn's reading on, to be compared with the limit of callbacks. What waits for a message in
    /// parts counts, unless a callback may be what ends that: then input goes on, and what finds no room is refused.
    pub fn load(&self) -> usize {
        match self.parts_by {
            SentBy::Thread => self.cost(),
            SentBy::Callback => self.queued(),
        }
    }

    /// What waits in memory: [`Outbox::buffered`], and what each message costs beside that waits for the end of one in
    /// parts.
    fn cost(&self) -> usize {
        self.queued() + self.held_up_cost()
    }

    fn held_up_cost(&self) -> usize {
        self.held_up_bytes + self.held_up.len() * HELD_UP_OVERHEAD
    }

    /// How many bytes may wait when one of these sends.
    pub fn limit(&self, sent_by: SentBy) -> usize {
        match sent_by {
            SentBy::Thread => self.limit,
            SentBy::Callback => self.limit.saturating_mul(2),
        }
    }

    /// The peer is gone, whatever becomes of the frames that wait: nothing is put in any more but the Close frame, and what
    /// would wait behind it is dropped. Says whether that was not known.
    pub fn peer_is_gone(&mut self) -> bool {
        if self.intake != Intake::Open {
            return false;
        }
        self.intake = Intake::CloseOnly;
        self.drop_behind_close();
        true
    }

    /// The connection has ended: what waits is dropped, but for what has been taken out.
    pub fn end(&mut self) {
        self.intake = Intake::Shut;
        self.full = VecDeque::new();
        self.last = Vec::new();
        self.framed = 0;
        self.drop_behind_close();
    }

    /// Encodes frames of about `payload_len` bytes behind what waits.
    #[inline(always)]
    fn append(
        &mut self,
        payload_len: usize,
        encode: impl FnOnce(&mut SendingHalf, &mut Vec<u8>) -> Result<(), LocalError>,
    ) -> Result<(), Refused> {
        let before = self.last.len();
        if before == 0 {
            if self.last.capacity() < payload_len {
                self.last = self.buffers.take(payload_len);
            }
        } else if before + payload_len > GATHER {
            return self.append_in_another(payload_len, encode);
        }
        let outcome = encode(&mut self.sender, &mut self.last);
        self.framed += self.last.len() - before;
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(self.not_encoded(error)),
        }
    }

    #[cold]
    fn not_encoded(&mut self, error: LocalError) -> Refused {
        if self.last.is_empty() {
            // A large one is not to stay with a session that waits.
            self.buffers.give(std::mem::take(&mut self.last));
        }
        error.into()
    }

    /// The same when the last buffer would have no room for them as they are. Compressed, they may find some.
    #[inline(never)]
    fn append_in_another(
        &mut self,
        payload_len: usize,
        encode: impl FnOnce(&mut SendingHalf, &mut Vec<u8>) -> Result<(), LocalError>,
    ) -> Result<(), Refused> {
        let mut another = self.buffers.take(payload_len);
        let outcome = encode(&mut self.sender, &mut another);
        self.framed += another.len();
        if self.last.len() + another.len() <= GATHER {
            self.last.extend_from_slice(&another);
            self.buffers.give(another);
        } else {
            self.begin_another(another);
        }
        outcome.map_err(Refused::from)
    }

    /// The last buffer is full. What waits is counted by its length: so it takes no more than that, about.
    fn begin_another(&mut self, another: Vec<u8>) {
        let mut last = std::mem::replace(&mut self.last, another);
        if last.capacity() > 2 * last.len() + SLACK {
            let exact = last.as_slice().to_vec();
            self.buffers.give(std::mem::replace(&mut last, exact));
        }
        self.full.push_back(Piece::Own(last));
    }

    /// What may not follow the Close frame.
    fn drop_behind_close(&mut self) {
        self.held_up = VecDeque::new();
        self.held_up_bytes = 0;
        self.pong = None;
        self.wants_room = false;
        self.wants_room_to_wait = false;
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
