//! Plugins for mod_websocket in safe Rust.
//!
//! A plugin is a `cdylib` with a type that implements [`Plugin`] and one [`export_plugin!`] for
//! each init function that the configuration may name. A complete one, which counts the messages
//! of each WebSocket and says so:
//!
//! ```
//! use websocket_plugin::{Handshake, Message, Plugin, Sender, export_plugin};
//!
//! struct Counting;
//!
//! impl Plugin for Counting {
//!     type Connection = u64;
//!
//!     fn connect(&self, _: &Handshake<'_>) -> Option<u64> {
//!         Some(0)
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
//! <Location /counting>
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libcounting.so counting_init
//! </Location>
//! ```
//!
//! # The life of a WebSocket
//! [`Plugin::connect`] accepts or refuses the opening handshake and makes the connection's state;
//! [`Plugin::message`] is called for each message; [`Plugin::disconnect`] gives the state back,
//! exactly once, whoever ended the connection. These calls never overlap for one connection;
//! connections run in parallel, on any of the server's threads.
//!
//! # Panics
//! A panic never leaves the plugin. Its message goes to standard error, which is httpd's ErrorLog,
//! and the connection it happened on is ended: with 500 Internal Server Error in `connect` (403 on
//! a server that cannot be told so, such as the C module), with close code 1011 in `message`. After
//! that the plugin is not called for this connection any more, and its state is dropped when the
//! connection has ended. All other connections go on. The crate must not be built with
//! `panic = "abort"`.
//!
//! # Threads
//! A [`Sender`] may be given to any thread. A thread that a plugin starts must be joined in
//! [`Plugin::disconnect`], since httpd may unload the plugin after the last of them; [`spawn`]
//! starts one that leaves httpd's signals alone.
//!
//! # The C ABI
//! [`abi`] mirrors `include/websocket_plugin.h`, for the module itself and for plugins that want to
//! do without all of this.

#![deny(missing_docs)]

pub mod abi;

mod export;
mod handshake;
mod host;
mod panic;
mod plugin;
mod sender;
mod thread;

pub use handshake::{Handshake, InvalidHeader};
pub use plugin::{Message, Plugin};
pub use sender::{SendError, Sender};
pub use thread::spawn;

/// What [`export_plugin!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Export, Exported, init};
}

/// Defines the init function `$init` of a plugin.
///
/// `$plugin` is an expression of a type that implements [`Plugin`]. It is evaluated each time httpd
/// reads its configuration, in the parent process; the value is dropped when that configuration
/// goes away. If it panics, the configuration is refused. Several locations that name the same init
/// function share one value.
///
/// A shared object may export several plugins under different names.
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
