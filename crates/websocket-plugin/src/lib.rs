//! Plugins for mod_websocket in safe Rust.
//!
//! A plugin is a `cdylib` with a type that implements [`Plugin`] and one [`export_plugin!`] for
//! each init function that the configuration may name. A complete one, which greets each client and
//! counts its messages:
//!
//! ```
//! use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin, log};
//!
//! struct Counting;
//!
//! impl Plugin for Counting {
//!     type Connection = u64;
//!
//!     fn connect(&self, handshake: &Handshake<'_>) -> Result<u64, Rejection> {
//!         let name = handshake.query("name").ok_or(Rejection::bad_request())?;
//!         log::info!("somebody counts");
//!         handshake.sender().send_text(&format!("hello, {name}"))?;
//!         Ok(0)
//!     }
//!
//!     fn message(&self, count: &mut u64, peer: &Sender, _: Message<'_>) {
//!         *count += 1;
//!         let _ = peer.send_text(&format!("message {count}"));
//!     }
//! }
//!
//! export_plugin!(counting_init, Counting);
//! ```
//!
//! ```text
//! <Location "/counting">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libcounting.so counting_init
//! </Location>
//! ```
//!
//! `docs/plugin-guide.md` goes from `cargo new` to the browser, with a chapter for each need.
//!
//! # The life of a WebSocket
//!
//! | call | when |
//! |---|---|
//! | [`Plugin::connect`] | before the handshake is answered: accepts, with the connection's state, or refuses |
//! | [`Plugin::open`] | the 101 is out |
//! | [`Plugin::message`] | once for each message, in their order |
//! | [`Plugin::timer`], [`Plugin::timer_for`], [`Plugin::writable`], [`Plugin::pong`], [`Plugin::topic`] | in between, when [`Sender::set_timer`], [`Sender::set_timer_for`], [`Sender::try_send`], [`Sender::ping`] and [`Sender::subscribe`] asked for it |
//! | [`Plugin::closed`] | how and why it ended, once for each `open` |
//! | [`Plugin::disconnect`] | gives the state back, exactly once for each connection that was accepted |
//!
//! The calls of one connection never overlap; connections run in parallel, on any of the server's
//! threads. A call that takes long holds up its own connection only.
//!
//! # The life of a plugin
//!
//! The expression in [`export_plugin!`] makes the plugin while httpd reads its configuration, in the
//! parent process, which often is root's: no threads, no files and no sockets there. After that,
//! [`Plugin::configure`] is called for each section of the configuration. Each child process has a
//! copy of the plugin: [`Plugin::child_start`] is its begin, and [`Plugin::child_stop`] its end. What
//! one child knows, the others do not; what is to reach the clients of all is published to a topic
//! ([`Topics`]).
//!
//! # Options
//!
//! `WebSocketPluginOption` gives options to a location, and [`Options`] reads them, in `configure` to
//! check them and in [`Handshake::options`] to use them. Outside of a connection, [`Process::option`]
//! has those of `WebSocketProcessOption` and of the server config.
//!
//! # Logging
//!
//! The macros of the [`log`] crate write to httpd's ErrorLog, with the client's address, at a level
//! that `LogLevel websocket:info` and its like choose (httpd's default shows `error` and `warn`).
//! [`export_plugin!`] sees to that. Lines of a thread of the plugin's own go to the log of the
//! process, from `child_start` to `child_stop`. Where there is neither a connection nor a process, as
//! in `configure`, lines go to standard error, without those for the author (`debug`, `trace`). A
//! crate that logs too much is silenced with [`log::set_max_level`].
//!
//! # Panics
//!
//! A panic never leaves the plugin. It is logged with its place, and ends what it has happened in;
//! all other connections go on:
//!
//! | panic in | effect |
//! |---|---|
//! | the expression in [`export_plugin!`], `configure` | a configuration error |
//! | `child_start` | this child refuses each connection with 500, Internal Server Error |
//! | `connect` | 500, Internal Server Error |
//! | `open`, `message`, `timer`, `timer_for`, `pong`, `topic`, `writable` | close code 1011; of this connection, only `disconnect` is called any more, with its state as the panic has left it |
//! | `closed`, `disconnect`, `child_stop`, the plugin's `drop` | none |
//! | a thread of the plugin's own | what [`std::thread`] says |
//!
//! A panic while a `std::sync::Mutex` is locked poisons it, and `lock().unwrap()` then panics for everybody else: use
//! `lock().unwrap_or_else(PoisonError::into_inner)`, and keep what is behind it whole at any time; or a [`Room`].
//!
//! With `RUST_BACKTRACE` in httpd's environment there is a backtrace too. The crate cannot be built
//! with `panic = "abort"`.
//!
//! # Threads
//!
//! A [`Sender`] and a [`Process`] may be given to any thread and kept for any time: after the end
//! their calls say so. A thread must have ended before httpd unloads the plugin, so it is joined: one
//! of a connection's in [`Plugin::disconnect`], one of the process's in [`Plugin::child_stop`].
//! [`spawn()`] starts one that leaves httpd's signals alone. For something to happen later,
//! [`Sender::set_timer`] needs no thread.
//!
//! # The C ABI
//!
//! [`abi`] mirrors `include/websocket_plugin.h`, for the module itself and for plugins that want to
//! do without all of this.
//!
//! # The crate's own files
//!
//! | what | files |
//! |---|---|
//! | a plugin implements | `plugin`; it is given a `handshake` (with its `header` fields, `query`, `options`, `rejection`), a `message`, a `process` |
//! | a plugin calls | `sender`; `writer` (in parts), `asynchronous`, `many`, `room`, `topics`, `timers` (several on the server's one), `thread` |
//! | from C to the plugin | `export` (its place, and its table), `callbacks`, `callback` (where panics end), `error_log` |
//! | from the plugin to C | `host` (each server function), `gate` (that may be gone), [`abi`] |
//! | time | `clock` (of a process), `now` (the machine's, or that of a test's world) |
//! | tests of plugins | `testing` (feature `testing`) |

