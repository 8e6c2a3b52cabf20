//! The server functions that plugins call (`include/websocket_plugin.h`): checked at the entry, references and
//! slices afterwards.

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_uint};
use std::ptr;
use std::time::{Duration, Instant};

use httpd::guard::guard;
use httpd::log::Subject;
use httpd::request::Request;
use httpd::server::Server;
use session::{Outgoing, Refused};
use websocket_plugin::abi::{self, WebSocketServer, WebSocketState};
use websocket_proto::handshake::is_header_field;
use websocket_proto::{Compression, MessageKind};

use crate::configuration::options::Options;
use crate::log::{self, Level, Tag};
use crate::websocket::connection::Connection;

/// Milliseconds that `set_timer` takes: a day.
const LONGEST_TIMER: c_uint = 24 * 60 * 60 * 1000;
const BAD_BUFFER: &str = "a buffer is NULL, or longer than memory";

/// The table that a plugin gets for its connection.
pub struct ServerTable(WebSocketServer);

// SAFETY: nobody writes the table once it is made, and its functions may be called on any thread; the pointer in it
// is to a connection, which is `Sync`.
unsafe impl Send for ServerTable {}
// SAFETY: as above.
unsafe impl Sync for ServerTable {}

impl ServerTable {
    /// The table of `connection`, which lives as long as the table is used.
    pub fn new(connection: *const Connection) -> Self {
        ServerTable(table(connection))
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        &raw const self.0
    }
}

fn table(connection: *const Connection) -> WebSocketServer {
    WebSocketServer {
        size: size_of::<WebSocketServer>() as c_uint,
        version: abi::WEBSOCKET_SERVER_VERSION_1,
        state: connection.cast_mut().cast::<WebSocketState>(),
        request: Some(request),
        header_get: Some(header_get),
        header_set: Some(header_set),
        protocol_count: Some(protocol_count),
        protocol_index: Some(protocol_index),
        protocol_set: Some(protocol_set),
        send: Some(send),
        close: Some(close),
        close_with: Some(close_with),
        try_send: Some(try_send),
        send_fragment: Some(send_fragment),
        buffered_amount: Some(buffered_amount),
        option_get: Some(option_get),
        variable_get: Some(variable_get),
        reject: Some(reject),
        set_timer: Some(set_timer),
        log: Some(log),
        reject_with: Some(reject_with),
    }
}

/// The table that a plugin gets in `child_start`. It stands for the process: what concerns a connection refuses.
#[repr(C)]
pub struct ProcessTable {
    /// First, so that its address is the whole's.
    table: WebSocketServer,
    options: Options,
    /// The options of the plugin's that stand in sections, where it does not see them here: name and place.
    elsewhere: Vec<(CString, String)>,
}

// SAFETY: as for `ServerTable`; its state is NULL.
unsafe impl Send for ProcessTable {}
// SAFETY: as above.
unsafe impl Sync for ProcessTable {}

impl ProcessTable {
    /// The table of a process, for a plugin that has these options there. `elsewhere`: those that it has in sections
    /// only, with their places.
    pub fn new(options: Options, elsewhere: Vec<(CString, String)>) -> Self {
        ProcessTable {
            table: WebSocketServer {
                option_get: Some(process_option_get),
                log: Some(process_log),
                ..table(ptr::null())
            },
            options,
            elsewhere,
        }
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }

    /// Says that an option which the plugin asks for is set, but where a process does not see it.
    fn warn_of(&self, wanted: &CStr) {
        let mut elsewhere = self.elsewhere.iter();
        let Some((name, place)) = elsewhere.find(|(name, _)| name.as_c_str() == wanted) else {
            return;
        };
        let subject = Server::main().map_or(Subject::Process, Subject::Server);
        log::log(&subject, Level::Warn, Tag::OptionUnread, || {
            let name = name.to_string_lossy();
            format!(
                "{place}: the plugin asks for the option {name} for the whole process, where it is not set; \
                 WebSocketProcessOption sets it there"
            )
        });
    }
}

