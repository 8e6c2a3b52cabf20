//! One WebSocket of httpd's: a session (the crate `session`), and what it needs of the server.
//!
//! | file | what lives there |
//! |---|---|
//! | [`connection`] | a session with its request |
//! | [`outside`] | what that session is given: the calls to its plugin, its driver, its figures |
//! | [`transport`], [`frame_log`] | its bytes through httpd's connection, and the frames in the log |
//! | [`purpose`], [`listener`] | what it is for: a plugin's, or topics, to which it listens |
//! | [`served`] | what it does for its plugin, in the server functions |
//! | [`outlet`] | what the messages of its topics go out by |
//! | [`account`] | what is said of it when it has ended |
//! | [`driver`], [`place`] | what it knows of higher rooms, two traits: who waits for its socket, and the child that it has a place in |
//!
//! Made by the handshake, driven by a driver, called by the server functions, by the thread that delivers, and by the child that holds it.

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
