//! mod_websocket: WebSockets (RFC 6455) for Apache httpd 2.4, with plugins over a C ABI.
//!
//! # The data's way
//!
//! ```text
//!  request ──► handler ──► origin, plugin's on_connect ──► 101 ──► driver
//!
//!  in:   socket ─► input filters, or past them ─► transport ─► session ─► on_message
//!  out:  send, from any thread ─► session ─► transport ─► output filters, or past them ─► socket
//! ```
//!
//! `docs/changing.md` has it function by function. httpd calls [`module`]; a room names only rooms further down in this list:
//!
//! | room | what lives there |
//! |---|---|
//! | [`status`] | shows the figures, and closes connections for operators |
//! | [`publish`] | publishes what is sent over HTTP |
//! | [`handshake`] | a request: not ours, an HTTP error, or an upgrade; the Origin policy |
//! | [`driver`] | who waits for the socket, and takes turns when there is something to do |
//! | [`child`] | what one process holds: the reactor, the open WebSockets, and how they end with it |
//! | [`websocket`] | one WebSocket: a session (the crate `session`), its request, its transport, what is said of its end |
//! | [`topics`] | what is published on one child reaches the subscribers of all |
//! | [`configuration`] | directives, what they say in each scope, start-up warnings |
//! | [`plugin`] | plugins: loading, their callbacks, their options |
//! | [`board`] | the figures of all children, in shared memory |
//! | [`log`] | what happened |
//! | [`version`] | which build this is |
//!
//! # The house's own words
//!
//! | word | means |
//! |---|---|
//! | turn | what one thread at a time does with a connection: read, decode, call the plugin, write, say what to wait for |
//! | outside | what a session is given of the server: plugin, driver, figures, machine |
//! | wire | a session's transport, and the frames that are on their way into it; one thread at a time has it |
//! | cork | output of a turn that is gathered, because more input is about to be handled |
//! | place | a WebSocket's in its child, from before its on_connect; `WebSocketMaxConnections` counts them |
//! | suspension | what a handler lays on a connection for the suspend_connection hook: answered once, suspended or swallowed |
//! | floor | our filters below those of other modules, just above httpd's core filters |
//! | scribe, pen | the thread that writes logs; what writes a line for a connection that is no longer its thread's |
//! | account | what is said of a WebSocket that has ended: a log line, notes for the access log |
//! | board, seat, entry | the figures in shared memory; a child's part of them, which it claims; a connection's |
//! | order, instruction | what an operator wants done with a child's connections; what the MPM has told the child |
//! | exchange, hub, outlet | a child's part in topics; its subscribers; what a subscriber's messages go out by |
//! | bell | a word in shared memory that changes, and wakes who waits for that: a seat's on the board, its child's watcher; a seat's at the log of topics, its reader |
//!
//! # Threads and locks
//!
//! A connection's input belongs to its *turn*: one thread at a time reads, decodes and calls the plugin. Output, and the
//! place of the transport, are under the one lock of `session::handover`; who takes the transport out of its place reads and writes without a lock,
//! both on one thread because TLS reads while it writes. A turn gets it before threads that only write. No lock is held while a plugin runs, because
//! the plugin calls back in.

mod board;
mod child;
mod configuration;
mod driver;
mod handshake;
mod lock;
mod log;
mod module;
mod plugin;
mod publish;
mod status;
mod symbol;
mod topics;
mod version;
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
