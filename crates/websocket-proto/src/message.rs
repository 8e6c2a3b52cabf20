//! Frames → messages (RFC 6455 §5.4 to §5.6): fragmentation, interleaved control frames, limits,
//! UTF-8, decompression (RFC 7692 §6).

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use crate::budget::Share;
pub use crate::control::ControlPayload;
use crate::error::ProtocolError;
use crate::extension::permessage_deflate::{Inflated, MessageInflater};
use crate::frame::{FrameHeader, FrameRules, FrameStart, Opcode};
use crate::message_buffer::MessageBuffer;
use crate::utf8::{self, InvalidUtf8, Utf8Validator};

/// What a message consists of (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl MessageKind {
    /// The opcode of the first frame of such a message.
    pub const fn opcode(self) -> Opcode {
        match self {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        }
    }
}

/// What a frame has completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assembled {
    /// A message, from one frame or many.
    Message(MessageKind, Vec<u8>),
    /// A Close frame.
    Close(ControlPayload),
    /// A Ping frame.
    Ping(ControlPayload),
    /// A Pong frame.
    Pong(ControlPayload),
}

/// Frames → messages.
///
/// Drive it so, for each frame: give it to the header parser as its [`FrameRules`], then call
/// [`begin_frame`](Self::begin_frame), [`push`](Self::push) for each unmasked stretch of the
/// payload, and [`end_frame`](Self::end_frame). A frame that is [a message by
/// itself](Self::is_whole_message) and is all there can go to [`check_whole`](Self::check_whole)
/// instead and needs no copy. After an error it is of no further use.
///
/// Memory follows the bytes pushed: the buffer at most doubles, and nothing is reserved for a
/// length that was only announced. With a [`MessageBudget`](crate::MessageBudget) the messages of
/// many assemblers share what there is.
#[derive(Debug)]
pub struct MessageAssembler {
    max_message_size: u64,
    /// The most bytes that the frames of the message under way may have: the same, or no limit when
    /// they are compressed.
    max_received: u64,
    /// The message under way, from the header of its first frame on.
    message: Option<MessageKind>,
    /// Whether it is compressed; means nothing between messages.
    is_compressed: bool,
    /// Its bytes so far.
    buffer: MessageBuffer,
    utf8: Utf8Validator,
    /// The frame under way.
    frame: Option<FrameHeader>,
    /// The payload of the control frame under way.
    control: Option<Box<ControlPayload>>,
    /// When permessage-deflate is agreed on.
    inflater: Option<Box<MessageInflater>>,
}

impl MessageAssembler {
    /// The largest capacity that [`recycle`](Self::recycle) keeps: an idle connection holds no
    /// more.
    pub const MAX_RECYCLED: usize = MessageBuffer::MAX_RECYCLED;

    /// An assembler between two messages. The limit counts payload bytes, of control frames too; of
    /// compressed messages those that they inflate to.
    pub fn new(max_message_size: u64) -> MessageAssembler {
        MessageAssembler {
            max_message_size,
            max_received: max_message_size,
            message: None,
            is_compressed: false,
            buffer: MessageBuffer::default(),
            utf8: Utf8Validator::new(),
            frame: None,
            control: None,
            inflater: None,
        }
    }

    /// This assembler, with compressed messages allowed.
    pub(crate) fn with_inflater(mut self, inflater: MessageInflater) -> MessageAssembler {
        self.inflater = Some(Box::new(inflater));
        self
    }

    /// This assembler, with messages that share their memory with those of others.
    pub(crate) fn with_share(mut self, share: Share) -> MessageAssembler {
        self.buffer = MessageBuffer::with_share(share);
        self
    }

    /// Whether a message has begun and is not complete.
    pub fn is_mid_message(&self) -> bool {
        self.message.is_some()
    }

    /// The kind of the message that a frame is by itself: a data frame, not fragmented (§5.4). Not
    /// for frames with RSV1, whose payload is not the message.
    #[inline]
    pub fn is_whole_message(header: &FrameHeader) -> Option<MessageKind> {
        match (header.opcode, header.fin) {
            (Opcode::Text, true) => Some(MessageKind::Text),
            (Opcode::Binary, true) => Some(MessageKind::Binary),
            _ => None,
        }
    }

    /// Whether a message of this length may begin now.
    #[inline]
    pub(crate) fn would_take(&self, length: usize) -> bool {
        self.message.is_none() && length as u64 <= self.max_message_size
    }

