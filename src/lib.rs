//! mod_websocket: WebSockets (RFC 6455) for Apache httpd 2.4, with plugins over a C ABI.
//!
//! # The data's way
//!
//! ```text
//!  request ──► handler ──► origin, plugin's on_connect ──► 101 ──► driver
//!
//!  in:   socket ─► input filters ─► transport ─► websocket_proto::Receiver ─► connection ─► on_message
//!  out:  send, from any thread ─► outbox (websocket_proto::Sender) ─► transport ─► output filters ─► socket
//! ```
//!
//! * [`handler`] judges a request: not ours, an HTTP error, or an upgrade. [`origin`] has the Origin policy.
//! * [`connection`] is one WebSocket, and the only place where protocol state, transport and outbox meet.
//! * [`turn`] is what one thread at a time does with it: read, decode, call the plugin, say what to wait for.
//!   [`callbacks`] are those calls; [`sending`] is what leaves, from any thread.
//! * [`watch`] is what a turn keeps an eye on; [`ending`] is how a WebSocket ends, and [`account`] what is said of it.
//! * [`transport`] turns bucket brigades into bytes and back. [`outbox`] holds what waits to be sent.
//! * [`driver`] waits for the socket, and calls [`connection::Connection::turn`] when there is something to do.
//! * [`child`] is what one process holds: the reactor, the open WebSockets, and how they end with it.
//! * [`plugin`] loads and owns plugins; [`server_api`] has the functions that plugins call.
//! * [`directives`] and [`config`] are what an operator writes and what becomes of it; [`section`] has plugins check
//!   their [`options`].
//! * [`capacity`] warns at start-up when the MPM allows few WebSockets.
//! * [`board`] has the figures of all children; [`status`] shows them, and closes connections for operators.
//! * [`module`] says to httpd what there is; [`log`] what happened, and [`frame_log`] which frames went by.
//!
//! # Threads and locks
//!
//! A connection's input belongs to its *turn*: one thread at a time reads, decodes and calls the plugin. Its
//! transport is under one lock, for reading and for writing, because TLS reads while it writes; a turn gets it before
//! threads that only write. Its outbox is under another. No lock is held while a plugin runs, because the plugin calls back in.

mod account;
mod board;
mod buffers;
mod callbacks;
mod capacity;
mod child;
mod config;
mod connection;
mod directives;
mod driver;
mod ending;
mod frame_log;
mod handler;
mod lock;
mod log;
mod module;
mod options;
mod origin;
mod outbox;
mod plugin;
mod section;
mod sending;
mod server_api;
mod status;
mod transport;
mod turn;
mod watch;

use httpd::module::Module;

/// The module, as `LoadModule websocket_module` finds it. Its name is the C module's, so that
/// `<IfModule mod_websocket.c>` holds.
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
pub static websocket_module: Module =
    Module::new::<config::Config, module::Hooks>(c"mod_websocket.c", directives::COMMANDS);
