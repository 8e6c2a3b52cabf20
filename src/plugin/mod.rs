//! Plugins: shared objects that speak the ABI of `websocket_plugin.h`.
//!
//! [`loading`] opens one for a `WebSocketHandler`, and [`server_table`] has the functions that it calls. The check of its
//! table and the calls to it are `loaded_plugin`'s, which knows no httpd.
//!
//! Called by the configuration (load, configure), by the handshake (on_connect), by an open WebSocket (the other
//! callbacks) and by the child (child_start, child_stop). Calls out to the WebSocket, in `server_table` only.

mod loading;
pub mod server_table;

pub use loaded_plugin::{Plugin, PluginPrivate, Verdict};

pub use self::loading::{all_loaded, load_once};