    /// Checks the content of a message that is there as a whole, unmasked.
    #[inline]
    pub fn check_whole(kind: MessageKind, payload: &[u8]) -> Result<(), ProtocolError> {
        match kind {
            // RFC 6455 §8.1.
            MessageKind::Text => Ok(utf8::check_whole(payload)?),
            MessageKind::Binary => Ok(()),
        }
    }

    /// Begins a frame whose header these rules have let through.
    pub fn begin_frame(&mut self, header: &FrameHeader) {
        self.frame = Some(*header);
        match header.opcode {
            Opcode::Text => self.begin_message(MessageKind::Text, header.rsv1),
            Opcode::Binary => self.begin_message(MessageKind::Binary, header.rsv1),
            Opcode::Continuation => {}
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control = None,
        }
    }

    fn begin_message(&mut self, kind: MessageKind, is_compressed: bool) {
        self.message = Some(kind);
        self.is_compressed = is_compressed;
        if is_compressed {
            self.max_received = u64::MAX;
        }
    }

    /// Takes the next stretch of the frame's payload data, unmasked.
    pub fn push(&mut self, stretch: &[u8]) -> Result<(), ProtocolError> {
        let Some(frame) = &self.frame else {
            return Ok(());
        };
        if frame.opcode.is_control() {
            let empty = || Box::new(ControlPayload::EMPTY);
            return self.control.get_or_insert_with(empty).push(stretch);
        }
        if self.is_compressed {
            return self.inflate(Some(stretch));
        }
        // RFC 6455 §8.1, at the first wrong byte; a character may go on in the next fragment
        // (§5.6).
        if self.message == Some(MessageKind::Text) {
            self.utf8.push(stretch)?;
        }
        self.buffer.push(stretch, self.end())
    }

    /// Room for the next stretch of the frame's payload data, of which `missing` bytes have not come:
    /// in its message's own buffer, for so many bytes or none. To be filled by
    /// [`filled`](Self::filled).
    pub(crate) fn room(
        &mut self,
        missing: u64,
        sizes: RangeInclusive<usize>,
        lend: impl FnOnce(usize) -> Vec<u8>,
    ) -> Option<&mut [u8]> {
        let is_data = self.frame.is_some_and(|frame| !frame.opcode.is_control());
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if !is_data || self.is_compressed || missing < *sizes.start() {
            return None;
        }
        let sizes = *sizes.start()..=missing.min(*sizes.end());
        self.buffer.room(sizes, self.end(), lend)
    }

    /// What is in the first `count` bytes of the [room](Self::room), as it has come.
    pub(crate) fn filled(&mut self, count: usize) -> &mut [u8] {
        self.buffer.filled(count)
    }

    /// Takes what is there, unmasked, as [`push`](Self::push) takes a stretch.
    pub(crate) fn push_filled(&mut self, count: usize) -> Result<(), ProtocolError> {
        if self.message == Some(MessageKind::Text) {
            self.utf8.push(self.buffer.filled(count))?;
        }
        self.buffer.fill(count);
        Ok(())
    }

    fn take_control(&mut self) -> ControlPayload {
        let control = self.control.take();
        control.map_or(ControlPayload::EMPTY, |control| *control)
    }

