//! One WebSocket without a server: no socket, no clock, no plugin table. What it needs of the outside, it is given as an
//! [`Environment`].
//!
//! ```text
//!  in:   Transport ─► turn ─► websocket_proto::Receiver ─► Application::on_message
//!  out:  send, from any thread ─► outbox (websocket_proto::Sender) ─► wire ─► Transport
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`session`] | the state of one WebSocket, and what is done with it from outside |
//! | [`turn`] | what one thread at a time does with it, from input to what has to be waited for |
//! | [`sending`] | what leaves it, from any thread |
//! | [`outbox`] | what waits to be sent: whole frames, in order, up to a limit |
//! | [`wire`] | the transport, and the frames that are on their way out |
//! | [`edges`] | who takes its turns, when a poller reports edges to several threads |
//! | [`watch`] | what a turn keeps an eye on: signs of life, idleness, age and rate |
//! | [`ending`] | why it ended |
//! | [`buffers`] | memory that sessions share |
//! | [`environment`] | what it needs of the outside |
//!
//! # Threads and locks
//!
//! A session's input belongs to its *turn*: one thread at a time reads, decodes and calls the application. Its
//! transport is under one lock, for reading and for writing, because TLS reads while it writes; a turn gets it before
//! threads that only write. Its outbox is under another. No lock is held while the application runs, because it calls
//! back in.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod buffers;
pub mod config;
pub mod edges;
pub mod ending;
pub mod environment;
pub mod outbox;
pub mod sending;
pub mod session;
pub mod sync;
pub mod turn;
pub mod watch;
pub mod wire;

pub use buffers::Buffers;
pub use config::Config;
pub use ending::{Account, Closed, ClosedBy, Ending};
pub use environment::{
    Application, Environment, Failure, Machine, Observer, Read, ThreadId, Transport, Wait, Waiter,
};
pub use outbox::{Outgoing, Refused};
pub use session::Session;
