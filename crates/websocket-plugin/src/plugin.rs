//! What a plugin implements.

use std::sync::Arc;
use std::time::Duration;

use crate::handshake::Handshake;
use crate::message::Message;
use crate::options::Options;
use crate::process::Process;
use crate::rejection::Rejection;
use crate::sender::Sender;
use crate::topics::{Delivery, TopicEvent};

/// A plugin: one value for each configuration, shared by all of its connections.
///
/// The functions of one connection, from [`connect`](Self::connect) to
/// [`disconnect`](Self::disconnect), never overlap, but may run on a different thread each time.
/// Those of different connections run in parallel.
pub trait Plugin: Send + Sync + 'static {
    /// What the plugin keeps for one WebSocket.
    type Connection: Send + 'static;

    /// Checks the options of one section of the configuration. The error is the sentence with which
    /// httpd refuses to start, and `httpd -t` fails; httpd adds the section's file and line.
    ///
    /// Called in the parent process, on its only thread, for each section that names this plugin or
    /// sets an option for it, with all options that hold there.
    /// [`Handshake::options`] has those that hold for a client, so nothing needs to be kept here.
    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        let _ = options;
        Ok(())
    }

    /// A child process begins: the place to start threads (with [`spawn`](crate::spawn())) and to
    /// open what each process must have for itself. Once in each child, before its first
    /// [`connect`](Self::connect).
    fn child_start(&self, process: &Process) {
        let _ = process;
    }

    /// The child process ends, after its last [`disconnect`](Self::disconnect). Threads are told to
    /// stop here, and joined.
    ///
    /// `graceful` says that the child took the time to close its WebSockets. A process that is
    /// killed does not come here.
    fn child_stop(&self, graceful: bool) {
        let _ = graceful;
    }

    /// A client asks for a WebSocket: the plugin accepts it, with the connection's state, or refuses
    /// it with an HTTP status.
    ///
    /// What is sent from here, through [`Handshake::sender`], goes out right after the 101.
    fn connect(&self, handshake: &Handshake<'_>) -> Result<Self::Connection, Rejection>;

    /// The 101 is out: the first call after [`connect`](Self::connect).
    fn open(&self, connection: &mut Self::Connection, peer: &Sender) {
        let _ = (connection, peer);
    }

    /// A message has arrived.
    ///
    /// Nothing is read from this client meanwhile; other clients are served.
    fn message(&self, connection: &mut Self::Connection, peer: &Sender, message: Message<'_>);

    /// The time of [`Sender::set_timer`] has come.
    fn timer(&self, connection: &mut Self::Connection, peer: &Sender) {
        let _ = (connection, peer);
    }

    /// The time of [`Sender::set_timer_for`] with this key has come.
    fn timer_for(&self, connection: &mut Self::Connection, peer: &Sender, key: u32) {
        let _ = (connection, peer, key);
    }

    /// A Pong has come: the answer to a [`Sender::ping`], to a ping of the server's own
    /// (`WebSocketPingInterval`), or one that nobody asked for.
    ///
    /// Needs a server of this version; an older one does not call it.
    fn pong(&self, connection: &mut Self::Connection, peer: &Sender, pong: &Pong<'_>) {
        let _ = (connection, peer, pong);
    }

    /// Something was published to a topic of this connection's, or has happened to its subscription, if that is
    /// [`watched`](crate::Subscribe::watched). Says whether the message goes to the client as it is; what is to go instead is
    /// sent from here. It is called when there is room for that.
    ///
    /// Needs a server that has [`Sender::subscribe`].
    fn topic(
        &self,
        connection: &mut Self::Connection,
        peer: &Sender,
        event: &TopicEvent<'_>,
    ) -> Delivery {
        let _ = (connection, peer, event);
        Delivery::Pass
    }

    /// There is room again after [`Sender::try_send`] said
    /// [`WouldBlock`](crate::SendError::WouldBlock). Once, until it says so again; for a connection that subscribes to
    /// topics, perhaps more often.
    fn writable(&self, connection: &mut Self::Connection, peer: &Sender) {
        let _ = (connection, peer);
    }

    /// The WebSocket has ended, and why; nothing can be sent any more.
    /// [`disconnect`](Self::disconnect) comes next.
    ///
    /// Not called for a client that vanished before its 101 was written.
    fn closed(&self, connection: &mut Self::Connection, closing: &Closing<'_>) {
        let _ = (connection, closing);
    }

    /// The last call, exactly once for each connection that was accepted, whoever ended it and
    /// however. Each [`Sender`] says [`Closed`](crate::SendError::Closed) by now.
    ///
    /// A thread that the connection has started is joined here. Without an implementation, the
    /// state is dropped.
    fn disconnect(&self, connection: Self::Connection) {
        drop(connection);
    }
}

/// A Pong frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Pong<'a> {
    /// At most 125 bytes.
    pub payload: &'a [u8],
    /// How long ping and pong were under way, when it answers the server's latest ping or one of the plugin's latest.
    pub round_trip: Option<Duration>,
}