    /// Ends the frame; gives what it has completed.
    pub fn end_frame(&mut self) -> Result<Option<Assembled>, ProtocolError> {
        let Some(frame) = self.frame.take() else {
            return Ok(None);
        };
        match frame.opcode {
            Opcode::Close => return Ok(Some(Assembled::Close(self.take_control()))),
            Opcode::Ping => return Ok(Some(Assembled::Ping(self.take_control()))),
            Opcode::Pong => return Ok(Some(Assembled::Pong(self.take_control()))),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        // RFC 6455 §5.4: the fragment with FIN is the last one.
        if !frame.fin {
            return Ok(None);
        }
        if self.is_compressed {
            self.inflate(None)?;
            // The next header is judged before its message begins.
            self.max_received = self.max_message_size;
        }
        let Some(kind) = self.message.take() else {
            return Ok(None);
        };
        if kind == MessageKind::Text {
            // RFC 6455 §5.6: the whole message is UTF-8, so it ends with a whole character.
            self.utf8.finish()?;
        }
        Ok(Some(Assembled::Message(kind, self.buffer.take())))
    }

    /// Inflates the next stretch of a message, or its end, behind what there is of it.
    #[inline(never)]
    fn inflate(&mut self, stretch: Option<&[u8]>) -> Result<(), ProtocolError> {
        let Some(inflater) = &mut self.inflater else {
            return Err(ProtocolError::ReservedBits);
        };
        let is_text = self.message == Some(MessageKind::Text);
        self.buffer.append(|buffer, share| {
            let inflated = Inflated {
                buffer,
                share,
                limit: self.max_message_size,
                // RFC 6455 §8.1, of the message and not of its compressed form (RFC 7692 §6.2).
                check: |bytes: &[u8]| match is_text {
                    true => Ok(self.utf8.push(bytes)?),
                    false => Ok(()),
                },
            };
            match stretch {
                Some(stretch) => inflater.push(stretch, inflated),
                None => inflater.end(inflated),
            }
        })
    }

    /// Takes a message's buffer back, to be used for the next message; one with more capacity than
    /// [`MAX_RECYCLED`](Self::MAX_RECYCLED) is freed.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if !self.is_mid_message() {
            self.buffer.recycle(buffer);
        }
    }

    /// Where the message under way ends, at the latest. The frame's header has been judged: it goes no
    /// further than the limit.
    fn end(&self) -> usize {
        let length = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let limit = length(self.max_message_size);
        match self.frame {
            // A message of one frame: its payload length says where the end is.
            Some(frame) if Self::is_whole_message(&frame).is_some() => {
                length(frame.payload_length).min(limit)
            }
            _ => limit,
        }
    }

    /// The rules of a frame that has a reserved bit set, which its own rules refuse. They are apart,
    /// so that the frames of everybody else are judged as if there were no compression.
    pub(crate) fn compressed_rules(&self) -> CompressedRules<'_> {
        CompressedRules { assembler: self }
    }
}

impl FrameRules for MessageAssembler {
    #[inline]
    fn check_start(&self, start: &FrameStart) -> Result<(), ProtocolError> {
        // RFC 6455 §5.2: a reserved bit that no extension has given a meaning must be 0.
        if start.rsv1 || start.rsv2 || start.rsv3 {
            return Err(ProtocolError::ReservedBits);
        }
        match (start.opcode, self.is_mid_message()) {
            // RFC 6455 §5.4: continuation frames follow a first fragment only.
            (Opcode::Continuation, false) => Err(ProtocolError::UnexpectedContinuation),
            // RFC 6455 §5.4: the fragments of two messages must not be interleaved.
            (Opcode::Text | Opcode::Binary, true) => Err(ProtocolError::ExpectedContinuation),
            // RFC 6455 §5.4: control frames may come between the fragments of a message.
            _ => Ok(()),
        }
    }

    #[inline]
    fn check_length(&self, start: &FrameStart, payload_length: u64) -> Result<(), ProtocolError> {
        // RFC 6455 §5.5.1: a Close frame is empty or begins with a two-byte status code.
        if start.opcode == Opcode::Close && payload_length == 1 {
            return Err(ProtocolError::TruncatedClose);
        }
        let (limit, received) = match start.opcode.is_control() {
            true => (self.max_message_size, 0),
            false => (self.max_received, self.buffer.len() as u64),
        };
        // RFC 6455 §10.4: a limit on the message after reassembly, not only on the frame.
        // Subtracted, because the sum could overflow.
        if payload_length > limit.saturating_sub(received) {
            let announced = received.saturating_add(payload_length);
            return Err(ProtocolError::MessageTooBig(NonZeroU64::new(announced)));
        }
        Ok(())
    }
}

/// The rules of the first frame of a compressed message.
pub(crate) struct CompressedRules<'a> {
    assembler: &'a MessageAssembler,
}

