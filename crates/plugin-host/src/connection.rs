//! One WebSocket: a session, and the request that has opened it.

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use loaded_plugin::PluginPrivate;
use session::sync::lock;
use session::{Outgoing, Refused, Session};
use websocket_proto::handshake::is_header_field;
use websocket_proto::{ProtocolVersion, ReservedCloseCodes};

use crate::generation::Generation;
use crate::host::Host;
use crate::outside::Outside;
use crate::request::Request;
use crate::server_table::ServerTable;
use crate::terminal::{Level, Terminal};

/// How many kinds of mistakes are told for one connection.
const MOST_MISUSES: usize = 32;
/// What says how the response is framed, or that there is a WebSocket: the server's to say.
const OWN_FIELDS: [&str; 5] = [
    "connection",
    "content-length",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One WebSocket, from before its `on_connect` until after its `on_disconnect`.
pub struct Connection {
    session: Session<Outside>,
    request: Request,
    subprotocols: Vec<CString>,
    response: Mutex<Response>,
    /// The mistakes of the plugin's that have been told.
    misuses: Mutex<Vec<String>>,
    terminal: Arc<Terminal>,
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
            let outside = Outside {
                server: ServerTable::new(this.as_ptr()),
                generation: Arc::clone(generation),
                private: OnceLock::new(),
                driver: OnceLock::new(),
                number,
                pinged: Mutex::default(),
            };
            Connection {
                session: Session::new(outside, &limits, None, Arc::clone(&host.buffers)),
                request,
                subprotocols,
                response: Mutex::default(),
                misuses: Mutex::default(),
                terminal: Arc::clone(&host.terminal),
                number,
            }
        })
    }

    /// What happens on it.
    pub fn session(&self) -> &Session<Outside> {
        &self.session
    }

    /// Its number in the log.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The request that opened it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The subprotocols that the client offers.
    pub fn subprotocols(&self) -> &[CString] {
        &self.subprotocols
    }

    /// The value of an option.
    pub fn option(&self, name: &CStr) -> Option<&CStr> {
        let options = self.session.environment().generation.options();
        options.get(name).map(CString::as_c_str)
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

    /// The plugin sets a header field of the answer.
    pub fn set_header(&self, name: &CStr, value: &CStr) {
        if self.session.is_accepted() {
            return self.log_misuse(&"header_set after on_connect");
        }
        if !is_header_field(name.to_bytes(), value.to_bytes()) {
            return self.log_misuse(&"header_set with what cannot stand in a header field");
        }
        let lower = name.to_string_lossy().to_ascii_lowercase();
        if OWN_FIELDS.contains(&lower.as_str()) || lower.starts_with("sec-websocket-") {
            return self.log_misuse(&format_args!(
                "header_set of {}, which is the server's to set",
                name.to_string_lossy()
            ));
        }
        let headers = &mut lock(&self.response).headers;
        headers.retain(|(set, _)| !set.to_bytes().eq_ignore_ascii_case(name.to_bytes()));
        headers.push((name.to_owned(), value.to_owned()));
    }

    /// The plugin chooses the subprotocol.
    pub fn choose_subprotocol(&self, name: &CStr) {
        if self.session.is_accepted() {
            return self.log_misuse(&"protocol_set after on_connect");
        }
        if !self.subprotocols.iter().any(|offered| **offered == *name) {
            return self.log_misuse(&"protocol_set with a protocol that the client does not offer");
        }
        lock(&self.response).subprotocol = Some(name.to_owned());
    }

    /// The plugin chooses the status of a refusal, and its body. Says whether they can be had.
    pub fn reject(&self, status: u32, body: Option<(&CStr, &[u8])>) -> bool {
        let status = u16::try_from(status).ok();
        let status = status.filter(|status| (300..=599).contains(status));
        match status {
            _ if self.session.is_accepted() => self.log_misuse(&"reject after on_connect"),
            None => self.log_misuse(&"reject with a status that is not 300 to 599"),
            Some(_) => {
                let mut response = lock(&self.response);
                response.status = status;
                response.body = body.map(|(kind, text)| (kind.to_owned(), text.to_vec()));
                return true;
            }
        }
        false
    }

    /// Has on_timer called at `time`, or not at all. Says whether it will be.
    pub fn set_timer(&self, time: Option<Instant>) -> bool {
        let plugin = self.session.environment().generation.plugin();
        if !plugin.has_on_timer() {
            self.log_misuse(&"set_timer without an on_timer");
            return false;
        }
        self.session.set_timer(time)
    }

    /// [`Session::send`], for the plugin.
    pub fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        self.session.environment().sends(&outgoing);
        self.judge(self.session.send(outgoing))
    }

    /// [`Session::try_send`], for the plugin.
    pub fn try_send(&self, outgoing: Outgoing<'_>) -> Result<(), Refused> {
        self.session.environment().sends(&outgoing);
        self.judge(self.session.try_send(outgoing))
    }

    fn judge(&self, sent: Result<(), Refused>) -> Result<(), Refused> {
        if let Err(Refused::Invalid(reason)) = &sent {
            self.log_misuse(reason);
        }
        sent
    }

    /// Starts the closing handshake for the plugin, with the payload data of a Close frame. Says whether it was this
    /// call that did.
    pub fn close_with_payload(&self, payload: &[u8]) -> bool {
        self.session
            .close_with_payload(payload)
            .unwrap_or_else(|reason| {
                self.log_misuse(&reason);
                false
            })
    }

    /// Says what a plugin does wrong, once for each connection and kind of mistake.
    pub fn log_misuse(&self, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        {
            let mut misuses = lock(&self.misuses);
            if misuses.contains(&reason) || misuses.len() == MOST_MISUSES {
                return;
            }
            misuses.push(reason.clone());
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
