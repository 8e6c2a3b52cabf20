//! One WebSocket without a server: no socket, no clock, no plugin table. What it needs of the outside, it is given as an
//! [`Environment`].
//!
//! ```text
//!  in:   Transport ─► turn ─► websocket_proto::ReceivingHalf ─► Application::on_message
//!  out:  send, from any thread ─► handover: outbox (websocket_proto::SendingHalf) ─► wire ─► Transport
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`session`] | the state of one WebSocket, and what is done with it from outside |
//! | [`turnstile`] | whose turn it is |
//! | [`reader`] | what belongs to the turn: the receiving half, and why it has stopped |
//! | [`turn`] | what one thread at a time does with it, from input to what has to be waited for |
//! | `slice` | the time that a turn has for it |
//! | [`outlook`] | what is waited for at its end, and what else is due meanwhile |
//! | [`sending`] | what leaves it, from any thread |
//! | [`handover`] | who has the wire, what waits for it, who is told of room: one lock, and its table |
//! | [`outbox`] | what waits to be sent: whole frames, in order, up to a limit |
//! | [`pieces`] | the same on its way, when it does not lie in one buffer |
//! | [`footprint`] | where in memory a send goes, for who sends to many |
//! | [`gathering`] | what a callback gives to other sessions, written when its input is used up |
//! | [`wire`] | the transport, and the frames that are on their way out |
//! | [`edges`] | who takes its turns, when a poller reports edges to several threads |
//! | [`watch`] | what a turn keeps an eye on: signs of life, idleness, age and rate |
//! | [`ending`] | why it ended |
//! | [`limits`] | bounds that depend on each other |
//! | [`buffers`] | memory that sessions share |
//! | [`config`] | the limits and times of one session |
//! | [`environment`] | what it needs of the outside |
//! | [`sync`] | locks and atomics, which models and the simulation replace |
//! | `shelter` | panics that end a session and nothing else |
//! | `schedules` | models of what threads hand over to each other, for loom |
//!
//! # Threads and locks
//!
//! A session's input belongs to its *turn*: one thread at a time has the [`turnstile`], reads, decodes and calls the
//! application. All output, and the place of the transport, is under the one lock of the [`handover`]; a thread that reads
//! or writes has taken the transport out of its place, so that neither a lock is held while a transport reads or writes
//! nor while the application runs, which calls back in.
//!
//! What is an atomic beside the two is a word that stands alone:
//!
//! | word | what keeps it right |
//! |---|---|
//! | the hand-over's hint | it is stored under the lock; what is decided by it is decided again there |
//! | a wish: on_writable, on_called, a timer, a time to drain at, a panic, a time that was forgotten | it is followed by [`Waiter::wake`], or by a turn |
//! | the turn's own: its thread, *corked*, how many it has given to | no other thread stores it, and none but that one goes by it |
//! | `is_accepted`, `closed` | set once; who acquires it finds what was done before |
//! | `is_gathered_for` | a mark between two sessions' threads: the table of [`gathering`] |
//! | the word of [`edges::Edges`] | all states of one session's turns in it, each step changes it at once |
//! | `wire_at` | set once, and only ever fetched |
//! | figures: when the last message was sent, how many lists there are | nothing else is read by them |

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod buffers;
pub mod config;
pub mod edges;
pub mod ending;
pub mod environment;
pub mod footprint;
pub mod gathering;
pub mod handover;
pub mod limits;
pub mod outbox;
pub mod outlook;
pub mod pieces;
pub mod reader;
#[cfg(all(test, loom))]
mod schedules;
pub mod sending;
pub mod session;
mod shelter;
mod slice;
pub mod sync;
pub mod turn;
pub mod turnstile;
pub mod watch;
pub mod wire;

pub use buffers::Buffers;
pub use config::Config;
pub use ending::{Account, Closed, ClosedBy, Ending};
pub use environment::{
    Application, Environment, Epilogue, Failure, Inlet, Machine, NoInlet, Observer, Read, ThreadId,
    Transport, Wait, Waiter,
};
pub use gathering::Receiver;
pub use outbox::{Outgoing, Refused};
pub use session::Session;
