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
//! | room | what lives there |
//! |---|---|
//! | [`configuration`] | directives, what they say in each scope, a plugin's options, start-up warnings |
//! | [`handshake`] | a request: not ours, an HTTP error, or an upgrade; the Origin policy |
//! | [`websocket`] | one WebSocket: a session (the crate `session`), its request, its transport, what is said of its end |
//! | [`plugin`] | plugins: loading, their callbacks, the functions that they call |
//! | [`driver`] | who waits for the socket, and takes turns when there is something to do |
//! | [`child`] | what one process holds: the reactor, the open WebSockets, and how they end with it |
//! | [`board`] | the figures of all children, in shared memory |
//! | [`status`] | shows them, and closes connections for operators |
//!
//! [`module`] says to httpd what there is, [`log`] what happened.
//!
//! # Threads and locks
//!
//! A connection's input belongs to its *turn*: one thread at a time reads, decodes and calls the plugin. Its
//! transport is under one lock, for reading and for writing, because TLS reads while it writes; a turn gets it before
//! threads that only write. Its outbox is under another. No lock is held while a plugin runs, because the plugin calls back in.

mod board;
mod child;
mod configuration;
mod driver;
mod functions;
mod handshake;
mod lock;
mod log;
mod module;
mod plugin;
mod status;
mod symbol;
mod websocket;

use httpd::module::Module;

use crate::configuration::config::Config;
use crate::configuration::directives;

/// The module, as `LoadModule websocket_module` finds it. Its name is the C module's, so that
/// `<IfModule mod_websocket.c>` holds.
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
pub static websocket_module: Module =
    Module::new::<Config, module::Hooks>(c"mod_websocket.c", directives::COMMANDS);
