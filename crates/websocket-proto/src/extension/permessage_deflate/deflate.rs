use std::fmt;
use std::sync::Arc;

use super::compressor::Deflater;
use super::{CodecPool, CompressionLevel, WindowBits};

/// The sender's half: messages → their compressed form.
pub(crate) struct MessageDeflater {
    pool: Arc<CodecPool>,
    level: CompressionLevel,
    window_bits: WindowBits,
    context_takeover: bool,
    min_size: usize,
    /// With context takeover, from the first compressed message on.
    deflater: Option<Deflater>,
    /// The peer's window holds what the compressor has not seen: where it finds an earlier string, the peer has
    /// another one.
    is_stale: bool,
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
            is_stale: false,
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
        if std::mem::take(&mut self.is_stale) {
            deflater.reset();
        }
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

    /// The frame of a message that goes to many, compressed; `None` when it goes uncompressed, which a message
    /// does that would not become smaller, since its compressor's context is nobody's.
    ///
    /// `payload_len` and `plain_len` are the lengths of its payload and of its frame without compression;
    /// `compressed` gives the frame that compressors of a level and window make.
    pub(crate) fn prepared(
        &mut self,
        (payload_len, plain_len): (usize, usize),
        compressed: impl FnOnce(CompressionLevel, WindowBits, &CodecPool) -> Option<Arc<[u8]>>,
    ) -> Option<Arc<[u8]>> {
        if !self.is_worth(payload_len) {
            return None;
        }
        let frame = compressed(self.level, self.window_bits, &self.pool)?;
        if self.min_size > 0 && frame.len() >= plain_len {
            return None;
        }
        // Without context takeover there is none, and the next one knows nothing.
        self.is_stale = self.deflater.is_some();
        Some(frame)
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