#![deny(missing_docs)]

pub mod abi;

mod asynchronous;
mod callback;
mod callbacks;
mod clock;
mod error_log;
mod export;
mod gate;
mod handshake;
mod header;
mod host;
mod many;
mod message;
mod now;
mod options;
mod plugin;
mod process;
mod query;
mod rejection;
mod room;
mod sender;
#[cfg(feature = "testing")]
pub mod testing;
mod thread;
mod timers;
mod topics;
mod writer;

#[cfg(panic = "abort")]
compile_error!("panics are caught here: no profile of a plugin may set panic = \"abort\"");

pub use asynchronous::{AsyncSender, Ready};
pub use handshake::Handshake;
pub use header::InvalidHeader;
pub use log;
pub use many::send_many;
pub use message::Message;
pub use options::Options;
pub use plugin::{Closing, Plugin, Pong};
pub use process::Process;
pub use rejection::Rejection;
pub use room::{Room, Seat};
pub use sender::{SendError, Sender};
pub use thread::spawn;
pub use topics::{Delivery, News, Publish, Subscribe, Subscribed, TopicError, TopicEvent, Topics};
pub use writer::MessageWriter;

/// The Rust of the guide is compiled with these tests; `tests/guide.rs` compiles its C.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugin-guide.md")]
pub struct PluginGuide;

/// What [`export_plugin!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Export, Exported, init};
}

/// Defines the init function `$init` of a plugin.
///
/// `$plugin` is an expression of a type that implements [`Plugin`]. It is evaluated each time httpd
/// reads its configuration, in the parent process; the value is dropped there when that configuration
/// goes away. A child process has a copy of it, and ends without dropping it: what a child has opened is given back in
/// [`Plugin::child_stop`](crate::Plugin::child_stop). If it panics, the configuration is refused. Several locations that name the same init
/// function share one value.
///
/// A shared object may export several plugins under different names. The first init function that is
/// called also makes the [`log`] crate's lines and panics go to httpd's ErrorLog.
#[macro_export]
macro_rules! export_plugin {
    ($init:ident, $plugin:expr $(,)?) => {
        /// The plugin's init function, for `WebSocketHandler`.
        #[unsafe(no_mangle)]
        pub extern "C" fn $init() -> *mut $crate::abi::WebSocketPlugin {
            static EXPORT: $crate::__private::Export =
                $crate::__private::Export::new(::core::stringify!($init));
            struct Exported;
            impl $crate::__private::Exported for Exported {
                fn export() -> &'static $crate::__private::Export {
                    &EXPORT
                }
            }
            $crate::__private::init::<Exported, _>(|| $plugin)
        }
    };
}
