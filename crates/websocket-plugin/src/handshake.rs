//! What a plugin sees of the opening handshake.

use core::ffi::CStr;
use core::fmt;
use core::marker::PhantomData;
use std::ffi::CString;

use crate::header::{HeaderField, InvalidHeader};
use crate::host::Host;
use crate::options::Options;
use crate::query;
use crate::sender::Sender;

/// The opening handshake that [`Plugin::connect`](crate::Plugin::connect) accepts or refuses.
///
/// It belongs to the thread of that call and is gone when the call returns; a text that is needed
/// longer is copied (`to_owned`).
pub struct Handshake<'a> {
    host: Host,
    sender: &'a Sender,
    /// Not `Send` and not `Sync`.
    _thread: PhantomData<*const ()>,
}

impl<'a> Handshake<'a> {
    /// The options of the location that the client has asked for.
    pub fn options(&self) -> Options<'_> {
        // SAFETY: the table is alive as long as this handshake, see `new`.
        unsafe { Options::asked(self.host) }
    }

    /// What httpd knows about the request, by its CGI name (RFC 3875):
    ///
    /// `REMOTE_ADDR` (the client, as mod_remoteip sees it), `REMOTE_PORT`, `REMOTE_HOST`,
    /// `REMOTE_USER`, `AUTH_TYPE`, `REQUEST_URI`, `REQUEST_METHOD`, `REQUEST_SCHEME`,
    /// `QUERY_STRING`, `SCRIPT_NAME`, `PATH_INFO`, `SERVER_NAME`, `SERVER_ADDR`, `SERVER_PORT`,
    /// `SERVER_PROTOCOL`, `SERVER_ADMIN`, `SERVER_SOFTWARE`, `DOCUMENT_ROOT`; `WEBSOCKET_ID` (its number in the status handler's
    /// list and in the logs); `HTTPS` (`on` or
    /// `off`; none without mod_ssl); `HTTP_` and the name of a header field; `SSL_` and what mod_ssl knows; and each
    /// variable that `SetEnv`, `SetEnvIf`, `RewriteRule` and the like have set.
    ///
    /// `None` when there is none, and when it is not UTF-8; see
    /// [`variable_bytes`](Self::variable_bytes).
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variable_text(name)?.to_str().ok()
    }

    /// Like [`variable`](Self::variable), as it came.
    pub fn variable_bytes(&self, name: &str) -> Option<&[u8]> {
        self.variable_text(name).map(CStr::to_bytes)
    }

    /// The path that the client asks for, without the query string, as it was sent (`/chat/caf%C3%A9`).
    pub fn path(&self) -> Option<&str> {
        let uri = self.variable("REQUEST_URI")?;
        uri.split('?').next()
    }

    /// Who has logged in (`REMOTE_USER`).
    pub fn user(&self) -> Option<&str> {
        self.variable("REMOTE_USER")
    }

    /// A parameter of the query string, `room` of `/chat?room=blue&lang=en`: decoded (`%20` and `+`
    /// are spaces), and the first when there are several of that name.
    ///
    /// `None` when there is none; empty when it has no value. What is not UTF-8 in it becomes U+FFFD,
    /// the replacement character.
    pub fn query(&self, name: &str) -> Option<String> {
        query::parameter(self.variable_bytes("QUERY_STRING")?, name)
    }

    /// The value of a header field of the request, letter case of the name ignored; fields of one
    /// name are joined with `, `. `None` also when it is not UTF-8; see
    /// [`header_bytes`](Self::header_bytes).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_text(name)?.to_str().ok()
    }

    /// The value of a header field of the request, as it came.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.header_text(name).map(CStr::to_bytes)
    }

    /// Sets a header field of the response, the 101 as well as a refusal, replacing one of the same
    /// name.
    ///
    /// `name` is a token, and `value` has no control character other than a tab; anything else is
    /// an error and sets nothing, so that text from a client cannot add header fields.
    pub fn set_header(&self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let field = HeaderField::new(name, value)?;
        // SAFETY: the table is alive and this is the thread of `on_connect`, see `new`.
        unsafe { self.host.header_set(&field.name, &field.value) };
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

    fn header_text(&self, name: &str) -> Option<&CStr> {
        let name = CString::new(name).ok()?;
        // SAFETY: the table is alive and this is the thread of `on_connect`, see `new`; the value
        // lives longer than this handshake.
        unsafe { self.host.header_get(&name) }
    }

    fn variable_text(&self, name: &str) -> Option<&CStr> {
        let name = CString::new(name).ok()?;
        // SAFETY: as in `header_text`.
        unsafe { self.host.variable_get(&name) }
    }
}

impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}
