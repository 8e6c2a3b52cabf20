use std::fmt;
use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};

use super::{CodecPool, CompressionLevel, TAIL, WindowBits};

/// The sender's half: messages → their compressed form.
pub(crate) struct MessageDeflater {
    pool: Arc<CodecPool>,
    level: CompressionLevel,
    window_bits: WindowBits,
    context_takeover: bool,
    min_size: usize,
    /// With context takeover, from the first compressed message on.
    deflater: Option<Deflater>,
}

impl MessageDeflater {
    pub(super) fn new(
        pool: Arc<CodecPool>,
        level: CompressionLevel,
        window_bits: WindowBits,
        context_takeover: bool,
        min_size: usize,
    ) -> MessageDeflater {
        MessageDeflater {
            pool,
            level,
            window_bits,
            context_takeover,
            min_size,
            deflater: None,
        }
    }

    /// Whether a message of this length is worth it; an empty one never is.
    pub(crate) fn is_worth(&self, len: usize) -> bool {
        len >= self.min_size.max(1)
    }

    /// Appends the compressed form of a message. When that is not to be sent, it appends nothing
    /// and gives false: the message goes uncompressed.
    ///
    /// That is so when the form is no smaller, but only without context takeover. With it, what the
    /// compressor has seen the peer has to see too, so it is sent; incompressible bytes grow by
    /// some bytes per 16 KiB. A `min_size` of 0 asks for every message to be compressed, and is obeyed.
    pub(crate) fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let deflater = self.deflater.take();
        let mut deflater =
            deflater.unwrap_or_else(|| self.pool.take_deflater(self.level, self.window_bits));
        if deflater.deflate(payload, out).is_err() {
            // Does not happen. A new compressor refers to nothing before it, which is always right.
            out.truncate(start);
            return false;
        }
        if self.context_takeover {
            self.deflater = Some(deflater);
            return true;
        }
        self.pool.give_deflater(deflater);
        let is_sent = self.min_size == 0 || out.len() - start < payload.len();
        if !is_sent {
            out.truncate(start);
        }
        is_sent
    }
}

impl fmt::Debug for MessageDeflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageDeflater")
            .field("level", &self.level)
            .field("window_bits", &self.window_bits)
            .field("context_takeover", &self.context_takeover)
            .field("min_size", &self.min_size)
            .finish_non_exhaustive()
    }
}

/// A compressor.
#[derive(Debug)]
pub(super) struct Deflater {
    compress: Compress,
    level: CompressionLevel,
    window_bits: WindowBits,
}

impl Deflater {
    pub(super) fn new(level: CompressionLevel, window_bits: WindowBits) -> Deflater {
        let compression = Compression::new(u32::from(level.get()));
        Deflater {
            compress: Compress::new_with_window_bits(compression, false, window_bits.get()),
            level,
            window_bits,
        }
    }

    pub(super) fn is_for(&self, level: CompressionLevel, window_bits: WindowBits) -> bool {
        self.level == level && self.window_bits == window_bits
    }

    /// Forgets what it has seen.
    pub(super) fn reset(&mut self) {
        self.compress.reset();
    }

    /// Compresses a message that is not empty (RFC 7692 §7.2.1).
    fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Failed> {
        let mut rest = payload;
        loop {
            // The least is more than the end of a flush, which must not be begun twice.
            let room = (rest.len() / 2).clamp(64, 64 << 10);
            let start = out.len();
            out.resize(start + room, 0);
            let (before_in, before_out) = (self.compress.total_in(), self.compress.total_out());
            let result = self
                .compress
                .compress(rest, &mut out[start..], FlushCompress::Sync);
            let taken = (self.compress.total_in() - before_in) as usize;
            let written = (self.compress.total_out() - before_out) as usize;
            out.truncate(start + written);
            result.map_err(|_| Failed)?;
            rest = &rest[taken..];
            if written < room {
                break;
            }
        }
        // RFC 7692 §7.2.1: the last four bytes are left out.
        if !rest.is_empty() || !out.ends_with(&TAIL) {
            return Err(Failed);
        }
        out.truncate(out.len() - TAIL.len());
        Ok(())
    }
}

/// The compressor did not do what it always does.
struct Failed;
