//! Plugins: shared objects that speak the ABI of `websocket_plugin.h`.
//!
//! [`loading`] opens one for a `WebSocketHandler`: [`image`] says what is in its file, [`mapped`] what the process has of
//! it, and [`version`] which of its versions runs. [`table`] checks what its init function gives, [`callbacks`] has the
//! calls to it, and [`server_table`] the functions that it calls.
//!
//! Called by the configuration (load, configure), by the handshake (on_connect), by an open WebSocket (the other
//! callbacks) and by the child (child_start, child_stop). Calls out to the WebSocket, in `server_table` only.

mod callbacks;
mod image;
mod loading;
mod mapped;
pub mod server_table;
mod table;
mod version;

pub use callbacks::{Plugin, PluginPrivate, Verdict};
pub use loading::{all_loaded, load_once};
