//! The figures of all children: the board in shared memory (the crate `figures`), and this child's seat at it.
//!
//! | file | what lives there |
//! |---|---|
//! | [`making`] | the parent makes the board when it starts, and keeps it through every reload: counters go on, and a child of an old generation is still seen while it drains |
//! | [`child_board`] | the board as one child has it: its seat, and what it counts, reads and asks for |
//! | [`watcher`] | the child's thread that is told, through the board, which of its connections an operator wants closed |
//! | [`calling`] | which callback of its plugin a thread is in, and since when |
//! | [`death`] | what is said of a child that has died |
//!
//! Called by `module`, in the parent; by the child, which holds its board; by the handshake and an open WebSocket, which have an entry; and by the
//! status, which reads. Calls no room but `log`.

mod calling;
mod child_board;
mod death;
mod making;
mod watcher;

pub use calling::{Callback, Calling, VERY_LONG};
pub use child_board::ChildBoard;
pub use figures::{About, CloseRequest, Limits, Location, Order, RefusedFor, Threads, Wish};
pub use making::{MANY_ENTRIES, ended, make};
pub use watcher::Occupant;

/// A connection's entry.
pub type Entry = figures::Entry<'static>;
