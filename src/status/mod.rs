//! What is shown of all children's figures, and connections that an operator closes.
//!
//! [`handler`] answers `SetHandler websocket-status` and writes the module's part of mod_status' page; `close` is its POST.
//!
//! Called by httpd, by way of `module`. Reads the board, and posts to it; the child that has a connection closes it.

mod answer;
mod close;
mod filter;
mod guard;
mod handler;

pub use handler::{Section, handle};
