use flate2::{Decompress, FlushDecompress, Status};

use super::WindowBits;
use crate::budget::Share;
use crate::error::ProtocolError;

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
    pub(super) fn inflate<F>(
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
            return Err(ProtocolError::MessageTooBig(None));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
