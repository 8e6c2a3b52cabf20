//! One WebSocket of httpd's: a session (the crate `session`), and what it needs of the server.
//!
//! [`connection`] is a session with its request. [`outside`] is what that session is given: the calls to its plugin, its
//! driver, its figures; [`calling`] is which of those calls runs. [`transport`] carries its bytes through httpd's connection, with the [`frame_log`] in the log, and
//! [`account`] is what is said of it when it has ended.
//!
//! Made by the handshake, driven by a driver, called by the plugin's server table and by the child that holds it.

pub mod account;
pub mod calling;
pub mod connection;
pub mod frame_log;
pub mod outside;
pub mod transport;