/// Runs `body` with the connection that a plugin names; `fallback` when it names none, or when `body` panics.
///
/// # Safety
/// `server` is NULL or a table of [`table`] whose connection lives.
unsafe fn with<T: Copy>(
    server: *const WebSocketServer,
    fallback: T,
    body: impl FnOnce(&Connection) -> T,
) -> T {
    // SAFETY: the caller's promise.
    let connection = unsafe {
        let state = server
            .as_ref()
            .map_or(ptr::null_mut(), |server| server.state);
        state.cast::<Connection>().as_ref()
    };
    connection.map_or(fallback, |connection| guard(fallback, || body(connection)))
}

/// The connection's request, for as long as a server function runs.
///
/// # Safety
/// Called for a plugin, which may use a connection's request from a callback only.
unsafe fn request_of(connection: &Connection) -> Request<'_> {
    // SAFETY: the request lives as long as its connection, and the plugin's callback is what uses it now.
    unsafe { connection.request().get() }
}

/// The name that a plugin asks for; without one there is nothing to answer.
///
/// # Safety
/// As [`text`].
unsafe fn name<'t>(connection: &Connection, name: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    let name = unsafe { text(name) };
    if name.is_none() {
        connection.log_misuse(&"a name is NULL");
    }
    name
}

/// # Safety
/// `text` is NULL or a terminated string that lives for `'t`.
unsafe fn text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// # Safety
/// `buffer` has `size` bytes that live for `'b`, or is NULL.
unsafe fn bytes<'b>(buffer: *const c_uchar, size: usize) -> Option<&'b [u8]> {
    match (buffer.is_null(), size) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        (false, size) if isize::try_from(size).is_err() => None,
        // SAFETY: the caller's promise.
        (false, size) => Some(unsafe { std::slice::from_raw_parts(buffer, size) }),
    }
}

unsafe extern "C" fn request(server: *const WebSocketServer) -> *mut abi::RequestRec {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null_mut(), |connection| {
            connection.request().as_raw().cast()
        })
    }
}

unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value =
                name(connection, key).and_then(|key| request_of(connection).headers_in().get(key));
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

unsafe extern "C" fn header_set(
    server: *const WebSocketServer,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, (), |connection| match (text(key), text(value)) {
            _ if connection.is_accepted() => {
                connection.log_misuse(&"header_set after on_connect");
            }
            (Some(key), Some(value)) if !is_header_field(key.to_bytes(), value.to_bytes()) => {
                connection.log_misuse(&"header_set with what cannot stand in a header field");
            }
            (Some(key), Some(_)) if is_httpds(key.to_bytes()) => {
                let key = key.to_string_lossy();
                connection.log_misuse(&format_args!(
                    "header_set of {key}, which is the server's to set"
                ));
            }
            (Some(key), Some(value)) => {
                request_of(connection).headers_out().set(key, value);
                connection.header_set(key);
            }
            _ => connection.log_misuse(&"header_set with NULL"),
        });
    }
}

/// Whether a header field is the server's to set: what says where a response ends and what comes after it, and what the
/// opening handshake agrees on (RFC 6455 §4.2.2).
fn is_httpds(key: &[u8]) -> bool {
    const FRAMING: [&[u8]; 5] = [
        b"Connection",
        b"Content-Length",
        b"Trailer",
        b"Transfer-Encoding",
        b"Upgrade",
    ];
    const HANDSHAKE: &[u8] = b"Sec-WebSocket-";
    FRAMING.iter().any(|field| key.eq_ignore_ascii_case(field))
        || key
            .get(..HANDSHAKE.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(HANDSHAKE))
}

unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection| connection.subprotocols().len()) }
}

unsafe extern "C" fn protocol_index(server: *const WebSocketServer, index: usize) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null(), |connection| {
            connection
                .subprotocols()
                .get(index)
                .map_or(ptr::null(), |name| name.as_ptr())
        })
    }
}

