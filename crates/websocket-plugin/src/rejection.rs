//! How a plugin refuses an opening handshake.

use core::fmt;
use std::error::Error;
use std::ffi::CString;

use crate::callback::note;
use crate::header::{HeaderField, InvalidHeader};
use crate::host::Host;

/// The HTTP response that refuses an opening handshake. httpd writes its body, an `ErrorDocument`
/// if there is one, unless the plugin gives it [one](Self::body).
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
/// A `?` in [`Plugin::connect`](crate::Plugin::connect) turns any error into a 500 and a line in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "connect refuses by returning it as an error"]
pub struct Rejection {
    status: u16,
    fields: Vec<HeaderField>,
    body: Option<(CString, Vec<u8>)>,
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
        let body = None;
        Self {
            status,
            fields,
            body,
        }
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

    /// Gives the response a body of the plugin's own, in the place of httpd's page: `application/json` and the text, for
    /// one. A server that is older than this writes its own.
    ///
    /// The content type has no control character; anything else is an error.
    pub fn body(
        mut self,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Self, InvalidHeader> {
        let HeaderField { value, .. } = HeaderField::new("Content-Type", content_type)?;
        self.body = Some((value, body.into()));
        Ok(self)
    }

    /// Writes why into the log, at level error. For errors of which one knows the status:
    ///
    /// ```
    /// # use websocket_plugin::Rejection;
    /// # fn look_up() -> Result<u32, std::io::Error> { Ok(1) }
    /// # fn connect() -> Result<u32, Rejection> {
    /// let user = look_up().map_err(|error| Rejection::service_unavailable().because(error))?;
    /// # Ok(user) }
    /// ```
    pub fn because(self, reason: impl fmt::Display) -> Self {
        note(reason);
        self
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
        unsafe {
            match &self.body {
                Some((kind, body)) => host.reject_with(self.status, kind, body),
                None => host.reject(self.status),
            }
        };
    }
}

/// 403 Forbidden.
impl Default for Rejection {
    fn default() -> Self {
        Self::forbidden()
    }
}

/// `?` in [`Plugin::connect`](crate::Plugin::connect): whatever can be an error (each type that implements `Error`, and
/// texts, which is what [`Options`](crate::Options) say) is a 500 Internal Server Error, and goes to the log, with what has
/// caused it.
///
/// So a `Rejection` itself is no `Error`: it would be one of these.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Rejection {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::new(500).because(text)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handshake is refused with status {}", self.status)
    }
}
