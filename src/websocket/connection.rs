//! One WebSocket of httpd's: a session, and the request that has opened it.

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use httpd::log::Subject;
use httpd::pen::Line;
use httpd::random::random;
use httpd::request::{Request, RequestHandle};
use httpd::server::Server;
use httpd::upgraded::Upgraded;
use server_functions::{Misuses, ServerTable, letters};
use session::{Buffers, ClosedBy, Ending, Receiver, Session};
use subscribers::{Attendance, Form, Outlet, Terms};
use websocket_plugin::abi;
use websocket_proto::extension::permessage_deflate::{Agreed, CodecPool};
use websocket_proto::{CloseFrame, MessageKind, ProtocolVersion};

use crate::board::{Callback, Entry, VERY_LONG};
use crate::configuration::config::Config;
use crate::lock::lock;
use crate::log::{self, Level, Tag, scribe};
use crate::plugin::{Options, PluginPrivate};
use crate::symbol::websocket_module;
use crate::topics::{Exchange, places};
use crate::websocket::driver::Driver;
use crate::websocket::listener::{Listener, NotTaken};
use crate::websocket::outside::{Outside, Overseer};
use crate::websocket::place::Place;
use crate::websocket::purpose::Purpose;
use crate::websocket::transport::Transport;

/// One WebSocket, from before its `on_connect` until after its `on_disconnect`.
pub struct Connection {
    session: Session<Outside>,
    request: RequestHandle,
    subprotocols: Vec<CString>,
    options: Arc<Options>,
    /// What the plugin has said for the case that it refuses, until it has accepted.
    rejection: Mutex<Option<Box<Rejection>>>,
    version: ProtocolVersion,
    /// `WebSocketSendBuffer`.
    send_buffer: usize,
    /// `WebSocketTopicHistory` and `WebSocketTopicSlow`.
    topic_terms: Terms,
    exchange: Arc<Exchange>,
    this: Weak<Connection>,
    /// The mistakes of the plugin's that have been logged.
    misuses: Misuses,
}