unsafe extern "C" fn protocol_set(server: *const WebSocketServer, protocol: *const c_char) {
    const FIELD: &CStr = c"Sec-WebSocket-Protocol";
    // SAFETY: as in `header_set`.
    unsafe {
        with(server, (), |connection| match text(protocol) {
            _ if connection.is_accepted() => {
                connection.log_misuse(&"protocol_set after on_connect");
            }
            Some(protocol)
                if !connection
                    .subprotocols()
                    .iter()
                    .any(|offered| **offered == *protocol) =>
            {
                connection
                    .log_misuse(&"protocol_set with a protocol that the client does not offer");
            }
            Some(protocol) => request_of(connection).headers_out().set(FIELD, protocol),
            None => connection.log_misuse(&"protocol_set with NULL"),
        });
    }
}

unsafe extern "C" fn send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> usize {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return 0;
            };
            let is_accepted = match outgoing(message_type, payload) {
                Some(outgoing) => connection.send(outgoing).is_ok(),
                // MESSAGE_TYPE_CLOSE, and everything else, as in the C module.
                None => connection.close_with_payload(payload),
            };
            if is_accepted { payload.len() } else { 0 }
        })
    }
}

/// What a message type and a payload are together; `None` for a Close.
fn outgoing(message_type: c_int, payload: &[u8]) -> Option<Outgoing<'_>> {
    let compression = match message_type & abi::MESSAGE_TYPE_UNCOMPRESSED {
        0 => Compression::Default,
        _ => Compression::Skip,
    };
    Some(match message_type & !abi::MESSAGE_TYPE_UNCOMPRESSED {
        abi::MESSAGE_TYPE_TEXT => Outgoing::Message(MessageKind::Text, compression, payload),
        abi::MESSAGE_TYPE_BINARY => Outgoing::Message(MessageKind::Binary, compression, payload),
        abi::MESSAGE_TYPE_PING => Outgoing::Ping(payload),
        abi::MESSAGE_TYPE_PONG => Outgoing::Pong(payload),
        _ => return None,
    })
}

unsafe extern "C" fn close(server: *const WebSocketServer) {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, (), |connection| {
            connection.close_with_payload(&[]);
        });
    }
}

unsafe extern "C" fn close_with(
    server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a reason of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let (Ok(code), Some(reason)) = (u16::try_from(code), bytes(reason.cast(), reason_size))
            else {
                connection.log_misuse(&"close_with has a bad code or reason");
                return 0;
            };
            c_int::from(connection.close_with_payload(&[&code.to_be_bytes(), reason].concat()))
        })
    }
}

unsafe extern "C" fn try_send(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_SEND_CLOSED, |connection| {
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return abi::WEBSOCKET_SEND_INVALID;
            };
            match outgoing(message_type, payload) {
                Some(outgoing) => outcome(connection.try_send(outgoing)),
                None if connection.session().has_ended() => abi::WEBSOCKET_SEND_CLOSED,
                None if connection.close_with_payload(payload) => abi::WEBSOCKET_SEND_ACCEPTED,
                None => abi::WEBSOCKET_SEND_INVALID,
            }
        })
    }
}

unsafe extern "C" fn send_fragment(
    server: *const WebSocketServer,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    is_final: c_int,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a buffer of that size or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_SEND_CLOSED, |connection| {
            let kind = match message_type & !abi::MESSAGE_TYPE_UNCOMPRESSED {
                abi::MESSAGE_TYPE_TEXT => MessageKind::Text,
                abi::MESSAGE_TYPE_BINARY => MessageKind::Binary,
                _ => {
                    connection.log_misuse(&"a part of a message is neither text nor binary");
                    return abi::WEBSOCKET_SEND_INVALID;
                }
            };
            let Some(payload) = bytes(buffer, buffer_size) else {
                connection.log_misuse(&BAD_BUFFER);
                return abi::WEBSOCKET_SEND_INVALID;
            };
            outcome(connection.send(Outgoing::Fragment {
                kind,
                payload,
                is_final: is_final != 0,
            }))
        })
    }
}

/// The ABI's words for what became of a message.
fn outcome(sent: Result<(), Refused>) -> c_int {
    match sent {
        Ok(()) => abi::WEBSOCKET_SEND_ACCEPTED,
        Err(Refused::Full) => abi::WEBSOCKET_SEND_WOULD_BLOCK,
        Err(Refused::Ended) => abi::WEBSOCKET_SEND_CLOSED,
        Err(Refused::Invalid(_)) => abi::WEBSOCKET_SEND_INVALID,
    }
}

