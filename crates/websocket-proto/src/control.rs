//! What control frames carry (RFC 6455 §5.5).

use std::fmt;
use std::ops::Deref;

use crate::error::ProtocolError;

/// The payload data of a control frame: at most 125 bytes, kept inline.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl ControlPayload {
    /// RFC 6455 §5.5.
    pub const MAX_LEN: usize = 125;

    pub(crate) const EMPTY: ControlPayload = ControlPayload {
        bytes: [0; Self::MAX_LEN],
        len: 0,
    };

    /// Appends the next stretch.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let len = usize::from(self.len);
        // RFC 6455 §5.5. The frame header has been refused before it comes to this.
        let free = self.bytes[len..]
            .get_mut(..bytes.len())
            .ok_or(ProtocolError::ControlTooLong)?;
        free.copy_from_slice(bytes);
        self.len += bytes.len() as u8;
        Ok(())
    }
}

impl Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &ControlPayload) -> bool {
        **self == **other
    }
}

impl Eq for ControlPayload {}
