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

#[cfg(test)]
mod tests {
    use websocket_plugin::testing::{Received, Request, World};

    use super::my_plugin_init;

    #[test]
    fn texts_are_numbered() {
        let world = World::with_options(my_plugin_init, &[("greeting", "Welcome")]).unwrap();
        let client = world.connect(Request::to("/my_plugin")).unwrap();
        client.send_text("a");
        client.send_text("b");
        let texts = ["Welcome", "1: a", "2: b"].map(|text| Received::Text(text.into()));
        assert_eq!(client.received(), texts);
    }
}
