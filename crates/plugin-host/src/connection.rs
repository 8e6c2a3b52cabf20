//! One WebSocket: a session, and the request that has opened it.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use loaded_plugin::PluginPrivate;
use server_functions::{Level, Misuses, Pings, Served, ServerTable, Topics, letters};
use session::sync::lock;
use session::{ClosedBy, Receiver, Session};
use subscribers::{Attendance, Closing, Form, Letter, Message, Outlet, Refused, Slow, Terms};
use websocket_plugin::abi::RequestRec;
use websocket_proto::{CloseCode, CloseFrame, ProtocolVersion, ReservedCloseCodes};

use crate::driver::Driver;
use crate::exchange::Exchange;
use crate::generation::Generation;
use crate::host::Host;
use crate::outside::Outside;
use crate::request::Request;
use crate::terminal::Terminal;

/// One WebSocket, from before its `on_connect` until after its `on_disconnect`.
pub struct Connection {
    this: Weak<Connection>,
    session: Session<Outside>,
    request: Request,
    subprotocols: Vec<CString>,
    response: Mutex<Response>,
    /// The mistakes of the plugin's that have been told.
    misuses: Misuses,
    terminal: Arc<Terminal>,
    exchange: Arc<Exchange>,
    send_buffer: usize,
    number: u64,
}

/// What the plugin says for the answer to the handshake.
#[derive(Clone, Default)]
pub struct Response {
    /// The status of a refusal.
    pub status: Option<u16>,
    /// Its body, when the plugin has one of its own: media type and content.
    pub body: Option<(CString, Vec<u8>)>,
    pub headers: Vec<(CString, CString)>,
    pub subprotocol: Option<CString>,
}

impl Connection {
    /// A connection whose plugin has not been asked yet.
    pub fn new(
        host: &Host,
        generation: &Arc<Generation>,
        number: u64,
        request: Request,
        version: ProtocolVersion,
        subprotocols: Vec<CString>,
    ) -> Arc<Self> {
        let settings = &host.settings;
        let limits = session::Config {
            version,
            max_message_size: settings.max_message_size,
            reserved_close_codes: match settings.reserved_codes {
                true => ReservedCloseCodes::Allow,
                false => ReservedCloseCodes::Refuse,
            },
            send_buffer: settings.send_buffer,
            // As httpd's module has them when nobody says otherwise.
            send_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(30),
            idle_timeout: Duration::ZERO,
            message_timeout: Duration::from_secs(5 * 60),
            max_lifetime: Duration::ZERO,
            rate_limit: None,
        };
        Arc::new_cyclic(|this| {
            // SAFETY: a connection stays in its `Arc`, and gives its plugin the last callback before it goes.
            let server = unsafe { ServerTable::new(this.as_ptr()) };
            let outside = Outside {
                server,
                generation: Arc::clone(generation),
                private: OnceLock::new(),
                driver: OnceLock::new(),
                number,
                attendance: Attendance::new(fastrand::u64(1..), settings.send_buffer),
                pings: Pings::default(),
            };
            Connection {
                this: this.clone(),
                session: Session::new(outside, &limits, None, Arc::clone(&host.buffers)),
                request,
                subprotocols,
                response: Mutex::default(),
                misuses: Misuses::default(),
                terminal: Arc::clone(&host.terminal),
                exchange: Arc::clone(&host.exchange),
                send_buffer: settings.send_buffer,
                number,
            }
        })
    }

    /// What happens on it.
    pub fn session(&self) -> &Session<Outside> {
        &self.session
    }

    /// Who drives it, from its opening on and while somebody does.
    pub fn driver(&self) -> Option<Arc<Driver>> {
        self.session.environment().driver()
    }

    /// Its number in the log.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The plugin has accepted the connection.
    pub fn accept(&self, private: PluginPrivate) {
        // Called once, so that it is not set already.
        let _ = self.session.environment().private.set(private);
        self.session.accept();
    }

    /// What the plugin has said for the answer.
    pub fn response(&self) -> Response {
        lock(&self.response).clone()
    }

