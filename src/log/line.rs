//! Lines that are made where something happens, and written elsewhere.

use std::ffi::CStr;
use std::fmt;

use httpd::apr::Status;
use httpd::log::{Level, Subject};
use httpd::pen::Line;

use super::tag::Tag;
use crate::symbol::websocket_module;

/// The note with a WebSocket's number: `%{websocket-id}n`.
pub const NUMBER: &CStr = c"websocket-id";

/// A line for [`scribe::write`](super::scribe::write), when LogLevel lets it through. For a thread that holds what must not be
/// held while a log is written.
pub fn line(
    subject: &Subject<'_>,
    level: Level,
    tag: Tag,
    text: impl FnOnce() -> String,
) -> Option<Line> {
    let text = || format!("{tag}: {}{}", About(subject), text());
    Line::new(&websocket_module, subject, level, Status::SUCCESS, text)
}

/// Whose line it is: the beginning of each that is about one WebSocket.
pub struct About<'a>(pub &'a Subject<'a>);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Subject::Upgraded(upgraded) => match upgraded.notes().get_text(NUMBER) {
                Some(number) => write!(f, "WebSocket {number}: "),
                None => Ok(()),
            },
            Subject::Request(_) | Subject::Server(_) | Subject::Process => Ok(()),
        }
    }
}

/// Whether LogLevel lets a line through.
pub fn is_logged(subject: &Subject<'_>, level: Level) -> bool {
    httpd::log::is_logged(&websocket_module, subject, level)
}
