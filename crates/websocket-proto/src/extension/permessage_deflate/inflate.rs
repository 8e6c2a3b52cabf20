use std::fmt;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};

use super::{CodecPool, TAIL, WindowBits};
use crate::budget::Share;
use crate::error::ProtocolError;

/// The receiver's half: the compressed form of messages, in pieces → messages.
pub(crate) struct MessageInflater {
    pool: Arc<CodecPool>,
    context_takeover: bool,
    /// With context takeover, from the first compressed message on; else during a message.
    inflater: Option<Inflater>,
    /// Whether nothing has come since the message began or a final block ended.
    is_at_boundary: bool,
}

/// Where inflated bytes go: behind those of the message so far, up to a limit.
pub(crate) struct Inflated<'a, F> {
    /// The message so far.
    pub buffer: &'a mut Vec<u8>,
    /// What it has of the memory for unfinished messages.
    pub share: &'a mut Share,
    /// The most bytes that it may have.
    pub limit: u64,
    /// Checks each stretch of new bytes.
    pub check: F,
}

impl MessageInflater {
    pub(super) fn new(pool: Arc<CodecPool>, context_takeover: bool) -> MessageInflater {
        MessageInflater {
            pool,
            context_takeover,
            inflater: None,
            is_at_boundary: true,
        }
    }

    /// Inflates the next piece of a message.
    pub(crate) fn push<F>(
        &mut self,
        piece: &[u8],
        mut inflated: Inflated<'_, F>,
    ) -> Result<(), ProtocolError>
    where
        F: FnMut(&[u8]) -> Result<(), ProtocolError>,
    {
        let inflater = self
            .inflater
            .get_or_insert_with(|| self.pool.take_inflater());
        let mut rest = piece;
        while !rest.is_empty() {
            self.is_at_boundary = false;
            let (taken, is_final) = inflater.inflate(rest, &mut inflated)?;
            rest = &rest[taken..];
            if is_final {
                // RFC 7692 §7.2.3.4: a sender may use final blocks. DEFLATE ends with one, so what
                // follows is a new stream.
                inflater.reset();
                self.is_at_boundary = true;
            } else if taken == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Inflates what the sender has left out at the end of a message.
    pub(crate) fn end<F>(&mut self, inflated: Inflated<'_, F>) -> Result<(), ProtocolError>
    where
        F: FnMut(&[u8]) -> Result<(), ProtocolError>,
    {
        // RFC 7692 §7.2.2. A message of no bytes at all, or one that ends with a final block, is
        // not correct (§7.2.3.4, §7.2.3.6) but clear: there is no block to complete.
        if !self.is_at_boundary {
            self.push(&TAIL, inflated)?;
            self.is_at_boundary = true;
        }
        if !self.context_takeover
            && let Some(inflater) = self.inflater.take()
        {
            self.pool.give_inflater(inflater);
        }
        Ok(())
    }
}

impl fmt::Debug for MessageInflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageInflater")
            .field("context_takeover", &self.context_takeover)
            .finish_non_exhaustive()
    }
}

/// A decompressor. Its window is the largest, so it serves every sender.
#[derive(Debug)]
pub(super) struct Inflater {
    decompress: Decompress,
}

impl Inflater {
    pub(super) fn new() -> Inflater {
        let bits = WindowBits::MAX.get();
        Inflater {
            decompress: Decompress::new_with_window_bits(false, bits),
        }
    }

    /// Forgets what it has seen.
    pub(super) fn reset(&mut self) {
        self.decompress.reset(false);
    }

    /// Inflates until the input is used up or a final block has ended; gives how many bytes it took
    /// and whether it was a final block.
    fn inflate<F>(
        &mut self,
        input: &[u8],
        inflated: &mut Inflated<'_, F>,
    ) -> Result<(usize, bool), ProtocolError>
    where
        F: FnMut(&[u8]) -> Result<(), ProtocolError>,
    {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            let room = inflated.make_room(rest.len())?;
            let start = inflated.buffer.len();
            inflated.buffer.resize(start + room, 0);
            let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
            let result = self.decompress.decompress(
                rest,
                &mut inflated.buffer[start..],
                FlushDecompress::None,
            );
            taken += (self.decompress.total_in() - before_in) as usize;
            let written = (self.decompress.total_out() - before_out) as usize;
            inflated.buffer.truncate(start + written);
            // What came before a fault is judged before it, however the input is cut.
            inflated.judge(start)?;
            match result {
                Ok(Status::StreamEnd) => return Ok((taken, true)),
                // There may be more to come while the room was used up.
                Ok(Status::Ok | Status::BufError) if written < room => return Ok((taken, false)),
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => return Err(ProtocolError::InvalidDeflate),
            }
        }
    }
}

