use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::event::{Event, Payload};
use crate::budget::{MessageBudget, Share};
use crate::close::{CloseFrame, ReservedCloseCodes};
use crate::error::ProtocolError;
use crate::extension::permessage_deflate::{Agreed, CodecPool};
use crate::frame::{FrameDecoder, Role, apply_mask};
use crate::message::{Assembled, MessageAssembler, MessageKind};

/// What a [`ReceivingHalf`] has to know.
#[derive(Clone, Copy, Debug)]
pub struct ReceivingConfig {
    /// Which endpoint we are.
    pub role: Role,
    /// The largest message, and the largest control frame, in payload bytes; of a compressed
    /// message, in bytes that it inflates to.
    pub max_message_size: u64,
    /// Which close codes the peer may send.
    pub reserved_close_codes: ReservedCloseCodes,
}

/// The incoming half of an endpoint: bytes → events.
///
/// Drive it so: hand each piece of input to [`receive`](Self::receive), again and again with what
/// it has not consumed, until the piece is used up:
///
/// ```
/// # use websocket_proto::{ReceivingHalf, ReceivingConfig, ReservedCloseCodes, Role};
/// # let mut receiver = ReceivingHalf::new(ReceivingConfig {
/// #     role: Role::Client,
/// #     max_message_size: 1000,
/// #     reserved_close_codes: ReservedCloseCodes::Refuse,
/// # });
/// # let mut piece = *b"\x81\x01a\x81\x01b";
/// # let mut events = 0;
/// let mut rest = &mut piece[..];
/// while !rest.is_empty() {
///     let (consumed, event) = receiver.receive(rest);
///     if let Some(event) = event {
///         // act on it
/// #       drop(event);
/// #       events += 1;
///     }
///     rest = &mut rest[consumed..];
/// }
/// # assert_eq!(events, 2);
/// ```
///
/// The input is unmasked in its place and so changes. After [`Event::Close`] or [`Event::Failed`]
/// the rest is discarded and no event comes any more. When the transport ends, there is nothing to
/// call: what is incomplete then will stay so.
#[derive(Debug)]
pub struct ReceivingHalf {
    decoder: FrameDecoder,
    assembler: MessageAssembler,
    reserved_close_codes: ReservedCloseCodes,
    is_finished: bool,
}

/// An event, with the place of its payload in the input instead of a borrow.
enum Found {
    Whole(MessageKind, Range<usize>),
    Assembled(Assembled),
}

impl ReceivingHalf {
    /// How many frames one call of [`ReceivingHalf::receive`] consumes at most.
    pub const MOST_FRAMES: usize = 64;

    /// A receiver for a connection whose opening handshake is done.
    pub fn new(config: ReceivingConfig) -> ReceivingHalf {
        ReceivingHalf {
            decoder: FrameDecoder::new(config.role),
            assembler: MessageAssembler::new(config.max_message_size),
            reserved_close_codes: config.reserved_close_codes,
            is_finished: false,
        }
    }

    /// This receiver, with permessage-deflate agreed on: messages that came compressed are given
    /// inflated, always [owned](Payload::Owned).
    ///
    /// Without context takeover its decompressor is the pool's, and here only during a message; with
    /// it, it stays from the first compressed message on.
    pub fn with_permessage_deflate(
        mut self,
        agreed: &Agreed,
        pool: &Arc<CodecPool>,
    ) -> ReceivingHalf {
        let inflater = agreed.inflater(self.decoder.role(), pool);
        self.assembler = self.assembler.with_inflater(inflater);
        self
    }

    /// This receiver, with messages that share their memory with those of others until they are
    /// complete; one that gets no more of it fails with [`ProtocolError::NoMemory`].
    pub fn with_message_budget(mut self, budget: Arc<MessageBudget>) -> ReceivingHalf {
        self.assembler = self.assembler.with_share(Share::of(budget));
        self
    }

