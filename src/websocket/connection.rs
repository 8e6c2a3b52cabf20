//! One WebSocket: the only place where protocol state, transport, outbox and plugin meet.
//!
//! [`crate::websocket::turn`] has what comes in, [`crate::websocket::sending`] what goes out, [`crate::websocket::callbacks`] the calls to the plugin.

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use httpd::log::Subject;
use httpd::request::{Request, RequestHandle};
use httpd::server::Server;
use httpd::socket::current_thread;
use httpd::upgraded::Upgraded;
use websocket_plugin::abi;
use websocket_proto::extension::permessage_deflate::{Agreed, CodecPool};
use websocket_proto::{
    CloseFrame, ProtocolVersion, Receiver, ReceiverConfig, ReservedCloseCodes, Role, Sender,
};

use crate::board::Entry;
use crate::child::{Child, Place};
use crate::configuration::config::Config;
use crate::configuration::options::Options;
use crate::driver::Driver;
use crate::lock::lock;
use crate::log::{self, Level, Tag};
use crate::plugin::server_table::ServerTable;
use crate::plugin::{Plugin, PluginPrivate};
use crate::websocket::buffers::Buffers;
use crate::websocket::ending::{Closed, ClosedBy};
use crate::websocket::outbox::Outbox;
use crate::websocket::transport::Transport;
use crate::websocket::turn::Reader;

const NEVER: u64 = u64::MAX;
/// How many kinds of mistakes are logged for one connection.
const MOST_MISUSES: usize = 32;

/// One WebSocket, from before its `on_connect` until after its `on_disconnect`.
pub struct Connection {
    /// What the plugin sees; its `state` is this connection.
    server: ServerTable,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) private: OnceLock<PluginPrivate>,
    request: RequestHandle,
    subprotocols: Vec<CString>,
    options: Arc<Options>,
    /// What the plugin has said for the case that it refuses.
    rejection: Mutex<Rejection>,
    /// What the plugin wants to be called for.
    pub(crate) asked: Asked,
    pub(crate) version: ProtocolVersion,
    pub(crate) reserved_close_codes: ReservedCloseCodes,
    send_timeout: Duration,
    driver: OnceLock<Weak<dyn Driver>>,
    /// The child that it is counted in, and under which number.
    pub(crate) membership: OnceLock<(Weak<Child>, u64)>,
    place: Place,
    /// When the child wants it closed, in milliseconds since `opened`; [`NEVER`] without a wish.
    drain_at: AtomicU64,
    pub(crate) outbox: Outbox,
    /// Read and written under one lock: TLS reads while it writes. `None` before the 101.
    pub(crate) transport: Mutex<Option<Transport>>,
    /// The socket is full, or broken: output waits for a turn.
    pub(crate) is_stalled: AtomicBool,
    /// Somebody waits for the transport to look at it, and will write: those who would write leave it to them.
    pub(crate) is_wanted: AtomicBool,
    /// Input waits until there is room for what comes of it.
    pub(crate) is_input_stopped: AtomicBool,
    /// Belongs to the turn: taken out for its length, so that no lock is held while the plugin runs.
    pub(crate) reader: Mutex<Option<Box<Reader>>>,
    /// The thread that runs callbacks: on_connect's, then the one that has the turn; 0 for none.
    pub(crate) turn_thread: AtomicUsize,
    /// What that thread sends is gathered, because it is about to handle more input.
    pub(crate) is_corked: AtomicBool,
    /// The mistakes of the plugin's that have been logged.
    misuses: Mutex<Vec<String>>,
    /// The callback that runs, by its number in [`crate::websocket::callbacks`].
    pub(crate) running: AtomicU8,
    /// The plugin's latest ping, and when it went out.
    pinged: Mutex<Option<(Vec<u8>, Instant)>>,
    pub(crate) messages_sent: AtomicU64,
    /// When it was made; `last_sent` and `drain_at` count milliseconds from there.
    pub(crate) opened: Instant,
    last_sent: AtomicU64,
    /// There is a WebSocketIdleTimeout: `last_sent` counts.
    is_idleness_watched: bool,
    /// The first Close frame.
    closed: OnceLock<Box<Closed>>,
}

/// What a connection begins with: a good handshake, and what was agreed on.
pub struct Opening<'a> {
    pub request: RequestHandle,
    pub plugin: &'a Arc<Plugin>,
    pub config: &'a Config,
    pub version: ProtocolVersion,
    /// Those that the client offers.
    pub subprotocols: Vec<CString>,
    pub compression: Option<(Agreed, Arc<CodecPool>)>,
    pub buffers: &'a Arc<Buffers>,
    pub place: Place,
}

