//! Lines that are made where something happens, and written elsewhere.

use httpd::apr::Status;
use httpd::log::{Level, Subject};
use httpd::pen::Line;

use super::tag::Tag;
use crate::symbol::websocket_module;

/// A line for [`scribe::write`](super::scribe::write), when LogLevel lets it through. For a thread that holds what must not be
/// held while a log is written.
pub fn line(
    subject: &Subject<'_>,
    level: Level,
    tag: Tag,
    text: impl FnOnce() -> String,
) -> Option<Line> {
    let text = || format!("{tag}: {}", text());
    Line::new(&websocket_module, subject, level, Status::SUCCESS, text)
}

/// Whether LogLevel lets a line through.
pub fn is_logged(subject: &Subject<'_>, level: Level) -> bool {
    httpd::log::is_logged(&websocket_module, subject, level)
}
