//! What is said of a WebSocket that has ended: a line in the error log, notes for the access log.

use std::fmt;

use httpd::apr::Status;
use httpd::log::Subject;
use httpd::pen::Line;
use httpd::upgraded::Upgraded;

use session::{Account, ClosedBy, Ending};
use websocket_proto::ProtocolError;

use crate::configuration::config::Config;
use crate::log::{self, Level, Tag};
use crate::symbol::websocket_module;

/// Leaves the account of one WebSocket as notes of the request, and gives the line for the error log, to be written when
/// the transport is free.
pub fn give(account: &Account<'_, Status>, upgraded: &Upgraded) -> Option<Line> {
    let (by, code) = account.ending.logged_code(account.closed);
    let notes = upgraded.notes();
    notes.set_text(c"websocket-close-by", by);
    for (name, number) in [
        (c"websocket-close-code", u64::from(code)),
        (c"websocket-messages-in", account.messages_in),
        (c"websocket-messages-out", account.messages_out),
        (c"websocket-bytes-in", account.bytes_in),
        (c"websocket-bytes-out", account.bytes_out),
    ] {
        notes.set_text(name, &number.to_string());
    }
    log::line(
        &Subject::Upgraded(upgraded),
        Level::Info,
        Tag::Ended,
        || {
            let mut told = Told(account).to_string();
            if let Ending::Failed(ProtocolError::MessageTooBig(_)) = account.ending {
                let request = upgraded.request();
                let config = request.config::<Config>(&websocket_module);
                let limit = config.map(Config::max_message_size);
                let limit = limit.unwrap_or(Config::DEFAULT_MAX_MESSAGE_SIZE);
                told += &format!(" (WebSocketMaxMessageSize {limit})");
            }
            told
        },
    )
}

/// An account as the log has it.
struct Told<'a>(&'a Account<'a, Status>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told(account) = self;
        write!(
            f,
            "ended after {:.3} s, {} messages in and {} out, {} bytes in and {} out: ",
            account.duration.as_secs_f64(),
            account.messages_in,
            account.messages_out,
            account.bytes_in,
            account.bytes_out,
        )?;
        match (account.ending, account.closed) {
            (
                Ending::Close {
                    is_answer: true, ..
                },
                Some(closed),
            ) => {
                write!(f, "{closed}, answered with {}", account.ending)
            }
            (Ending::Close { .. }, _) => write!(f, "{}, {}", ClosedBy::Peer, account.ending),
            (Ending::Failed(_) | Ending::Internal, _) | (_, None) => {
                write!(f, "{}", account.ending)
            }
            (_, Some(closed)) => write!(f, "{closed}, and {}", account.ending),
        }
    }
}
