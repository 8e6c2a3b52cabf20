//! What one child process holds: its reactor, its open WebSockets, and how they end with it.
//!
//! | file | what lives there |
//! |---|---|
//! | [`process`] | the [`Child`]: it admits WebSockets, counts them in, drains and ends them |
//! | [`engine`] | the reactor, from the first WebSocket on |
//! | [`plugin_process`] | what the child does for a plugin that calls without a connection |
//! | [`haste`] | the thread that hears, in the middle of a drain, that there is no time for it |
//! | [`patience`] | the thread that names the callbacks which hold up the end |
//!
//! Called by `module`: a [`Child`] begins in httpd's child_init hook, and ends with the process's pool. Called by the handshake, which asks it for
//! a [`Place`](crate::websocket::place::Place); by drivers, for the reactor; and by the board, for what an operator wants.

mod engine;
mod haste;
mod patience;
mod plugin_process;
mod process;

pub use process::Child;