    /// Consumes input until an event is ready or the input is used up; gives how many bytes it
    /// consumed. Of a message in many small fragments it consumes [`ReceivingHalf::MOST_FRAMES`] at a
    /// time, so that a caller who has others to look after gets to do so.
    ///
    /// The event borrows from `input` alone, so the receiver may be used while the event lives.
    pub fn receive<'a>(&mut self, input: &'a mut [u8]) -> (usize, Option<Event<'a>>) {
        // RFC 6455 §1.4 and §7.1.7: what follows a Close or a failure is discarded.
        if self.is_finished {
            return (input.len(), None);
        }
        match self.advance(input) {
            Ok((consumed, None)) => (consumed, None),
            Ok((consumed, Some(Found::Whole(kind, range)))) => {
                let payload = Payload::Borrowed(&mut input[range]);
                (consumed, Some(Event::Message { kind, payload }))
            }
            Ok((consumed, Some(Found::Assembled(assembled)))) => match self.event_from(assembled) {
                Ok(event) => (consumed, Some(event)),
                Err(error) => self.fail(input.len(), error),
            },
            Err(error) => self.fail(input.len(), error),
        }
    }

    /// Room for what comes next, when that is payload data of a message that is gathered anyway: in the
    /// message's own buffer, so that it need not be copied there. Whoever reads so much into it gives it
    /// to [`receive_in_room`](Self::receive_in_room), with nothing received in between.
    ///
    /// It has as many bytes as `sizes` says, and no more than the frame's payload data still has; `None`
    /// when that is less, or when the message has not come so far yet: its memory grows with what has
    /// come, as in [`receive`](Self::receive). `lend` is asked for a larger buffer, with about that
    /// capacity, and may have none; what is in it means nothing.
    #[inline]
    pub fn room(
        &mut self,
        sizes: RangeInclusive<usize>,
        lend: impl FnOnce(usize) -> Vec<u8>,
    ) -> Option<&mut [u8]> {
        let missing = self.decoder.missing()?;
        self.assembler.room(missing, sizes, lend)
    }

    /// [`receive`](Self::receive) of the first `count` bytes of the [`room`](Self::room): all of them.
    pub fn receive_in_room(&mut self, count: usize) -> Option<Event<'static>> {
        let assembled = self.advance_in_room(count).transpose()?;
        match assembled.and_then(|assembled| self.event_from(assembled)) {
            Ok(event) => Some(event),
            Err(error) => self.fail(count, error).1,
        }
    }

    fn advance_in_room(&mut self, count: usize) -> Result<Option<Assembled>, ProtocolError> {
        let stretch = self.decoder.read_payload(self.assembler.filled(count));
        let (count, ends_frame) = (stretch.bytes.len(), stretch.ends_frame);
        self.assembler.push_filled(count)?;
        match ends_frame {
            true => self.assembler.end_frame(),
            false => Ok(None),
        }
    }

    /// Takes the buffer of a [`Payload::Owned`] back for the next message. One that has more
    /// capacity than [`MessageAssembler::MAX_RECYCLED`] (16 KiB) is freed, so that an idle
    /// connection holds no more than that.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if !self.is_finished {
            self.assembler.recycle(buffer);
        }
    }

    /// Whether a message has begun, with the header of its first frame, and is not complete.
    pub fn is_mid_message(&self) -> bool {
        self.assembler.is_mid_message()
    }

    /// Whether the last event, [`Event::Close`] or [`Event::Failed`], has been given.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// The short way of most messages: when the input begins with an uncompressed message of one frame from a client, that
    /// is whole and good and behind nothing unfinished, its place in the input, which it is consumed up to. `None`, and
    /// nothing has changed: what there is, [`receive`](Self::receive) says.
    #[inline]
    pub fn whole_message(&mut self, input: &mut [u8]) -> Option<(MessageKind, Range<usize>)> {
        if self.is_finished || !self.decoder.is_before_client_frame() {
            return None;
        }
        let &[first, second, third, fourth, ..] = &*input else {
            return None;
        };
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        let (start, length) = match second {
            0x80..=0xfd => (6, usize::from(second & 0x7f)),
            0xfe => (8, usize::from(u16::from_be_bytes([third, fourth]))),
            _ => return None,
        };
        // 126 to 65535 is what the two bytes are for.
        let is_minimal = start == 6 || length > 125;
        if !is_minimal || !self.assembler.would_take(length) {
            return None;
        }
        let (header, rest) = input.split_at_mut_checked(start)?;
        let payload = rest.get_mut(..length)?;
        let key = *header.last_chunk()?;
        apply_mask(payload, key, 0);
        if MessageAssembler::check_whole(kind, payload).is_err() {
            // As it was.
            apply_mask(payload, key, 0);
            return None;
        }
        Some((kind, start..start + length))
    }

    fn advance(&mut self, input: &mut [u8]) -> Result<(usize, Option<Found>), ProtocolError> {
        let mut consumed = 0;
        for _ in 0..Self::MOST_FRAMES {
            if self.decoder.is_in_header() {
                let rest = &input[consumed..];
                match self.decoder.read_header(rest, &self.assembler) {
                    Ok((taken, Some(header))) => {
                        consumed += taken;
                        // The short way: a message that lies whole in the input stays there.
                        let is_all_there = header.payload_length <= (input.len() - consumed) as u64;
                        let whole = MessageAssembler::is_whole_message(&header);
                        if let Some(kind) = whole.filter(|_| is_all_there) {
                            let stretch = self.decoder.read_payload(&mut input[consumed..]);
                            MessageAssembler::check_whole(kind, stretch.bytes)?;
                            let range = consumed..consumed + stretch.bytes.len();
                            return Ok((range.end, Some(Found::Whole(kind, range))));
                        }
                        self.assembler.begin_frame(&header);
                    }
                    Ok((taken, None)) => return Ok((consumed + taken, None)),
                    Err(error) => {
                        let (taken, has_begun) = self.begin_compressed(rest, error)?;
                        consumed += taken;
                        if !has_begun {
                            return Ok((consumed, None));
                        }
                    }
                }
            }
            let stretch = self.decoder.read_payload(&mut input[consumed..]);
            consumed += stretch.bytes.len();
            self.assembler.push(stretch.bytes)?;
            if !stretch.ends_frame {
                return Ok((consumed, None));
            }
            if let Some(assembled) = self.assembler.end_frame()? {
                return Ok((consumed, Some(Found::Assembled(assembled))));
            }
        }
        Ok((consumed, None))
    }

    /// Begins the first frame of a compressed message, if a frame was refused for being that; gives
    /// how many bytes of the input its header took, and whether it is complete.
    ///
    /// Frames come here by an error, so that the way of the others is no longer for it.
    #[cold]
    #[inline(never)]
    fn begin_compressed(
        &mut self,
        input: &[u8],
        error: ProtocolError,
    ) -> Result<(usize, bool), ProtocolError> {
        if error != ProtocolError::ReservedBits {
            return Err(error);
        }
        let rules = self.assembler.compressed_rules();
        let (taken, header) = self.decoder.read_header(input, &rules)?;
        if let Some(header) = &header {
            self.assembler.begin_frame(header);
        }
        Ok((taken, header.is_some()))
    }

    fn event_from(&mut self, assembled: Assembled) -> Result<Event<'static>, ProtocolError> {
        Ok(match assembled {
            Assembled::Message(kind, buffer) => Event::Message {
                kind,
                payload: Payload::Owned(buffer),
            },
            Assembled::Ping(payload) => Event::Ping(payload),
            Assembled::Pong(payload) => Event::Pong(payload),
            Assembled::Close(payload) => {
                let frame = CloseFrame::parse(&payload, self.reserved_close_codes)?;
                self.finish();
                Event::Close(frame)
            }
        })
    }

    /// The one way out for every fault of the peer.
    #[cold]
    fn fail(&mut self, consumed: usize, error: ProtocolError) -> (usize, Option<Event<'static>>) {
        self.finish();
        (consumed, Some(Event::Failed(error)))
    }

    /// No event comes any more; frees what is kept of a message.
    fn finish(&mut self) {
        self.is_finished = true;
        self.assembler = MessageAssembler::new(0);
    }
}