    /// Says what a plugin does wrong, once for each connection and kind of mistake.
    pub fn log_misuse(&self, reason: &dyn fmt::Display) {
        if !self.misuses.is_new(&reason.to_string()) {
            return;
        }
        let line = format_args!(
            "WS0401: the plugin's call was refused: {reason} (said once for each connection)"
        );
        self.log(Level::Warning, &line);
    }

    /// Logs a line about this connection, from any thread.
    pub fn log(&self, level: Level, text: &dyn fmt::Display) {
        self.terminal.tell(self.number, level, text);
    }
}

impl Receiver for Connection {
    fn flush_gathered(&self) {
        self.session.flush_gathered();
    }
}

/// What it does for its plugin, whose calls have been checked.
impl Served for Connection {
    type Environment = Outside;

    fn session(&self) -> &Session<Outside> {
        &self.session
    }

    /// There is no httpd, and no request of its.
    fn request(&self) -> *mut RequestRec {
        ptr::null_mut()
    }

    unsafe fn header(&self, name: &CStr) -> Option<&CStr> {
        self.request.header(name)
    }

    unsafe fn set_header(&self, name: &CStr, value: &CStr) {
        let headers = &mut lock(&self.response).headers;
        headers.retain(|(set, _)| !set.to_bytes().eq_ignore_ascii_case(name.to_bytes()));
        headers.push((name.to_owned(), value.to_owned()));
    }

    fn subprotocols(&self) -> &[CString] {
        &self.subprotocols
    }

    unsafe fn set_subprotocol(&self, name: &CStr) {
        lock(&self.response).subprotocol = Some(name.to_owned());
    }

    fn option(&self, name: &CStr) -> Option<&CStr> {
        let options = self.session.environment().generation.options();
        options.get(name).map(CString::as_c_str)
    }

    unsafe fn variable(&self, name: &CStr) -> Option<&CStr> {
        self.request.variable(name)
    }

    fn set_refusal(&self, status: u16, body: Option<(&CStr, &[u8])>) {
        let mut response = lock(&self.response);
        response.status = Some(status);
        response.body = body.map(|(kind, text)| (kind.to_owned(), text.to_vec()));
    }

    fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        let connection = self.this.upgrade()?;
        Some(connection)
    }

    fn has_on_timer(&self) -> bool {
        self.session
            .environment()
            .generation
            .plugin()
            .has_on_timer()
    }

    fn topics(&self) -> &dyn Topics {
        &*self.exchange
    }

    fn attendance(&self) -> &Attendance {
        &self.session.environment().attendance
    }

    fn outlet(&self) -> Weak<dyn Outlet> {
        self.this.clone()
    }

    /// As httpd's module has them when nobody says otherwise.
    fn topic_terms(&self) -> Terms {
        Terms {
            form: Form::Plain,
            slow: Slow::Close,
            messages: 1000,
            age: None,
            is_told_of_members: false,
            origin: 0,
        }
    }

    fn has_on_topic(&self) -> bool {
        let generation = &self.session.environment().generation;
        generation.plugin().has_on_topic()
    }

    fn pings(&self) -> Option<&Pings> {
        Some(&self.session.environment().pings)
    }

    fn log(&self, level: Level, line: &CStr) {
        Connection::log(self, level, &line.to_string_lossy());
    }

    fn log_misuse(&self, reason: &dyn fmt::Display) {
        Connection::log_misuse(self, reason);
    }
}

/// What its subscriptions go out by.
impl Outlet for Connection {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        letters::gather(&self.session, message)
    }

    fn deliver(&self, letter: &Arc<Letter>) -> Result<(), Refused> {
        self.attendance().put(letter)
    }

    fn flush(&self) {
        if self.attendance().has_letters() {
            self.session.call();
        }
        self.session.flush();
    }

    fn has_ample_room(&self) -> bool {
        self.session.buffered() <= self.send_buffer / 2
    }

    fn call_again(&self) {
        self.session.call();
    }

    fn close(&self, why: Closing) {
        let reason = match why {
            Closing::Slow => "slow",
            Closing::Gap => "messages were lost",
            Closing::Unavailable => "topics are not available",
        };
        let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason);
        self.session.close(Some(&frame), ClosedBy::Topics);
    }
}
