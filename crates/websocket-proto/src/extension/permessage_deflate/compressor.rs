use flate2::{Compress, Compression, FlushCompress};

use super::{CompressionLevel, TAIL, WindowBits};

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
    pub(super) fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Failed> {
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
#[derive(Debug)]
pub(super) struct Failed;
