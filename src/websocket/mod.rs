//! One WebSocket of httpd's: a session (the crate `session`), and what it needs of the server.
//!
//! [`connection`] is a session with its request. [`outside`] is what that session is given: the calls to its plugin, its
//! driver, its figures. [`transport`] carries its bytes through httpd's connection, with the [`frame_log`] in the log, and
//! [`account`] is what is said of it when it has ended; [`served`] is what it does for its plugin, in the server functions. What it knows of higher rooms are two traits: its [`driver`], and the child
//! in which it has a [`place`].
//!
//! What it is for is its [`purpose`]: a plugin's, or topics, to which it is a [`listener`].
//!
//! Made by the handshake, driven by a driver, called by the server functions and by the child that holds it.

pub mod account;
pub mod connection;
pub mod driver;
pub mod frame_log;
pub mod listener;
mod outlet;
pub mod outside;
pub mod place;
pub mod purpose;
mod served;
pub mod transport;
