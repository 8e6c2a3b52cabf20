//! The table that a plugin is given, as those see it who only hand it on.

use websocket_plugin::abi::WebSocketServer;

/// The table that a plugin gets for its connection.
pub struct ServerTable(WebSocketServer);

// SAFETY: `new` asks for it; nobody writes the table once it is made.
unsafe impl Send for ServerTable {}
// SAFETY: as above.
unsafe impl Sync for ServerTable {}

impl ServerTable {
    /// A table for a plugin.
    ///
    /// # Safety
    /// Its functions may be called on any thread, with what its `state` points to.
    pub unsafe fn new(table: WebSocketServer) -> Self {
        ServerTable(table)
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        &raw const self.0
    }
}
