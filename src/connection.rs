//! One WebSocket: the only place where protocol state, transport, outbox and plugin meet.

use std::ffi::CString;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use httpd::log::Subject;
use httpd::request::RequestHandle;
use httpd::upgraded::Upgraded;
use websocket_plugin::abi;
use websocket_proto::extension::permessage_deflate::{Agreed, CodecPool};
use websocket_proto::{
    CloseFrame, ProtocolVersion, Receiver, ReceiverConfig, ReservedCloseCodes, Role, Sender,
};

use crate::buffers::Buffers;
use crate::child::Child;
use crate::config::Config;
use crate::driver::Driver;
use crate::log::{self, Level, Tag};
use crate::outbox::{Outbox, Outgoing, Refused, SentBy};
use crate::plugin::{Plugin, PluginPrivate};
use crate::server_api::ServerTable;
use crate::transport::Transport;
use crate::turn::Reader;

/// Bytes of answers that may be gathered before they are written.
const CORK_LIMIT: usize = 48 * 1024;

/// One WebSocket, from before its `on_connect` until after its `on_disconnect`.
pub struct Connection {
    /// What the plugin sees; its `state` is this connection.
    server: ServerTable,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) private: OnceLock<PluginPrivate>,
    request: RequestHandle,
    subprotocols: Vec<CString>,
    pub(crate) version: ProtocolVersion,
    reserved_close_codes: ReservedCloseCodes,
    send_timeout: Duration,
    driver: OnceLock<Weak<dyn Driver>>,
    /// The child that it is counted in, and under which number.
    pub(crate) membership: OnceLock<(Weak<Child>, u64)>,
    /// When the child wants it closed.
    pub(crate) drain_at: Mutex<Option<Instant>>,
    pub(crate) outbox: Outbox,
    /// Read and written under one lock: TLS reads while it writes. `None` before the 101.
    pub(crate) transport: Mutex<Option<Transport>>,
    /// The socket is full, or broken: output waits for a turn.
    is_stalled: AtomicBool,
    /// Belongs to the turn: taken out for its length, so that no lock is held while the plugin runs.
    pub(crate) reader: Mutex<Option<Reader>>,
    /// The thread that has the turn; 0 for none.
    pub(crate) turn_thread: AtomicUsize,
    /// What that thread sends is gathered, because it is about to handle more input.
    pub(crate) is_corked: AtomicBool,
    has_logged_misuse: AtomicBool,
    pub(crate) messages_sent: AtomicU64,
}

impl Connection {
    /// A connection whose plugin has not been asked yet.
    pub fn new(
        request: RequestHandle,
        plugin: Arc<Plugin>,
        config: &Config,
        version: ProtocolVersion,
        subprotocols: Vec<CString>,
        compression: Option<(Agreed, Arc<CodecPool>)>,
        buffers: Arc<Buffers>,
    ) -> Arc<Self> {
        let mut sender = Sender::new(Role::Server);
        let mut receiver = Receiver::new(ReceiverConfig {
            role: Role::Server,
            max_message_size: config.max_message_size(),
            reserved_close_codes: config.reserved_close_codes(),
        });
        if let Some((agreed, codecs)) = &compression {
            sender = sender.with_permessage_deflate(agreed, codecs);
            receiver = receiver.with_permessage_deflate(agreed, codecs);
        }
        Arc::new_cyclic(|this| Connection {
            server: ServerTable::new(this.as_ptr()),
            plugin,
            private: OnceLock::new(),
            request,
            subprotocols,
            version,
            reserved_close_codes: config.reserved_close_codes(),
            send_timeout: config.send_timeout(),
            driver: OnceLock::new(),
            membership: OnceLock::new(),
            drain_at: Mutex::new(None),
            outbox: Outbox::new(config.send_buffer(), sender, buffers),
            transport: Mutex::new(None),
            is_stalled: AtomicBool::new(false),
            reader: Mutex::new(Some(Reader::new(receiver))),
            turn_thread: AtomicUsize::new(0),
            is_corked: AtomicBool::new(false),
            has_logged_misuse: AtomicBool::new(false),
            messages_sent: AtomicU64::new(0),
        })
    }

