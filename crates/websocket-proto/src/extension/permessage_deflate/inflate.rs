use std::fmt;
use std::sync::Arc;

use super::decompressor::{Inflated, Inflater};
use super::{CodecPool, TAIL};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Share;

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
}
