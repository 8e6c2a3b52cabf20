//! What WebSockets are doing, counted in memory that several processes share, and written down for people and
//! programs. It knows no httpd, and makes no system call but for the time.
//!
//! # The board
//!
//! ```text
//!  Board ── labels: one for each Location          (server and path, plugin)
//!        ── plugins: the names of those that are called
//!        ── retired: what children that are gone have counted, for each Location
//!        ── clients: how many connections each client has, over all children
//!        ── rates: handshakes and bytes of the clients that have most, in the last minutes
//!        ── allowances: how often each client may still publish over HTTP
//!        ── requests: connections that an operator wants closed
//!        ── slots: one for each child
//!              ├── tally for each Location: what its closed connections have counted
//!              ├── calls: what its threads are calling just now
//!              ├── entries: one for each connection that is there
//!              └── texts: what each of them is called, written once when it opens
//! ```
//!
//! All of it is one slice of [`AtomicU64`](std::sync::atomic::AtomicU64): the program that maps the memory hands it in
//! ([`Board::new`]), and nothing here is unsafe. A child takes a slot ([`Seat::claim`]) and opens an [`Entry`] for each
//! connection. What is counted for each message is counted in the connection's own entry, which no other
//! connection touches; when the connection has ended, its entry is added to the slot's tally.
//!
//! # Reading it right
//!
//! [`Board::read`] sums over tallies and entries while others change them, without a lock. Three rules make that sound:
//!
//! * What moves (from an entry to a tally, from a tally to the retired ones) is taken away first and added
//!   afterwards, and a reader looks in the opposite order: at where things go to, then at where they come from. So it
//!   may miss what is on its way, but counts nothing twice.
//! * An entry is written as behind a sequence lock, whose sequence is the connection's number: it is taken away, then comes a
//!   release fence, then the fields of the next connection, then its number. A reader takes fields between two looks at the
//!   number, with an acquire fence before the second: any field of the next connection shows it that the number has gone.
//! * What a reader has seen once is kept as a mark; the next one says at least as much. So no counter goes backwards.
//!
//! A child that dies leaves its slot behind. Its counts stay; its connections are no longer open from the moment on
//! that the process is gone, which a reader finds out for itself ([`Alive`]). The next child that takes the slot
//! retires what is in it. What it counted for its clients is taken back at once, by the parent ([`Board::ended`]),
//! which counts its WebSockets as closed with 1006.
//!
//! A child that ends because it was told to gives its seat back ([`Seat::leave`]). One that has not has died, and the
//! board says what its threads were calling ([`Death`]).
//!
//! # Limits
//!
//! | what | how many | beyond |
//! |---|---|---|
//! | Locations | [`LOCATIONS`] - 1, over all reloads | counted together as "(others)" |
//! | children | [`Layout::slots`] | the child's figures are seen by nobody |
//! | entries of a child | [`Layout::entries`] | counted for their Location, but neither listed nor counted for their client |
//! | clients at once | about 100,000 | a few of them are not counted, so that no limit holds for those |
//! | clients whose rates are known | 1,024 | those with most stay |
//! | clients whose allowances are counted | about 8,000 | those that owe least gain it |
//! | plugins | [`PLUGINS`] - 1, over all reloads | called "another plugin" |
//! | threads of a child that call at once | [`Layout::threads`] | calls that nobody sees |
//! | requests to close at once | [`REQUESTS`] | refused |
//!
//! # The map
//!
//! | what | files |
//! |---|---|
//! | the words | `layout` (one slice, cut into parts), `board` (the parts, and their form), `bytes` (text in words), `label` (Locations), `tally` (what is counted for each), `entry` (a connection), `texts` (what it is called), `client`, `clients` (how many each client has), `rates` (how much each client does), `allowances` (how much it may do), `calls` (what threads are calling) |
//! | who writes | `seat` (a child's part) |
//! | who asks for something | `request` (of the child that has a connection), `for_many` (of all that a `filter` means) |
//! | who reads | `read`, `seen` (an entry while it is written on), `snapshot` (the figures at one moment), `histogram`, `topics` (theirs, which another log has) |
//! | what is written down | `json`, `openmetrics`, `prometheus` (its older form), `table` (mod_status'); `form` (what a client sends, decoded and escaped) |

#![forbid(unsafe_code)]

mod allowances;
mod board;
mod bytes;
mod calls;
mod client;
mod clients;
mod entry;
mod filter;
mod for_many;
pub mod form;
mod histogram;
mod json;
mod label;
mod layout;
mod openmetrics;
mod prometheus;
mod rates;
mod read;
mod request;
mod seat;
mod seen;
mod snapshot;
mod table;
mod tally;
mod texts;
mod topics;

pub use allowances::Allowance;
pub use board::{Alive, Board, Death, Process};
pub use calls::{Call, Caller, Calls, Running, Seen};
pub use entry::{Entry, State};
pub use filter::Filter;
pub use for_many::PostedForMany;
pub use histogram::Histogram;
pub use json::json;
pub use label::{Location, PluginLabel};
pub use layout::{LOCATIONS, Layout, PLUGINS, REQUESTS};
pub use openmetrics::{CONTENT_TYPE as OPENMETRICS, openmetrics};
pub use prometheus::{CONTENT_TYPE as PROMETHEUS, prometheus};
pub use rates::{Busy, BusyClient};
pub use read::Listing;
pub use request::{CloseRequest, Order, Posted, Wish};
pub use seat::{Limits, Seat, Threads};
pub use snapshot::{Child, Connection, Figures, LocationFigures, Snapshot};
pub use table::{busy_clients, connections, html, lines, pre};
pub use tally::{Closes, RefusedFor};
pub use texts::About;
pub use topics::{Topic, Topics};