impl FrameRules for CompressedRules<'_> {
    fn check_start(&self, start: &FrameStart) -> Result<(), ProtocolError> {
        // RFC 7692 §6.1: RSV1 is set on the first frame of a message only, and never on a control
        // frame.
        let is_first = matches!(start.opcode, Opcode::Text | Opcode::Binary);
        if self.assembler.inflater.is_none() || !is_first || start.rsv2 || start.rsv3 {
            return Err(ProtocolError::ReservedBits);
        }
        self.assembler.check_start(&FrameStart {
            rsv1: false,
            ..*start
        })
    }

    fn check_length(&self, _: &FrameStart, _: u64) -> Result<(), ProtocolError> {
        // What it inflates to is limited while it inflates. The compressed form takes no memory,
        // and may be the longer one.
        Ok(())
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> ProtocolError {
        ProtocolError::InvalidUtf8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: Opcode, fin: bool, payload_length: u64) -> FrameHeader {
        FrameHeader {
            fin,
            ..FrameHeader::new(opcode, payload_length)
        }
    }

    fn start(header: &FrameHeader) -> FrameStart {
        FrameStart {
            fin: header.fin,
            rsv1: header.rsv1,
            rsv2: header.rsv2,
            rsv3: header.rsv3,
            opcode: header.opcode,
        }
    }

    fn feed(
        assembler: &mut MessageAssembler,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
    ) -> Result<Option<Assembled>, ProtocolError> {
        let header = frame(opcode, fin, payload.len() as u64);
        assembler.check_start(&start(&header))?;
        assembler.check_length(&start(&header), header.payload_length)?;
        assembler.begin_frame(&header);
        assembler.push(payload)?;
        assembler.end_frame()
    }

    fn too_big<T>(announced: u64) -> Result<T, ProtocolError> {
        Err(ProtocolError::MessageTooBig(NonZeroU64::new(announced)))
    }

    #[test]
    fn fragments_with_control_frames_between_them_make_one_message() {
        let mut assembler = MessageAssembler::new(100);
        assert_eq!(feed(&mut assembler, Opcode::Text, false, b"Hel"), Ok(None));
        assert!(assembler.is_mid_message());
        let Ok(Some(Assembled::Ping(payload))) = feed(&mut assembler, Opcode::Ping, true, b"?")
        else {
            panic!("no ping");
        };
        assert_eq!(&*payload, b"?");
        assert_eq!(
            feed(&mut assembler, Opcode::Continuation, true, b"lo"),
            Ok(Some(Assembled::Message(
                MessageKind::Text,
                b"Hello".to_vec()
            )))
        );
        assert!(!assembler.is_mid_message());
    }

    #[test]
    fn a_continuation_frame_between_messages_is_unexpected() {
        for fin in [true, false] {
            let mut assembler = MessageAssembler::new(100);
            let result = feed(&mut assembler, Opcode::Continuation, fin, b"");
            assert_eq!(result, Err(ProtocolError::UnexpectedContinuation));
        }
    }

    #[test]
    fn a_new_message_inside_a_message_is_refused() {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let mut assembler = MessageAssembler::new(100);
            feed(&mut assembler, Opcode::Text, false, b"").unwrap();
            let result = feed(&mut assembler, opcode, true, b"");
            assert_eq!(result, Err(ProtocolError::ExpectedContinuation));
        }
    }

    #[test]
    fn each_reserved_bit_is_refused_on_every_opcode_in_every_state() {
        let mut mid_message = MessageAssembler::new(100);
        feed(&mut mid_message, Opcode::Text, false, b"").unwrap();
        for assembler in [MessageAssembler::new(100), mid_message] {
            for opcode in (0..16).filter_map(Opcode::from_wire) {
                let plain = start(&frame(opcode, true, 0));
                for start in [
                    FrameStart {
                        rsv1: true,
                        ..plain
                    },
                    FrameStart {
                        rsv2: true,
                        ..plain
                    },
                    FrameStart {
                        rsv3: true,
                        ..plain
                    },
                ] {
                    let result = assembler.check_start(&start);
                    assert_eq!(result, Err(ProtocolError::ReservedBits), "{start:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
        let mut assembler = MessageAssembler::new(4);
        assert!(feed(&mut assembler, Opcode::Binary, true, b"1234").is_ok());
        let result = feed(&mut assembler, Opcode::Binary, true, b"12345");
        assert_eq!(result, too_big(5));
    }

    #[test]
    fn fragments_count_together_and_control_frames_each_on_their_own() {
        let mut assembler = MessageAssembler::new(4);
        assert_eq!(
            feed(&mut assembler, Opcode::Binary, false, b"123"),
            Ok(None)
        );
        assert!(feed(&mut assembler, Opcode::Ping, true, b"1234").is_ok());
        assert_eq!(
            feed(&mut assembler, Opcode::Continuation, false, b"4"),
            Ok(None)
        );
        let result = feed(&mut assembler, Opcode::Ping, true, b"12345");
        assert_eq!(result, too_big(5));
        let result = feed(&mut assembler, Opcode::Continuation, true, b"5");
        assert_eq!(result, too_big(5));
    }

    #[test]
    fn a_length_that_would_overflow_a_sum_is_too_big() {
        let mut assembler = MessageAssembler::new(FrameHeader::MAX_PAYLOAD_LENGTH);
        assert_eq!(feed(&mut assembler, Opcode::Text, false, b"x"), Ok(None));
        let header = frame(Opcode::Continuation, true, FrameHeader::MAX_PAYLOAD_LENGTH);
        let result = assembler.check_length(&start(&header), header.payload_length);
        assert_eq!(result, too_big(FrameHeader::MAX_PAYLOAD_LENGTH + 1));
    }

    #[test]
    fn an_announced_length_takes_no_memory() {
        let mut assembler = MessageAssembler::new(u64::MAX);
        let header = frame(Opcode::Binary, true, 1 << 62);
        assembler.check_length(&start(&header), 1 << 62).unwrap();
        assembler.begin_frame(&header);
        assert_eq!(assembler.buffer.capacity(), 0);
        assembler.push(&[0; 1000]).unwrap();
        assembler.push(&[0; 1]).unwrap();
        assert!(assembler.buffer.capacity() <= 2000);
    }

    #[test]
    fn memory_grows_by_doubling_up_to_the_end_of_the_frame() {
        let mut assembler = MessageAssembler::new(u64::MAX);
        assembler.begin_frame(&frame(Opcode::Binary, true, 100_000));
        let mut capacities = Vec::new();
        for _ in 0..100 {
            assembler.push(&[0; 1000]).unwrap();
            capacities.push(assembler.buffer.capacity());
            assert!(assembler.buffer.capacity() <= 2 * assembler.buffer.len());
        }
        capacities.dedup();
        assert_eq!(capacities.len(), 8);
        assert_eq!(assembler.buffer.capacity(), 100_000);
    }

    #[test]
    fn many_tiny_fragments_grow_the_buffer_seldom() {
        let mut assembler = MessageAssembler::new(u64::MAX);
        feed(&mut assembler, Opcode::Binary, false, b"").unwrap();
        let mut capacities = vec![0];
        for _ in 0..10_000 {
            feed(&mut assembler, Opcode::Continuation, false, b"x").unwrap();
            capacities.push(assembler.buffer.capacity());
        }
        capacities.dedup();
        assert!(capacities.len() < 20, "{capacities:?}");
    }

    #[test]
    fn a_recycled_buffer_is_used_again_when_small_and_freed_when_large() {
        let mut assembler = MessageAssembler::new(u64::MAX);
        assembler.recycle(Vec::with_capacity(MessageAssembler::MAX_RECYCLED));
        assert_eq!(assembler.buffer.capacity(), MessageAssembler::MAX_RECYCLED);
        let mut assembler = MessageAssembler::new(u64::MAX);
        assembler.recycle(Vec::with_capacity(MessageAssembler::MAX_RECYCLED + 1));
        assert_eq!(assembler.buffer.capacity(), 0);
    }

    #[test]
    fn a_buffer_recycled_mid_message_leaves_the_message_alone() {
        let mut assembler = MessageAssembler::new(u64::MAX);
        feed(&mut assembler, Opcode::Text, false, b"Hel").unwrap();
        assembler.recycle(Vec::with_capacity(1000));
        assert_eq!(
            feed(&mut assembler, Opcode::Continuation, true, b"lo"),
            Ok(Some(Assembled::Message(
                MessageKind::Text,
                b"Hello".to_vec()
            )))
        );
    }

    #[test]
    fn a_character_may_be_cut_between_fragments_but_not_at_the_end() {
        let mut assembler = MessageAssembler::new(100);
        assert_eq!(feed(&mut assembler, Opcode::Text, false, b"\xce"), Ok(None));
        assert!(feed(&mut assembler, Opcode::Ping, true, b"\xff").is_ok());
        assert!(feed(&mut assembler, Opcode::Continuation, true, b"\xba").is_ok());

        assert_eq!(feed(&mut assembler, Opcode::Text, false, b"\xce"), Ok(None));
        let result = feed(&mut assembler, Opcode::Continuation, true, b"");
        assert_eq!(result, Err(ProtocolError::InvalidUtf8));
    }

    #[test]
    fn binary_messages_may_hold_any_bytes() {
        let mut assembler = MessageAssembler::new(100);
        assert!(feed(&mut assembler, Opcode::Binary, true, b"\xff\xfe").is_ok());
        assert!(MessageAssembler::check_whole(MessageKind::Binary, b"\xff").is_ok());
    }
}
