//! Why an upgrade is refused, and the answer to it: an HTTP error, and the connection's end.

use std::ffi::CString;

use httpd::log::Subject;
use httpd::request::{HandlerResult, Request};

use crate::board;
use crate::log::{self, Level, Tag};

pub const BAD_REQUEST: u16 = 400;
pub const FORBIDDEN: u16 = 403;
pub const UPGRADE_REQUIRED: u16 = 426;
pub const TOO_MANY_REQUESTS: u16 = 429;
pub const INTERNAL_SERVER_ERROR: u16 = 500;
pub const NOT_IMPLEMENTED: u16 = 501;
pub const SERVICE_UNAVAILABLE: u16 = 503;

/// Why an upgrade is refused.
pub struct RefusedUpgrade {
    pub status: u16,
    pub level: Level,
    pub tag: Tag,
    pub reason: String,
    /// The plugin's own body: its media type and content. Else httpd writes one.
    pub body: Option<(CString, Vec<u8>)>,
}

impl RefusedUpgrade {
    pub fn new(status: u16, tag: Tag, reason: impl Into<String>) -> Self {
        let level = if status < INTERNAL_SERVER_ERROR {
            Level::Info
        } else {
            Level::Error
        };
        RefusedUpgrade {
            status,
            level,
            tag,
            reason: reason.into(),
            body: None,
        }
    }

    pub fn counts_as(&self) -> board::RefusedFor {
        match self.tag {
            Tag::BadHandshake => board::RefusedFor::BadHandshake,
            Tag::OriginRefused => board::RefusedFor::Origin,
            Tag::RefusedByPlugin | Tag::PluginFailed => board::RefusedFor::Plugin,
            Tag::TooManyConnections => board::RefusedFor::TooManyConnections,
            Tag::TooManyInLocation => board::RefusedFor::TooManyInLocation,
            Tag::TooManyOfClient => board::RefusedFor::TooManyOfClient,
            Tag::NoPlugin => board::RefusedFor::NoPlugin,
            _ => board::RefusedFor::Other,
        }
    }

    /// Logs the reason and has httpd answer. The connection is closed behind it: a client, or a proxy in
    /// between, may take it for upgraded already.
    pub fn answer(self, request: &Request<'_>) -> HandlerResult {
        let text = || format!("no WebSocket for {}: {}", request.uri(), self.reason);
        let subject = Subject::Request(request);
        match self.tag {
            // A crowd that comes back would fill the log with them.
            Tag::TooManyConnections => {
                let of = "WebSockets were refused (WebSocketMaxConnections)";
                log::log_or_count(&subject, self.level, self.tag, of, text);
            }
            Tag::TooManyInLocation => {
                let of = "WebSockets were refused (WebSocketMaxConnectionsPerLocation)";
                log::log_or_count(&subject, self.level, self.tag, of, text);
            }
            _ => log::log(&subject, self.level, self.tag, text),
        }
        if self.status == BAD_REQUEST {
            // httpd's own error page for 400 shows it.
            request
                .notes()
                .set_text(c"error-notes", &figures::form::escape_html(&self.reason));
        }
        request.close_connection();
        if let Some((kind, body)) = self.body {
            request.respond_to_refuse(self.status, &kind, &body);
            return HandlerResult::Done;
        }
        HandlerResult::HttpStatus(self.status)
    }
}