    /// What the plugin sees of it.
    pub fn server(&self) -> *const abi::WebSocketServer {
        self.server.as_ptr()
    }

    /// The request that opened it. It lives as long as the connection.
    pub fn request(&self) -> &RequestHandle {
        &self.request
    }

    /// The subprotocols that the client offers.
    pub fn subprotocols(&self) -> &[CString] {
        &self.subprotocols
    }

    /// The plugin has accepted the connection.
    pub fn accept(&self, private: PluginPrivate) {
        // Called once, so that it is not set already.
        let _ = self.private.set(private);
    }

    /// Whether the plugin has accepted the connection.
    pub fn is_accepted(&self) -> bool {
        self.private.get().is_some()
    }

    /// The plugin has refused: nobody sends any more.
    pub fn refuse(&self) {
        self.outbox.end();
    }

    /// The 101 has been sent: from here on the driver takes turns, and what was sent meanwhile goes out.
    pub fn open(
        self: &Arc<Self>,
        upgraded: Upgraded,
        driver: Weak<dyn Driver>,
        child: &Arc<Child>,
    ) {
        let mut transport = Transport::new(upgraded, self.send_timeout, child.buffers());
        log::log(
            &Subject::Upgraded(transport.upgraded()),
            Level::Debug,
            Tag::Opened,
            || format!("WebSocket opened, version {}", self.version),
        );
        // Called once, so that it is not set already.
        let _ = self.driver.set(driver);
        *lock(&self.transport) = Some(transport);
        let _ = self
            .membership
            .set((Arc::downgrade(child), child.add(self)));
    }

    /// Gives the connection below back, after the WebSocket has ended.
    pub fn take_upgraded(&self) -> Option<Upgraded> {
        lock(&self.transport).take().map(Transport::into_upgraded)
    }

    // The child's side.

    /// Has the WebSocket closed with 1001 at `time`, because its child stops.
    pub fn drain_at(&self, time: Instant) {
        *lock(&self.drain_at) = Some(time);
        self.wake();
    }

    /// Whether no turn is under way on the thread that asks, so that nothing is locked or half done there.
    pub fn is_at_rest(&self) -> bool {
        self.driver().is_none_or(|driver| driver.is_at_rest())
    }

    /// Releases every thread that is blocked in `send`.
    pub fn stop_sending(&self) {
        self.outbox.end();
    }

    // What a plugin does, on any thread.

    /// Sends a message or a control frame. Blocks while the outbox is full. Says whether it was accepted.
    pub fn send(&self, outgoing: Outgoing<'_>) -> bool {
        let is_callback =
            self.turn_thread.load(Ordering::Relaxed) == httpd::socket::current_thread();
        let sent_by = if is_callback {
            SentBy::Callback
        } else {
            SentBy::Thread
        };
        loop {
            match self.outbox.push(outgoing, sent_by) {
                Ok(()) => {
                    if let Outgoing::Message(..) = outgoing {
                        self.messages_sent.fetch_add(1, Ordering::Relaxed);
                    }
                    match sent_by {
                        SentBy::Callback => self.transmit_unless_corked(),
                        SentBy::Thread => self.transmit(),
                    }
                    return true;
                }
                Err(Refused::Full) if self.is_accepted() => self.wait_for_room(sent_by),
                // Nobody takes anything out before the 101.
                Err(Refused::Full) => return false,
                Err(Refused::Ended) => return false,
                Err(Refused::Invalid(reason)) => {
                    self.log_misuse(&reason);
                    return false;
                }
            }
        }
    }

    /// Starts the closing handshake. Says whether it was this call that did.
    pub fn close(&self, frame: Option<&CloseFrame>) -> bool {
        let is_first = self.outbox.push_close(frame).is_ok();
        if is_first {
            self.transmit();
            self.wake();
        }
        is_first
    }

