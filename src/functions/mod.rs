//! The server functions: what plugins call (`include/websocket_plugin.h`).
//!
//! [`server_table`] has all of them for a connection, [`process`] those for a process. Each checks its `arguments` at the entry, catches panics, and
//! calls the connection: `request` is for on_connect and what came with it, `messages` for what is sent and closed, and there
//! are a `timer` and a `log`.
//!
//! Called by plugins, on any thread. The handshake gives the connection its table, the child makes the process's.

mod arguments;
mod log;
mod messages;
pub mod process;
mod request;
mod table;
mod timer;

pub use table::server_table;