/// What a plugin wants to be called for.
#[derive(Default)]
pub struct Asked {
    /// on_writable is due.
    pub(crate) is_writable: AtomicBool,
    /// When on_timer is due.
    pub(crate) timer: Mutex<Option<Instant>>,
}

/// How a plugin refuses a handshake.
#[derive(Default)]
struct Rejection {
    status: Option<u16>,
    /// The plugin's own body: its media type and content. Else httpd writes one.
    body: Option<(CString, Vec<u8>)>,
    /// The header fields that the plugin has set.
    headers: Vec<CString>,
}

impl Connection {
    /// A connection whose plugin has not been asked yet.
    pub fn new(opening: Opening<'_>) -> Arc<Self> {
        let Opening {
            request,
            plugin,
            config,
            version,
            subprotocols,
            compression,
            buffers,
            place,
        } = opening;
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
            plugin: Arc::clone(plugin),
            private: OnceLock::new(),
            request,
            subprotocols,
            options: config.plugin_options(),
            rejection: Mutex::default(),
            asked: Asked::default(),
            version,
            reserved_close_codes: config.reserved_close_codes(),
            send_timeout: config.send_timeout(),
            driver: OnceLock::new(),
            membership: OnceLock::new(),
            place,
            drain_at: AtomicU64::new(NEVER),
            outbox: Outbox::new(config.send_buffer(), sender, Arc::clone(buffers)),
            transport: Mutex::new(None),
            is_stalled: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            is_input_stopped: AtomicBool::new(false),
            reader: Mutex::new(Some(Box::new(Reader::new(receiver, config)))),
            // Nobody else has it yet.
            turn_thread: AtomicUsize::new(current_thread()),
            is_corked: AtomicBool::new(false),
            misuses: Mutex::default(),
            running: AtomicU8::new(0),
            pinged: Mutex::default(),
            messages_sent: AtomicU64::new(0),
            opened: Instant::now(),
            last_sent: AtomicU64::new(0),
            is_idleness_watched: !config.idle_timeout().is_zero(),
            closed: OnceLock::new(),
        })
    }

    /// Its figures.
    pub fn entry(&self) -> &Entry {
        &self.place.entry
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

    /// What `WebSocketPluginOption` says.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The plugin has accepted the connection.
    pub fn accept(&self, private: PluginPrivate) {
        self.turn_thread.store(0, Ordering::Relaxed);
        // Called once, so that it is not set already.
        let _ = self.private.set(private);
    }

    /// Whether the plugin has accepted the connection.
    pub fn is_accepted(&self) -> bool {
        self.private.get().is_some()
    }

    /// Whether the plugin has chosen a refusal.
    pub fn is_rejected(&self) -> bool {
        lock(&self.rejection).status.is_some()
    }

    /// The body that the plugin gives its refusal: media type and content.
    pub fn take_refusal_body(&self) -> Option<(CString, Vec<u8>)> {
        lock(&self.rejection).body.take()
    }

    /// The plugin has refused: nobody sends any more. Says with which status, if the plugin has.
    pub fn refuse(&self, request: &Request<'_>) -> Option<u16> {
        self.outbox.end();
        let rejection = lock(&self.rejection);
        let status = rejection.status?;
        for name in &rejection.headers {
            // An error response has no other header fields than these.
            if let Some(value) = request.headers_out().get(name) {
                request.err_headers_out().set(name, value);
            }
        }
        Some(status)
    }

    /// The plugin has set a header field of the response.
    pub fn header_set(&self, name: &CStr) {
        lock(&self.rejection).headers.push(name.to_owned());
    }

    /// The plugin chooses the status of a refusal, and its body. Says whether they can be had.
    pub fn reject(&self, status: u32, body: Option<(&CStr, &[u8])>) -> bool {
        let status = u16::try_from(status).ok();
        let status = status.filter(|status| (300..=599).contains(status));
        match status {
            _ if self.is_accepted() => self.log_misuse(&"reject after on_connect"),
            None => self.log_misuse(&"reject with a status that is not 300 to 599"),
            Some(_) => {
                let mut rejection = lock(&self.rejection);
                rejection.status = status;
                rejection.body = body.map(|(kind, text)| (kind.to_owned(), text.to_vec()));
                return true;
            }
        }
        false
    }

    /// Has on_timer called at `time`, or not at all. Says whether it will be.
    pub fn set_timer(&self, time: Option<Instant>) -> bool {
        if !self.plugin.has_on_timer() {
            self.log_misuse(&"set_timer without an on_timer");
            return false;
        }
        if self.outbox.has_ended() {
            return false;
        }
        *lock(&self.asked.timer) = time;
        if !self.is_in_callback() {
            self.wake();
        }
        true
    }

    /// Whether the calling thread runs a callback of this connection.
    pub fn is_in_callback(&self) -> bool {
        self.turn_thread.load(Ordering::Relaxed) == current_thread()
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
        let since = time.saturating_duration_since(self.opened).as_millis();
        self.drain_at.store(since as u64, Ordering::Relaxed);
        self.wake();
    }

    /// When the child wants it closed.
    pub(crate) fn drains_at(&self) -> Option<Instant> {
        let since = self.drain_at.load(Ordering::Relaxed);
        (since != NEVER).then(|| self.opened + Duration::from_millis(since))
    }

    /// Whether no turn is under way on the thread that asks, so that nothing is locked or half done there.
    pub fn is_at_rest(&self) -> bool {
        self.driver().is_none_or(|driver| driver.is_at_rest())
    }

    /// Releases every thread that is blocked in `send`.
    pub fn stop_sending(&self) {
        self.outbox.end();
    }

    /// Asks for a turn.
    pub(crate) fn wake(&self) {
        if let Some(driver) = self.driver() {
            driver.wake();
        }
    }

    /// One more message has been sent.
    pub(crate) fn message_sent(&self) {
        self.messages_sent.fetch_add(1, Ordering::Relaxed);
        self.entry().message_out();
        if self.is_idleness_watched {
            let since = self.opened.elapsed().as_millis();
            self.last_sent.store(since as u64, Ordering::Relaxed);
        }
    }

    /// When the last message has been sent.
    pub(crate) fn last_sent(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_sent.load(Ordering::Relaxed))
    }

    /// The first Close frame is ours, or answers the peer's.
    pub(crate) fn closed_by(&self, by: ClosedBy, frame: Option<CloseFrame>) {
        // Only one can be the first.
        let _ = self.closed.set(Box::new(Closed { by, frame }));
    }

    /// The first Close frame.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.closed.get().map(|closed| &**closed)
    }

    /// Says what a plugin does wrong, once for each connection and kind of mistake.
    pub(crate) fn log_misuse(&self, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        {
            let mut misuses = lock(&self.misuses);
            if misuses.contains(&reason) || misuses.len() == MOST_MISUSES {
                return;
            }
            misuses.push(reason.clone());
        }
        self.log(Level::Warn, Tag::Misuse, || {
            format!("the plugin's call was refused: {reason} (said once for each connection)")
        });
    }

    /// The plugin sends a ping, whose round trip it wants to know.
    pub(crate) fn pinged(&self, payload: &[u8]) {
        if self.plugin.has_on_pong() {
            *lock(&self.pinged) = Some((payload.to_vec(), Instant::now()));
        }
    }

    /// How long the plugin's latest ping was under way, when this pong answers it.
    pub(crate) fn round_trip(&self, payload: &[u8]) -> Option<Duration> {
        let is_answered = |pinged: &mut (Vec<u8>, Instant)| pinged.0 == payload;
        let (_, sent) = lock(&self.pinged).take_if(is_answered)?;
        Some(sent.elapsed())
    }

    /// Logs a line about this connection, from any thread.
    pub(crate) fn log(&self, level: Level, tag: Tag, text: impl FnOnce() -> String) {
        let mut text = Some(text);
        let mut write = |subject: &Subject<'_>| {
            if let Some(text) = text.take() {
                log::log(subject, level, tag, text);
            }
        };
        let is_open = self.with_transport(|transport| {
            write(&Subject::Upgraded(transport.upgraded()));
        });
        if is_open.is_some() {
            return;
        }
        if self.is_in_callback() && !self.is_accepted() {
            // SAFETY: on_connect runs on this thread, and the request is its own meanwhile.
            write(&Subject::Request(&unsafe { self.request.get() }));
        } else if let Some(server) = Server::main() {
            // The request is httpd's now.
            write(&Subject::Server(server));
        }
    }

    /// Who waits for the socket, once the connection is open and while it is driven.
    pub fn driver(&self) -> Option<Arc<dyn Driver>> {
        self.driver.get().and_then(Weak::upgrade)
    }
}
