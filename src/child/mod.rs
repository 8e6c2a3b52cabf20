//! What one child process holds: its reactor, its open WebSockets, and how they end with it.
//!
//! [`Child`] begins in httpd's child_init hook and ends with the process's pool. The handshake asks it for a
//! [`Place`](crate::websocket::place::Place), drivers for the reactor; it closes its WebSockets when the process is to stop, or an
//! operator says so.

mod engine;
mod haste;
mod patience;
mod plugin_process;
mod process;

pub use process::Child;
