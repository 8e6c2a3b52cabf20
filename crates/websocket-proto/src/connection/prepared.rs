use std::sync::{Arc, Mutex, PoisonError};

use super::compression::Compression;
use crate::error::LocalError;
use crate::extension::permessage_deflate::{CodecPool, CompressionLevel, WindowBits};
use crate::frame::{FrameHeader, encode_header};
use crate::message::{MessageAssembler, MessageKind};

/// A message that a server sends to many: its frame is made once for all of them, and compressed once for
/// each window that they have agreed on.
///
/// [`SendingHalf::send_prepared`](super::SendingHalf::send_prepared) gives each connection the form that it
/// takes. A clone is the same message, and costs no copy.
#[derive(Clone, Debug)]
pub struct PreparedMessage(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    kind: MessageKind,
    compression: Compression,
    /// The frame without compression.
    plain: Arc<[u8]>,
    header_len: usize,
    compressed: Mutex<Vec<Compressed>>,
}

/// The frame as compressors of one kind make it.
#[derive(Debug)]
struct Compressed {
    level: CompressionLevel,
    window_bits: WindowBits,
    /// `None` when the compressor has failed, which does not happen.
    frame: Option<Arc<[u8]>>,
}

impl PreparedMessage {
    /// Prepares a message, to be compressed or not. Text has to be UTF-8.
    pub fn new(
        kind: MessageKind,
        payload: &[u8],
        compression: Compression,
    ) -> Result<PreparedMessage, LocalError> {
        let payload_length = payload.len() as u64;
        // RFC 6455 §5.2: 63 bits.
        if payload_length > FrameHeader::MAX_PAYLOAD_LENGTH {
            return Err(LocalError::MessageTooLong);
        }
        MessageAssembler::check_whole(kind, payload).map_err(|_| LocalError::InvalidUtf8)?;
        let header = encode_header(&FrameHeader::new(kind.opcode(), payload_length));
        let mut plain = Vec::with_capacity(header.len() + payload.len());
        plain.extend_from_slice(&header);
        plain.extend_from_slice(payload);
        Ok(PreparedMessage(Arc::new(Forms {
            kind,
            compression,
            plain: plain.into(),
            header_len: header.len(),
            compressed: Mutex::default(),
        })))
    }

    /// What it consists of.
    pub fn kind(&self) -> MessageKind {
        self.0.kind
    }

    /// Its payload, uncompressed.
    pub fn payload(&self) -> &[u8] {
        &self.0.plain[self.0.header_len..]
    }

    /// Whether it is to be compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.0.compression
    }

    /// Its frame without compression.
    pub(crate) fn plain(&self) -> Arc<[u8]> {
        Arc::clone(&self.0.plain)
    }

    /// How long its payload and that frame are.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.payload().len(), self.0.plain.len())
    }

    /// Its frame compressed without any context before it: made by the first who asks for this level and
    /// window.
    pub(crate) fn compressed(
        &self,
        level: CompressionLevel,
        window_bits: WindowBits,
        pool: &CodecPool,
    ) -> Option<Arc<[u8]>> {
        // Held while it is compressed, so that who comes meanwhile waits for it instead of compressing it, too.
        let mut forms = self
            .0
            .compressed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_this = |form: &&Compressed| form.level == level && form.window_bits == window_bits;
        if let Some(form) = forms.iter().find(is_this) {
            return form.frame.clone();
        }
        let frame = self.compress(level, window_bits, pool);
        forms.push(Compressed {
            level,
            window_bits,
            frame: frame.clone(),
        });
        frame
    }

    fn compress(
        &self,
        level: CompressionLevel,
        window_bits: WindowBits,
        pool: &CodecPool,
    ) -> Option<Arc<[u8]>> {
        // The header's length follows from the payload's, which is not known yet.
        const GAP: usize = FrameHeader::MAX_LEN;
        let mut bytes = vec![0; GAP];
        if !pool.deflate_alone(level, window_bits, self.payload(), &mut bytes) {
            return None;
        }
        let header = encode_header(&FrameHeader {
            // RFC 7692 §6.1: RSV1 marks the first frame of a compressed message.
            rsv1: true,
            ..FrameHeader::new(self.0.kind.opcode(), (bytes.len() - GAP) as u64)
        });
        let start = GAP - header.len();
        bytes[start..GAP].copy_from_slice(&header);
        Some(bytes[start..].into())
    }
}