/// What a connection begins with: a good handshake, and what was agreed on.
pub struct Opening<'a> {
    pub request: RequestHandle,
    pub purpose: Purpose,
    pub config: &'a Config,
    pub version: ProtocolVersion,
    /// Those that the client offers.
    pub subprotocols: Vec<CString>,
    pub compression: Option<(Agreed, Arc<CodecPool>)>,
    pub buffers: &'a Arc<Buffers>,
    pub exchange: &'a Arc<Exchange>,
    pub place: Place,
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
            purpose,
            config,
            version,
            subprotocols,
            compression,
            buffers,
            exchange,
            place,
        } = opening;
        let limits = session::Config {
            version,
            max_message_size: config.max_message_size(),
            reserved_close_codes: config.reserved_close_codes(),
            send_buffer: config.send_buffer(),
            send_timeout: config.send_timeout(),
            close_timeout: config.close_timeout(),
            ping_interval: config.ping_interval(),
            pong_timeout: config.pong_timeout(),
            idle_timeout: config.idle_timeout(),
            message_timeout: config.message_timeout(),
            max_lifetime: config.max_lifetime(),
            rate_limit: config.rate_limit().map(|limit| (limit.rate, limit.burst)),
        };
        Arc::new_cyclic(|this| {
            // SAFETY: a connection stays in its `Arc`, and gives its plugin the last callback before it goes.
            let server = unsafe { ServerTable::new(this.as_ptr()) };
            let overseer: Weak<Connection> = this.clone();
            let outside = Outside::new(overseer, server, purpose, place);
            Connection {
                session: Session::new(outside, &limits, compression, Arc::clone(buffers)),
                request,
                subprotocols,
                options: config.plugin_options(),
                rejection: Mutex::default(),
                version,
                send_buffer: config.send_buffer(),
                topic_terms: config.topic_terms(Form::Plain),
                exchange: Arc::clone(exchange),
                this: this.clone(),
                misuses: Misuses::default(),
            }
        })
    }

    /// What happens on it.
    pub fn session(&self) -> &Session<Outside> {
        &self.session
    }

    /// Its figures.
    pub fn entry(&self) -> &Entry {
        self.outside().entry()
    }

    /// What it is for.
    pub fn purpose(&self) -> &Purpose {
        &self.outside().purpose
    }

    /// Closes it because of its topics.
    pub(super) fn close_over_topics(&self, (code, reason): NotTaken) {
        let frame = CloseFrame::new(code, reason);
        self.session.close(Some(&frame), ClosedBy::Topics);
    }

    /// `WebSocketSendBuffer`, in bytes.
    pub(super) fn send_buffer(&self) -> usize {
        self.send_buffer
    }

    /// How far back its plugin's subscriptions may go, and what becomes of slow ones.
    pub(super) fn topic_terms(&self) -> Terms {
        self.topic_terms
    }

    /// The child's part in topics.
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// What its subscriptions go out by.
    pub(super) fn as_outlet(&self) -> Weak<dyn Outlet> {
        self.this.clone()
    }

    /// Its plugin's subscriptions; most have none.
    pub(super) fn attendance(&self) -> &Attendance {
        let make = || Box::new(Attendance::new(random(), self.send_buffer));
        self.outside().attendance.get_or_init(make)
    }

    /// Whether at most half of the room is used for what its plugin is to be told.
    pub(super) fn has_ample_room_for_letters(&self) -> bool {
        let attendance = self.outside().attendance.get();
        attendance.is_none_or(|attendance| attendance.has_ample_room())
    }

    /// Whether its plugin is to be told of something.
    pub(super) fn has_letters(&self) -> bool {
        let attendance = self.outside().attendance.get();
        attendance.is_some_and(|attendance| attendance.has_letters())
    }

    /// What the plugin sees of it.
    pub fn server(&self) -> *const abi::WebSocketServer {
        self.outside().server.as_ptr()
    }

    /// The request that opened it. It lives until on_disconnect has returned; the connection may outlive it, while its
    /// peer still sends.
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
        // Called once, so that it is not set already.
        let _ = self.outside().private.set(private);
        self.accept_as_listener();
    }

    /// It is subscribed to its topics.
    pub fn accept_as_listener(&self) {
        self.session.accept();
    }

    /// Whether the plugin has accepted the connection.
    pub fn is_accepted(&self) -> bool {
        self.session.is_accepted()
    }

    /// Whether the plugin has chosen a refusal.
    pub fn is_rejected(&self) -> bool {
        self.chosen(|rejection| rejection.status).is_some()
    }

    /// The body that the plugin gives its refusal: media type and content.
    pub fn take_refusal_body(&self) -> Option<(CString, Vec<u8>)> {
        self.chosen(|rejection| rejection.body.take())
    }

    fn chosen<T>(&self, what: impl FnOnce(&mut Rejection) -> Option<T>) -> Option<T> {
        lock(&self.rejection).as_deref_mut().and_then(what)
    }

    /// The plugin's subscriptions end, those of an on_connect that refuses, too.
    pub fn end_attendance(&self) {
        self.outside().end_attendance();
    }

    /// The plugin has refused, or failed: nobody sends any more, and the response has its header fields. Says with which
    /// status, if the plugin has.
    pub fn refuse(&self, request: &Request<'_>) -> Option<u16> {
        self.session.stop_sending();
        self.end_attendance();
        let rejection = lock(&self.rejection);
        let rejection = rejection.as_deref()?;
        for name in &rejection.headers {
            // An error response has no other header fields than these.
            if let Some(value) = request.headers_out().get(name) {
                request.err_headers_out().set(name, value);
            }
        }
        rejection.status
    }

    /// The plugin has set a header field of the response.
    pub(super) fn header_set(&self, name: &CStr) {
        let mut rejection = lock(&self.rejection);
        let rejection = rejection.get_or_insert_default();
        rejection.headers.push(name.to_owned());
    }

    /// The plugin chooses the status of a refusal, and its body.
    pub(super) fn set_refusal(&self, status: u16, body: Option<(&CStr, &[u8])>) {
        let mut rejection = lock(&self.rejection);
        let rejection = rejection.get_or_insert_default();
        rejection.status = Some(status);
        rejection.body = body.map(|(kind, text)| (kind.to_owned(), text.to_vec()));
    }

    /// The 101 has been sent: from here on the driver takes turns, and what was sent meanwhile goes out.
    pub fn open(self: &Arc<Self>, upgraded: Upgraded, driver: Weak<dyn Driver>) {
        log::log(
            &Subject::Upgraded(&upgraded),
            Level::Info,
            Tag::Opened,
            || told_of(&upgraded.request(), self.version),
        );
        *lock(&self.rejection) = None;
        // Called once, so that it is not set already.
        let _ = self.outside().driver.set(driver);
        self.session.open(Transport::new(upgraded));
    }

    /// Gives the connection below back, after the WebSocket has ended.
    pub fn take_upgraded(&self) -> Option<Upgraded> {
        self.session.take_transport().map(Transport::into_upgraded)
    }

    // The child's side.

    /// Whether no turn is under way on the thread that asks, so that nothing is locked or half done there.
    pub fn is_at_rest(&self) -> bool {
        self.driver().is_none_or(|driver| driver.is_at_rest())
    }

    /// Ends the WebSocket when there will be no more turns, because the child stops.
    pub fn terminate(&self) {
        if self.session.give_up(Ending::ChildStopped)
            && let Some(driver) = self.driver()
        {
            driver.terminated();
        }
    }

    /// Says what a plugin does wrong, once for each connection and kind of mistake.
    pub(crate) fn log_misuse(&self, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        if self.misuses.is_new(&reason) {
            self.log(Level::Warn, Tag::Misuse, || {
                format!("the plugin's call was refused: {reason} (said once for each connection)")
            });
        }
    }

    /// Logs a line about this connection, from any thread.
    pub(crate) fn log(&self, level: Level, tag: Tag, text: impl FnOnce() -> String) {
        let mut text = Some(text);
        let mut line = |subject: &Subject<'_>| self.line(subject, level, tag, text.take()?);
        let of_open = self
            .session
            .with_transport(|transport| line(&Subject::Upgraded(transport.upgraded())));
        let line = match of_open {
            Some(line) => line,
            None if self.session.is_in_callback() && !self.is_accepted() => {
                // SAFETY: on_connect runs on this thread, and the request is its own meanwhile.
                line(&Subject::Request(&unsafe { self.request.get() }))
            }
            None => of_server(line),
        };
        write(line);
    }

    /// A line with its number, whatever subject there is for it.
    fn line(
        &self,
        subject: &Subject<'_>,
        level: Level,
        tag: Tag,
        text: impl FnOnce() -> String,
    ) -> Option<Line> {
        match subject {
            // Its lines have it anyway.
            Subject::Upgraded(_) => log::line(subject, level, tag, text),
            _ => log::line(subject, level, tag, || {
                format!("WebSocket {}: {}", self.entry().id(), text())
            }),
        }
    }

    /// The same, from a thread that must not wait for the transport: while another has that, the line is the server's.
    fn log_at_once(&self, level: Level, tag: Tag, text: impl FnOnce() -> String) {
        let mut text = Some(text);
        let mut line = |subject: &Subject<'_>| self.line(subject, level, tag, text.take()?);
        let of_open = self
            .session
            .try_with_transport(|transport| line(&Subject::Upgraded(transport.upgraded())));
        write(match of_open {
            Some(line) => line,
            None => of_server(line),
        });
    }

    /// Who waits for the socket, once the connection is open and while it is driven.
    pub fn driver(&self) -> Option<Arc<dyn Driver>> {
        self.outside().driver()
    }

    pub(super) fn outside(&self) -> &Outside {
        self.session.environment()
    }
}