/// Why and how a WebSocket has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Closing<'a> {
    /// What the peer's Close frame says; 1005 when it says nothing, 1006 when none came (RFC 6455
    /// §7.1.5).
    pub code: u16,
    /// The reason in the peer's Close frame; mostly empty.
    pub reason: &'a str,
    /// Whether Close frames went both ways. If not, the peer vanished or broke the protocol, a
    /// timeout ran out, or the process ends.
    pub is_clean: bool,
}

/// A plugin whose types are forgotten, so that an [`Export`](crate::export::Export) can hold it.
pub(crate) trait AnyPlugin: Send + Sync {
    fn configure(&self, options: &Options<'_>) -> Result<(), String>;
    fn child_start(&self, process: &Process);
    fn child_stop(&self, graceful: bool);
    fn connect(
        self: Arc<Self>,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn AnyConnection>, Rejection>;
}

/// An accepted connection and the plugin it belongs to.
pub(crate) trait AnyConnection: Send {
    fn open(&mut self, peer: &Sender);
    fn message(&mut self, peer: &Sender, message: Message<'_>);
    fn timer(&mut self, peer: &Sender);
    fn timer_for(&mut self, peer: &Sender, key: u32);
    fn pong(&mut self, peer: &Sender, pong: &Pong<'_>);
    fn topic(&mut self, peer: &Sender, event: &TopicEvent<'_>) -> Delivery;
    fn writable(&mut self, peer: &Sender);
    fn closed(&mut self, closing: &Closing<'_>);
    fn disconnect(self: Box<Self>);
}

impl<P: Plugin> AnyPlugin for P {
    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        Plugin::configure(self, options)
    }

    fn child_start(&self, process: &Process) {
        Plugin::child_start(self, process);
    }

    fn child_stop(&self, graceful: bool) {
        Plugin::child_stop(self, graceful);
    }

    fn connect(
        self: Arc<Self>,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn AnyConnection>, Rejection> {
        let connection = Plugin::connect(&*self, handshake)?;
        Ok(Box::new(Accepted {
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
    fn open(&mut self, peer: &Sender) {
        self.plugin.open(&mut self.connection, peer);
    }

    fn message(&mut self, peer: &Sender, message: Message<'_>) {
        self.plugin.message(&mut self.connection, peer, message);
    }

    fn timer(&mut self, peer: &Sender) {
        self.plugin.timer(&mut self.connection, peer);
    }

    fn timer_for(&mut self, peer: &Sender, key: u32) {
        self.plugin.timer_for(&mut self.connection, peer, key);
    }

    fn pong(&mut self, peer: &Sender, pong: &Pong<'_>) {
        self.plugin.pong(&mut self.connection, peer, pong);
    }

    fn topic(&mut self, peer: &Sender, event: &TopicEvent<'_>) -> Delivery {
        self.plugin.topic(&mut self.connection, peer, event)
    }

    fn writable(&mut self, peer: &Sender) {
        self.plugin.writable(&mut self.connection, peer);
    }

    fn closed(&mut self, closing: &Closing<'_>) {
        self.plugin.closed(&mut self.connection, closing);
    }

    fn disconnect(self: Box<Self>) {
        let Self { connection, plugin } = *self;
        plugin.disconnect(connection);
    }
}
