//! Plugins: shared objects that speak the ABI of `websocket_plugin.h`.
//!
//! [`loading`] opens one for a `WebSocketHandler`: [`image`] says what is in its file, [`mapped`] what the process has of it, and [`version`] which
//! of its versions runs. [`options`] are its settings. The check of its table and the calls to it are `loaded_plugin`'s, which knows no httpd; the
//! functions that it is given to call are `server_functions`'.
//!
//! Called by the configuration (load, configure), by the handshake (on_connect), by an open WebSocket (the other callbacks) and by the child
//! (child_start, child_stop). Calls plugins, and no other room: what there is to log it hands to who loads, with its tag.

mod image;
mod loading;
mod mapped;
mod options;
mod version;

pub use loaded_plugin::{Plugin, PluginPrivate, Verdict};

pub use loading::{all_loaded, digest_of, load_once};
pub use options::Options;
