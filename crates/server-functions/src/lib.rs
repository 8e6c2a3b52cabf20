//! The server functions: what plugins call (`include/websocket_plugin.h`), whoever serves them.
//!
//! A plugin gets a [`ServerTable`] for its connection, and a [`ProcessTable`] for its process. Each function of a table checks
//! its arguments at the entry, catches panics, and calls the [`Served`] connection, or the [`Process`]. What may be asked and
//! sent is judged here, so that it is the same under httpd and in `plugin-host`.
//!
//! | file | what lives there |
//! |---|---|
//! | [`served`] | what a connection and a process do for a plugin |
//! | `table` | the table of a connection |
//! | `arguments` | what a plugin passes: checked, references and slices afterwards |
//! | `request` | the functions for on_connect, and what came with it |
//! | `messages` | what is sent and closed |
//! | `many` | what is sent to many |
//! | `pings` | those of the plugin that are under way |
//! | `timer`, `log` | one function each |
//! | `topics` | subscribing, publishing, and who is there |
//! | [`letters`] | what a plugin is told of its subscriptions, in turns |
//! | [`ringer`] | who is woken for what callbacks publish, and when |
//! | `process` | the table of a process, and the functions that work without a connection |
//! | `misuses` | what a plugin has done wrong, told once |
//!
//! Plugins call on any thread.

#![deny(missing_docs)]

mod arguments;
pub mod letters;
mod log;
mod many;
mod messages;
mod misuses;
mod pings;
mod process;
mod request;
pub mod ringer;
pub mod served;
mod table;
mod timer;
mod topics;

pub use misuses::Misuses;
pub use pings::Pings;
pub use process::ProcessTable;
pub use ringer::Ringer;
pub use served::{Level, Process, Served, Topics};
pub use table::ServerTable;
