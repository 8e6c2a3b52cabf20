//! Logging with stable tags: `[websocket:level] … WSnnnn: text`.
//!
//! [`log`] says one thing now, under a [`Tag`]; [`line`] makes a line for later. The [`scribe`] is the thread that writes, under
//! an asynchronous MPM and where frames are logged, so that no WebSocket waits for a log; it also ends requests, because that writes access logs.
//!
//! Called by every room, on any thread; the child starts and stops the scribe, which a connection whose frames are logged starts, too. Payload and query strings are never logged, but for
//! the payload at trace8.

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