impl<F> Inflated<'_, F>
where
    F: FnMut(&[u8]) -> Result<(), ProtocolError>,
{
    /// Makes room for what `input_len` bytes may become, but for no more than one byte beyond the
    /// limit, and for one byte at least. Gives its length.
    fn make_room(&mut self, input_len: usize) -> Result<usize, ProtocolError> {
        let (have, capacity) = (self.buffer.len(), self.buffer.capacity());
        // One byte more than allowed shows that it is too much.
        let most = usize::try_from(self.limit)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        // Room is cleared before it is used, so not all that there is.
        let wanted = input_len.saturating_mul(4).clamp(512, 32 << 10);
        let room = wanted.min(most.saturating_sub(have)).max(1);
        if room > capacity - have {
            let target = capacity.saturating_mul(2).min(most).max(have + room);
            let target = self.share.grow(target, have + room)?;
            self.buffer.reserve_exact(target - have);
        }
        Ok(room)
    }

    /// Judges the bytes from `start` on: those within the limit, then whether there are more.
    fn judge(&mut self, start: usize) -> Result<(), ProtocolError> {
        let len = self.buffer.len();
        let within = usize::try_from(self.limit).map_or(len, |limit| limit.min(len));
        (self.check)(&self.buffer[start..within])?;
        // RFC 7692 §8: a limit on the inflated message.
        if len > within {
            return Err(ProtocolError::MessageTooBig);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(inflater: &mut MessageInflater, pieces: &[&[u8]]) -> Result<Vec<u8>, ProtocolError> {
        let (mut buffer, mut share) = (Vec::new(), Share::default());
        let mut check = |_: &[u8]| Ok(());
        for piece in pieces {
            let inflated = Inflated {
                buffer: &mut buffer,
                share: &mut share,
                limit: 100,
                check: &mut check,
            };
            inflater.push(piece, inflated)?;
        }
        inflater.end(Inflated {
            buffer: &mut buffer,
            share: &mut share,
            limit: 100,
            check: &mut check,
        })?;
        Ok(buffer)
    }

    #[test]
    fn without_takeover_the_decompressor_is_taken_for_a_message_and_given_back() {
        let pool = Arc::new(CodecPool::new(1));
        let mut inflater = MessageInflater::new(Arc::clone(&pool), false);
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(inflate(&mut inflater, &[hello]).unwrap(), b"Hello");
        assert!(inflater.inflater.is_none());
        assert_eq!(pool.idle(), (0, 1));
        assert_eq!(inflate(&mut inflater, &[hello]).unwrap(), b"Hello");
        // It has forgotten the last message.
        let result = inflate(&mut inflater, &[b"\xf2\x00\x11\x00\x00"]);
        assert_eq!(result, Err(ProtocolError::InvalidDeflate));
    }

    #[test]
    fn with_takeover_the_decompressor_stays() {
        let pool = Arc::new(CodecPool::new(1));
        let mut inflater = MessageInflater::new(Arc::clone(&pool), true);
        assert!(inflater.inflater.is_none());
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(inflate(&mut inflater, &[hello]).unwrap(), b"Hello");
        assert!(inflater.inflater.is_some());
        assert_eq!(pool.idle(), (0, 0));
        let again = b"\xf2\x00\x11\x00\x00";
        assert_eq!(inflate(&mut inflater, &[again]).unwrap(), b"Hello");
    }

    #[test]
    fn room_grows_by_doubling_and_ends_one_byte_beyond_the_limit() {
        let (mut buffer, mut share) = (Vec::new(), Share::default());
        let mut inflated = Inflated {
            buffer: &mut buffer,
            share: &mut share,
            limit: 100_000,
            check: |_: &[u8]| Ok(()),
        };
        let mut capacities = Vec::new();
        while inflated.buffer.len() < 100_001 {
            let room = inflated.make_room(1).unwrap();
            let len = inflated.buffer.len() + room;
            inflated.buffer.resize(len, 0);
            capacities.push(inflated.buffer.capacity());
        }
        capacities.dedup();
        assert!(capacities.len() < 12, "{capacities:?}");
        assert_eq!(buffer.capacity(), 100_001);
    }
}
