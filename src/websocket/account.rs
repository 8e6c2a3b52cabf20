//! What is said of a WebSocket that has ended: a line in the error log, notes for the access log.

use std::fmt;
use std::time::Duration;

use httpd::log::Subject;
use httpd::pen::Line;
use httpd::upgraded::Upgraded;

use crate::log::{self, Level, Tag};
use crate::websocket::ending::{Closed, ClosedBy, Ending};

/// The account of one WebSocket.
pub struct Account<'a> {
    pub ending: &'a Ending,
    /// The first Close frame.
    pub closed: Option<&'a Closed>,
    pub duration: Duration,
    pub messages_in: u64,
    pub messages_out: u64,
    /// Bytes of the connection, frame headers included and compressed as they were.
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Account<'_> {
    /// Leaves it as notes of the request, and gives the line for the error log, to be written when the transport is free.
    pub fn give(&self, upgraded: &Upgraded) -> Option<Line> {
        let (by, code) = self.ending.logged_code(self.closed);
        let notes = upgraded.notes();
        notes.set_text(c"websocket-close-by", by);
        for (name, number) in [
            (c"websocket-close-code", u64::from(code)),
            (c"websocket-messages-in", self.messages_in),
            (c"websocket-messages-out", self.messages_out),
            (c"websocket-bytes-in", self.bytes_in),
            (c"websocket-bytes-out", self.bytes_out),
        ] {
            notes.set_text(name, &number.to_string());
        }
        log::line(
            &Subject::Upgraded(upgraded),
            Level::Info,
            Tag::Ended,
            || self.to_string(),
        )
    }
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WebSocket ended after {:.3} s, {} messages in and {} out, {} bytes in and {} out: ",
            self.duration.as_secs_f64(),
            self.messages_in,
            self.messages_out,
            self.bytes_in,
            self.bytes_out,
        )?;
        match (self.ending, self.closed) {
            (
                Ending::Close {
                    is_answer: true, ..
                },
                Some(closed),
            ) => {
                write!(f, "{closed}, answered with {}", self.ending)
            }
            (Ending::Close { .. }, _) => write!(f, "{}, {}", ClosedBy::Peer, self.ending),
            (Ending::Failed(_) | Ending::Internal, _) | (_, None) => write!(f, "{}", self.ending),
            (_, Some(closed)) => write!(f, "{closed}, and {}", self.ending),
        }
    }
}
