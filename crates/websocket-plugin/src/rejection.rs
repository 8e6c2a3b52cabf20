//! How a plugin refuses an opening handshake.

use core::fmt;
use std::io;

use crate::callback::note;
use crate::header::{HeaderField, InvalidHeader};
use crate::host::Host;
use crate::sender::SendError;

/// The HTTP response that refuses an opening handshake. httpd writes its body, an `ErrorDocument`
/// if there is one.
///
/// ```
/// use websocket_plugin::{Handshake, Rejection};
///
/// fn user(handshake: &Handshake<'_>) -> Result<String, Rejection> {
///     match handshake.variable("REMOTE_USER") {
///         Some(user) => Ok(user.to_owned()),
///         None => Err(Rejection::unauthorized().header("WWW-Authenticate", "Ticket")?),
///     }
/// }
/// ```
///
/// What [`Handshake::set_header`](crate::Handshake::set_header) has set goes on the response too.
///
/// A `?` in [`Plugin::connect`](crate::Plugin::connect) turns the errors of this crate, those of
/// input and output, and the texts of [`Options`](crate::Options) into a 500 and a line in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "connect refuses by returning it as an error"]
pub struct Rejection {
    status: u16,
    fields: Vec<HeaderField>,
}

impl Rejection {
    /// A refusal with an HTTP status from 300 to 599; any other number is 500, Internal Server
    /// Error.
    pub const fn new(status: u16) -> Self {
        let status = match status {
            300..=599 => status,
            _ => 500,
        };
        let fields = Vec::new();
        Self { status, fields }
    }

    /// 400: the request makes no sense.
    pub const fn bad_request() -> Self {
        Self::new(400)
    }

    /// 401: who is there? HTTP wants a header field `WWW-Authenticate` with it (RFC 9110 §15.5.2).
    pub const fn unauthorized() -> Self {
        Self::new(401)
    }

    /// 403: not this client.
    pub const fn forbidden() -> Self {
        Self::new(403)
    }

    /// 404: nothing is there.
    pub const fn not_found() -> Self {
        Self::new(404)
    }

    /// 503: not now. A header field `Retry-After` may say when.
    pub const fn service_unavailable() -> Self {
        Self::new(503)
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header field to the response, or replaces the one of that name. What is an error:
    /// see [`Handshake::set_header`](crate::Handshake::set_header).
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        self.fields.push(HeaderField::new(name, value)?);
        Ok(self)
    }

    fn failed(error: impl fmt::Display) -> Self {
        note(error);
        Self::new(500)
    }

    /// Tells the server.
    ///
    /// # Safety
    /// The table of `host` is alive, and this is the thread of its `on_connect`.
    pub(crate) unsafe fn tell(&self, host: Host) {
        for field in &self.fields {
            // SAFETY: as the caller says.
            unsafe { host.header_set(&field.name, &field.value) };
        }
        // SAFETY: as the caller says.
        unsafe { host.reject(self.status) };
    }
}

/// 403 Forbidden.
impl Default for Rejection {
    fn default() -> Self {
        Self::forbidden()
    }
}

/// An error of the plugin's own: 500 Internal Server Error, and the error goes to the log.
impl From<InvalidHeader> for Rejection {
    fn from(error: InvalidHeader) -> Self {
        Self::failed(error)
    }
}

/// An error of the plugin's own: 500 Internal Server Error, and the error goes to the log.
impl From<SendError> for Rejection {
    fn from(error: SendError) -> Self {
        Self::failed(error)
    }
}

/// An error of the plugin's own: 500 Internal Server Error, and the error goes to the log.
impl From<io::Error> for Rejection {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

/// What [`Options`](crate::Options) say is wrong: 500 Internal Server Error, and the text goes to
/// the log.
impl From<String> for Rejection {
    fn from(error: String) -> Self {
        Self::failed(error)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handshake is refused with status {}", self.status)
    }
}

impl std::error::Error for Rejection {}
