//! What a WebSocket is for: its plugin, or topics.

use std::sync::Arc;

use crate::plugin::Plugin;
use crate::websocket::listener::Listener;

/// What a WebSocket is for.
pub enum Purpose {
    /// Its messages are a plugin's.
    Plugin(Arc<Plugin>),
    /// It listens to topics.
    Topics(Listener),
}

impl Purpose {
    /// What figures and log lines call it.
    pub fn name(&self) -> &str {
        match self {
            Purpose::Plugin(plugin) => plugin.name(),
            Purpose::Topics(_) => Listener::NAME,
        }
    }

    /// The plugin.
    pub fn plugin(&self) -> Option<&Arc<Plugin>> {
        match self {
            Purpose::Plugin(plugin) => Some(plugin),
            Purpose::Topics(_) => None,
        }
    }

    /// Those who listen to topics.
    pub fn listener(&self) -> Option<&Listener> {
        match self {
            Purpose::Plugin(_) => None,
            Purpose::Topics(listener) => Some(listener),
        }
    }
}