impl Connection {
    /// Runs a callback of the plugin's, and lets it be known which.
    pub(crate) fn run<T>(&self, callback: Callback, call: impl FnOnce() -> T) -> T {
        self.outside().run(callback, call)
    }

    /// Logs a callback of the plugin's that has been running for very long; from any thread.
    pub fn say_very_long(&self, name: &str) {
        // A filter may hang with the transport, and the thread that says this has others to look at.
        self.log_at_once(Level::Warn, Tag::SlowCallback, || {
            format!(
                "the plugin's {name} has been running for more than {} s",
                VERY_LONG.as_secs()
            )
        });
    }
}

/// What is said of a WebSocket that opens. What comes from the client, or from the plugin, is quoted.
fn told_of(request: &Request<'_>, version: ProtocolVersion) -> String {
    let config = request.config::<Config>(&websocket_module);
    let mut text = format!(
        "opened at {:?} (Location {:?})",
        request.uri(),
        location_name(request, location_path(request, config))
    );
    if let Some(user) = request.user() {
        text += &format!(", user {user:?}");
    }
    if let Some(subprotocol) = request.notes().get_text(c"websocket-subprotocol") {
        text += &format!(", subprotocol {subprotocol:?}");
    }
    text + &format!(", version {version}")
}

/// What a Location is called in figures and lines: the address of its WebSockets, `wss://www.example.com:443/chat`. The server's
/// part is the configuration's, so that no client makes up a new one.
pub fn location_name(request: &Request<'_>, path: &str) -> String {
    let (scheme, name, port) = request.server_address();
    let scheme = if scheme == "https" { "wss" } else { "ws" };
    let name = match name.contains(':') {
        true => format!("[{name}]"),
        false => name,
    };
    let port = match port {
        0 => String::new(),
        port => format!(":{port}"),
    };
    format!("{scheme}://{name}{port}{path}")
}

/// The path in it: of the section that says who has its WebSockets, a plugin or topics.
pub fn location_path<'r>(request: &Request<'r>, config: Option<&'r Config>) -> &'r str {
    match config.map_or("", Config::path) {
        "" => places::path_of(request).unwrap_or_default(),
        path => path,
    }
}

/// A line of a connection whose own request is httpd's, or another thread's, now.
fn of_server(mut line: impl FnMut(&Subject<'_>) -> Option<Line>) -> Option<Line> {
    Server::main().and_then(|server| line(&Subject::Server(server)))
}

/// Written when the transport is free again: the log may hang.
fn write(line: Option<Line>) {
    if let Some(line) = line {
        scribe::write(line);
    }
}

impl Receiver for Connection {
    fn flush_gathered(&self) {
        self.session.flush_gathered();
    }
}

impl Overseer for Connection {
    fn took_very_long(&self, name: &'static str, time: Duration) {
        self.log(Level::Warn, Tag::SlowCallback, || {
            format!("the plugin's {name} took {:.1} s", time.as_secs_f64())
        });
    }

    fn receiver(self: Arc<Self>) -> Arc<dyn Receiver> {
        self
    }

    fn publishes(&self, listener: &Listener, kind: MessageKind, payload: &[u8]) {
        let gather = |receiver| self.session.gather_for(receiver);
        if let Err(why) = listener.publish(kind, payload, &gather) {
            self.close_over_topics(why);
        }
    }

    fn goes_on(&self, attendance: &Attendance) {
        letters::go_on(&self.session, attendance, |letter| {
            self.outside().on_topic(letter)
        });
    }
}
