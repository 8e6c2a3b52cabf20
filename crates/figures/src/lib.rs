//! What WebSockets are doing, counted in memory that several processes share, and written down for people and
//! programs. It knows no httpd, and makes no system call but for the time.
//!
//! # The board
//!
//! ```text
//!  Board ── labels: one for each Location          (server and path, plugin)
//!        ── retired: what children that are gone have counted, for each Location
//!        ── clients: how many connections each client has, over all children
//!        ── requests: connections that an operator wants closed
//!        ── slots: one for each child
//!              ├── tally for each Location: what its closed connections have counted
//!              └── entries: one for each connection that is there
//! ```
//!
//! All of it is one slice of [`AtomicU64`](std::sync::atomic::AtomicU64): the program that maps the memory hands it in
//! ([`Board::new`]), and nothing here is unsafe. A child takes a slot ([`Seat::claim`]) and opens an [`Entry`] for each
//! connection. What is counted for each message is counted in the connection's own entry, which no other
//! connection touches; when the connection has ended, its entry is added to the slot's tally.
//!
//! # Reading it right
//!
//! [`Board::read`] sums over tallies and entries while others change them, without a lock. Two rules make that sound:
//!
//! * What moves (from an entry to a tally, from a tally to the retired ones) is taken away first and added
//!   afterwards, and a reader looks in the opposite order: at where things go to, then at where they come from. So it
//!   may miss what is on its way, but counts nothing twice.
//! * What a reader has seen once is kept as a mark; the next one says at least as much. So no counter goes backwards.
//!
//! A child that dies leaves its slot behind. Its counts stay; its connections are no longer open from the moment on
//! that the process is gone, which a reader finds out for itself ([`Alive`]). The next child that takes the slot
//! retires what is in it. What it counted for its clients is taken back at once, by the parent ([`Board::ended`]).
//!
//! # Limits
//!
//! | what | how many | beyond |
//! |---|---|---|
//! | Locations | [`LOCATIONS`] - 1, over all reloads | counted together as "(others)" |
//! | children | [`Layout::slots`] | the child's figures are seen by nobody |
//! | entries of a child | [`Layout::entries`] | counted for their Location, but neither listed nor counted for their client |
//! | clients at once | about 100,000 | a few of them are not counted, so that no limit holds for those |
//! | requests to close at once | [`REQUESTS`] | refused |

#![forbid(unsafe_code)]

mod board;
mod client;
mod clients;
mod entry;
pub mod form;
mod histogram;
mod json;
mod label;
mod layout;
mod openmetrics;
mod read;
mod request;
mod seat;
mod snapshot;
mod table;
mod tally;
mod topics;

pub use board::{Alive, Board, Process};
pub use entry::{Entry, State};
pub use histogram::Histogram;
pub use json::json;
pub use label::Location;
pub use layout::{LOCATIONS, Layout, REQUESTS};
pub use openmetrics::{CONTENT_TYPE as OPENMETRICS, openmetrics};
pub use read::Listing;
pub use request::{CloseRequest, Posted};
pub use seat::{Seat, Threads};
pub use snapshot::{Child, Connection, Figures, LocationFigures, Snapshot};
pub use table::{html, lines, pre};
pub use tally::{Closes, RefusedFor};
pub use topics::{Topic, Topics};
