//! What a plugin implements.

use std::sync::Arc;

use crate::handshake::Handshake;
use crate::sender::Sender;

/// A plugin: one value for each configuration, shared by all of its connections.
pub trait Plugin: Send + Sync + 'static {
    /// What the plugin keeps for one WebSocket.
    type Connection: Send + 'static;

    /// A client asks for a WebSocket. `None` refuses it with 403 Forbidden.
    ///
    /// What is sent from here, through [`Handshake::sender`], goes out right after the 101.
    fn connect(&self, handshake: &Handshake<'_>) -> Option<Self::Connection>;

    /// A message has arrived.
    ///
    /// Nothing is read from this client meanwhile; other clients are served.
    fn message(&self, connection: &mut Self::Connection, peer: &Sender, message: Message<'_>);

    /// The connection has ended; each [`Sender`] says [`Closed`](crate::SendError::Closed) by now.
    ///
    /// A thread that the connection has started is joined here. Without an implementation, the
    /// state is dropped.
    fn disconnect(&self, connection: Self::Connection) {
        drop(connection);
    }
}

/// A whole message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl Message<'_> {
    /// The payload of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// A plugin whose types are forgotten, so that an [`Export`](crate::export::Export) can hold it.
pub(crate) trait AnyPlugin: Send + Sync {
    fn connect(self: Arc<Self>, handshake: &Handshake<'_>) -> Option<Box<dyn AnyConnection>>;
}

/// An accepted connection and the plugin it belongs to.
pub(crate) trait AnyConnection: Send {
    fn message(&mut self, peer: &Sender, message: Message<'_>);
    fn disconnect(self: Box<Self>);
}

impl<P: Plugin> AnyPlugin for P {
    fn connect(self: Arc<Self>, handshake: &Handshake<'_>) -> Option<Box<dyn AnyConnection>> {
        let connection = Plugin::connect(&*self, handshake)?;
        Some(Box::new(Accepted {
            connection,
            plugin: self,
        }))
    }
}

struct Accepted<P: Plugin> {
    connection: P::Connection,
    plugin: Arc<P>,
}

impl<P: Plugin> AnyConnection for Accepted<P> {
    fn message(&mut self, peer: &Sender, message: Message<'_>) {
        self.plugin.message(&mut self.connection, peer, message);
    }

    fn disconnect(self: Box<Self>) {
        let Self { connection, plugin } = *self;
        plugin.disconnect(connection);
    }
}