unsafe extern "C" fn buffered_amount(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection| connection.session().buffered()) }
}

unsafe extern "C" fn option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value =
                self::name(connection, name).and_then(|name| connection.options().get(name));
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

unsafe extern "C" fn variable_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as in `header_get`.
    unsafe {
        with(server, ptr::null(), |connection| {
            let value = self::name(connection, name).and_then(|name| {
                // Some are TLS's, whose state another thread's `send` changes; some are made in the connection's pool.
                let look_up = || request_of(connection).variable(name);
                connection
                    .session()
                    .with_transport(|_| look_up())
                    .unwrap_or_else(look_up)
            });
            value.map_or(ptr::null(), CStr::as_ptr)
        })
    }
}

unsafe extern "C" fn reject(server: *const WebSocketServer, http_status: c_uint) -> c_int {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, 0, |connection| {
            c_int::from(connection.reject(http_status, None))
        })
    }
}

unsafe extern "C" fn reject_with(
    server: *const WebSocketServer,
    http_status: c_uint,
    content_type: *const c_char,
    body: *const c_char,
    body_size: usize,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, a terminated string or NULL, and a body of that size or NULL.
    unsafe {
        with(server, 0, |connection| {
            let (Some(kind), Some(body)) = (text(content_type), bytes(body.cast(), body_size))
            else {
                connection.log_misuse(&"reject_with has no content type, or a bad body");
                return 0;
            };
            if kind.is_empty() || kind.to_bytes().iter().any(u8::is_ascii_control) {
                connection.log_misuse(&"reject_with has a bad content type");
                return 0;
            }
            c_int::from(connection.reject(http_status, Some((kind, body))))
        })
    }
}

unsafe extern "C" fn set_timer(server: *const WebSocketServer, milliseconds: c_uint) -> c_int {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, 0, |connection| {
            if milliseconds > LONGEST_TIMER {
                connection.log_misuse(&"set_timer with more than a day");
                return 0;
            }
            let time = Duration::from_millis(milliseconds.into());
            let time = (!time.is_zero()).then(|| Instant::now() + time);
            c_int::from(connection.set_timer(time))
        })
    }
}

unsafe extern "C" fn log(server: *const WebSocketServer, level: c_int, line: *const c_char) {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, (), |connection| {
            if let Some(line) = text(line) {
                connection.log(level_of(level), Tag::PluginSays, || line_of(line));
            }
        });
    }
}

unsafe extern "C" fn process_option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: this function is in tables of `ProcessTable`s only, and a plugin passes the one that it was given.
    let process = unsafe { server.cast::<ProcessTable>().as_ref() };
    // SAFETY: a plugin passes a terminated string or NULL.
    let name = unsafe { text(name) };
    let Some((process, name)) = process.zip(name) else {
        return ptr::null();
    };
    guard(ptr::null(), || {
        let value = process.options.get(name);
        if value.is_none() {
            process.warn_of(name);
        }
        value.map_or(ptr::null(), CStr::as_ptr)
    })
}

unsafe extern "C" fn process_log(_: *const WebSocketServer, level: c_int, line: *const c_char) {
    // SAFETY: a plugin passes a terminated string or NULL.
    let line = unsafe { text(line) };
    guard((), || {
        let subject = Server::main().map_or(Subject::Process, Subject::Server);
        if let Some(line) = line {
            log::log(&subject, level_of(level), Tag::PluginSays, || line_of(line));
        }
    });
}

fn level_of(level: c_int) -> Level {
    match level {
        ..=abi::WEBSOCKET_LOG_ERROR => Level::Error,
        abi::WEBSOCKET_LOG_WARNING => Level::Warn,
        abi::WEBSOCKET_LOG_NOTICE => Level::Notice,
        abi::WEBSOCKET_LOG_INFO => Level::Info,
        abi::WEBSOCKET_LOG_DEBUG => Level::Debug,
        _ => Level::Trace1,
    }
}

/// A plugin's line; httpd escapes what is not printable, and cuts what is too long.
fn line_of(line: &CStr) -> String {
    line.to_string_lossy().into_owned()
}
