//! One WebSocket, from before its on_connect until after its on_disconnect.
//!
//! [`connection`] is the only place where protocol state, transport, outbox and plugin meet. [`turn`] is what one thread
//! at a time does with it, [`callbacks`] are the calls to its plugin, [`calling`] which of them runs, [`sending`] is what leaves it, from any thread.
//! [`watch`] is what a turn keeps an eye on, [`ending`] how it ends, and [`account`] what is said of it then.
//! [`transport`] is bytes in and out of httpd's connection, [`outbox`] what waits to be sent, [`buffers`] what the
//! connections of a child share, and [`frame_log`] the frames in the log.
//!
//! Made by the handshake, driven by a driver, called by the plugin's server table and by the child that holds it.

pub mod account;
pub mod buffers;
pub mod callbacks;
pub mod calling;
pub mod connection;
pub mod ending;
pub mod frame_log;
pub mod outbox;
pub mod sending;
pub mod transport;
pub mod turn;
pub mod watch;
