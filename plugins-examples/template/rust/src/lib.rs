//! my_plugin: greets, and numbers the texts that a client sends.
//!
//! ```text
//! <Location "/my_plugin">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_my_plugin.so my_plugin_init
//!   WebSocketPluginOption greeting "Hello!"
//! </Location>
//! ```

#![forbid(unsafe_code)]

use websocket_plugin::{
    Handshake, Message, Options, Plugin, Rejection, Sender, export_plugin, log,
};

/// One for all WebSockets of a process.
struct MyPlugin;

/// What is kept for one WebSocket.
struct Connection {
    count: u64,
}

impl Plugin for MyPlugin {
    type Connection = Connection;

    /// Checks the options, while httpd reads its configuration.
    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        options.allow_only(&["greeting"])
    }

    /// A client asks for a WebSocket. To refuse it, return an error, such as
    /// `Err(Rejection::forbidden())`.
    fn connect(&self, handshake: &Handshake<'_>) -> Result<Connection, Rejection> {
        let options = handshake.options();
        let greeting = options.get("greeting").unwrap_or("Hello!");
        // It goes out as soon as the WebSocket is open.
        handshake.sender().send_text(greeting)?;
        Ok(Connection { count: 0 })
    }

    fn message(&self, connection: &mut Connection, peer: &Sender, message: Message<'_>) {
        // An error of `send` says that the connection is closing; `disconnect` follows.
        let _ = match message {
            Message::Text(text) => {
                connection.count += 1;
                peer.send_text(&format!("{}: {text}", connection.count))
            }
            Message::Binary(bytes) => peer.send_binary(bytes),
        };
    }

    /// The last call for a connection. The line is in httpd's ErrorLog with
    /// `LogLevel websocket:info`.
    fn disconnect(&self, connection: Connection) {
        log::info!("{} texts", connection.count);
    }
}

export_plugin!(my_plugin_init, MyPlugin);
