//! What a plugin sees of the opening handshake.

use core::ffi::CStr;
use core::fmt;
use core::marker::PhantomData;
use std::ffi::CString;

use crate::host::Host;
use crate::sender::Sender;

/// The opening handshake that [`Plugin::connect`](crate::Plugin::connect) accepts or refuses.
///
/// It belongs to the thread of that call.
pub struct Handshake<'a> {
    host: Host,
    sender: &'a Sender,
    /// Not `Send` and not `Sync`.
    _thread: PhantomData<*const ()>,
}

impl<'a> Handshake<'a> {
    /// The value of a header field of the request, letter case of the name ignored. `None` also
    /// when it is not UTF-8; see [`header_bytes`](Self::header_bytes).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_field(name)?.to_str().ok()
    }

    /// The value of a header field of the request, as it came.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.header_field(name).map(CStr::to_bytes)
    }

    /// Sets a header field of the response, replacing one of the same name.
    ///
    /// `name` is a token, and `value` has no control character other than a tab; anything else is
    /// an error and sets nothing, so that text from a client cannot add header fields.
    pub fn set_header(&self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        if !is_token(name)
            || value
                .bytes()
                .any(|byte| byte != b'\t' && byte.is_ascii_control())
        {
            return Err(InvalidHeader);
        }
        let name = CString::new(name).map_err(|_| InvalidHeader)?;
        let value = CString::new(value).map_err(|_| InvalidHeader)?;
        // SAFETY: the table is alive and this is the thread of `on_connect`, see `new`.
        unsafe { self.host.header_set(&name, &value) };
        Ok(())
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        // SAFETY: the table is alive and this is the thread of `on_connect`, see `new`.
        let count = unsafe { self.host.protocol_count() };
        (0..count).filter_map(|index| {
            // SAFETY: as before; the name lives longer than this handshake.
            unsafe { self.host.protocol_index(index) }?.to_str().ok()
        })
    }

    /// Chooses the subprotocol that the 101 names; the last call counts.
    ///
    /// `false`, and without effect, when the client does not offer it (RFC 6455 §4.2.2).
    pub fn choose_subprotocol(&self, name: &str) -> bool {
        if !self.subprotocols().any(|offered| offered == name) {
            return false;
        }
        let Ok(name) = CString::new(name) else {
            return false;
        };
        // SAFETY: the table is alive and this is the thread of `on_connect`, see `new`.
        unsafe { self.host.protocol_set(&name) };
        true
    }

    /// The handle that sends to this client. What is sent before the 101 goes out right after it,
    /// and is dropped when the handshake is refused.
    pub fn sender(&self) -> &'a Sender {
        self.sender
    }

    /// # Safety
    /// Until this value is gone, the table of `host` is alive and the running thread is the one of
    /// its `on_connect`.
    pub(crate) unsafe fn new(host: Host, sender: &'a Sender) -> Self {
        Self {
            host,
            sender,
            _thread: PhantomData,
        }
    }

    fn header_field(&self, name: &str) -> Option<&CStr> {
        let name = CString::new(name).ok()?;
        // SAFETY: the table is alive and this is the thread of `on_connect`, see `new`; the value
        // lives longer than this handshake.
        unsafe { self.host.header_get(&name) }
    }
}

impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

/// A name or a value that cannot stand in a header field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidHeader;

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this cannot stand in a header field")
    }
}

impl std::error::Error for InvalidHeader {}

/// RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_separators() {
        for good in ["a", "X-Name", "chat.v1", "!#$%&'*+-.^_`|~09"] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "a b", "a:", "a\r\n", "a\0", "ä", "a,b", "(a)"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