    /// [`Connection::close`] with the payload data of a Close frame.
    pub fn close_with_payload(&self, payload: &[u8]) -> bool {
        match CloseFrame::parse(payload, self.reserved_close_codes) {
            Ok(frame) => self.close(frame.as_ref()),
            Err(reason) => {
                self.log_misuse(&reason);
                false
            }
        }
    }

    /// Writes, unless what the turn's thread sends is gathered for a moment.
    pub(crate) fn transmit_unless_corked(&self) {
        if !self.is_corked.load(Ordering::Relaxed) || self.outbox.queued() >= CORK_LIMIT {
            self.transmit();
        }
    }

    fn wait_for_room(&self, sent_by: SentBy) {
        let deadline = self
            .with_transport(|transport| transport.send_deadline())
            .flatten();
        let has_waited = self
            .driver()
            .is_some_and(|driver| driver.wait_to_write(deadline));
        if !has_waited {
            self.outbox.wait_for_room(sent_by);
            return;
        }
        self.resume();
        self.expire(Instant::now());
    }

    /// Gives a peer up that has taken no output in time, and releases the threads in `send`; from any thread,
    /// because the turn's own may be one of them. The turn finds the same afterwards.
    pub fn expire(&self, now: Instant) {
        let is_over = |transport: &Transport| {
            transport.failure().is_some()
                || transport
                    .send_deadline()
                    .is_some_and(|deadline| deadline <= now)
        };
        if self.with_transport(|transport| is_over(transport)) == Some(true) {
            self.outbox.end();
        }
    }

    /// Looks at the transport. Who finds it taken meanwhile leaves its message to this thread.
    pub(crate) fn with_transport<T>(&self, look: impl FnOnce(&mut Transport) -> T) -> Option<T> {
        let seen = lock(&self.transport).as_mut().map(look);
        self.transmit();
        seen
    }

    /// Says once for each connection what a plugin does wrong.
    fn log_misuse(&self, reason: &dyn fmt::Display) {
        if self.has_logged_misuse.swap(true, Ordering::Relaxed) {
            return;
        }
        self.with_transport(|transport| {
            let subject = Subject::Upgraded(transport.upgraded());
            log::log(&subject, Level::Warn, Tag::SendRefused, || {
                format!(
                    "the plugin's message was not sent: {reason} (said once for each connection)"
                )
            });
        });
    }

    // The transport's side, on whatever thread has it.

    /// Writes what the outbox holds and the socket takes, if nobody else is at it. Who holds the transport
    /// writes what others put in meanwhile, so that nothing stays behind.
    pub(crate) fn transmit(&self) {
        while self.outbox.has_output() && !self.is_stalled.load(Ordering::Acquire) {
            let mut transport = match self.transport.try_lock() {
                Ok(transport) => transport,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let Some(transport) = transport.as_mut() else {
                return;
            };
            if !self.write_out(transport)
                && let Some(driver) = self.driver()
            {
                driver.stalled(transport.send_deadline());
            }
        }
    }

    /// Goes on writing after the socket was full.
    pub fn resume(&self) {
        if self.is_stalled.load(Ordering::Acquire)
            && let Some(transport) = lock(&self.transport).as_mut()
        {
            self.outbox.transmitted(transport.resume());
            self.is_stalled
                .store(!transport.is_idle(), Ordering::Release);
        }
        self.transmit();
    }

    /// Writes frame after frame until the outbox is empty; `false` when the transport takes no more.
    fn write_out(&self, transport: &mut Transport) -> bool {
        while transport.is_idle() {
            let Some(frames) = self.outbox.take() else {
                return true;
            };
            self.outbox.transmitted(transport.write(frames));
        }
        self.is_stalled.store(true, Ordering::Release);
        false
    }

    fn wake(&self) {
        if let Some(driver) = self.driver() {
            driver.wake();
        }
    }

    /// Who waits for the socket, once the connection is open and while it is driven.
    pub fn driver(&self) -> Option<Arc<dyn Driver>> {
        self.driver.get().and_then(Weak::upgrade)
    }
}

/// Locks a mutex of a connection.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held has been logged, and has ended the connection.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
