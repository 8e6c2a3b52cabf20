//! Logging with stable tags: `[websocket:level] … WSnnnn: text`.
//!
//! | file | what lives there |
//! |---|---|
//! | [`tag`] | what lines are about |
//! | [`say`] | one line, now, under a tag: by way of the scribe where there is one |
//! | [`line`](mod@line) | a line that is made where something happens, and written elsewhere |
//! | [`repeats`] | lines that anybody can cause as often as they like: the first are written, the others counted |
//! | [`scribe`] | the thread that writes, under an asynchronous MPM and where frames are logged, so that no WebSocket waits for a log; it also ends requests, because that writes access logs |
//!
//! Called by every room, on any thread. The child starts and stops the scribe; a connection whose frames are logged starts it, too. Payload and
//! query strings are never logged, but for the payload at trace8.

mod line;
mod repeats;
mod say;
pub mod scribe;
mod tag;

pub use httpd::log::Level;
pub use line::{NUMBER, is_logged, line};
pub use repeats::{log_or_count, tell as tell_repeats};
pub use say::{log, of_plugin, panicked};
pub use tag::Tag;
