//! The server functions that plugins call (`include/websocket_plugin.h`): checked at the entry, references and slices
//! afterwards. Their answers are those of the module under httpd.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session::{Outgoing, Refused};
use websocket_plugin::abi::{self, WebSocketServer, WebSocketState};
use websocket_proto::{Compression, MessageKind};

use crate::command_line::Options;
use crate::connection::Connection;
use crate::terminal::{Level, Terminal};

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
    options: Arc<Options>,
    terminal: Arc<Terminal>,
}

// SAFETY: as for `ServerTable`; its state is NULL.
unsafe impl Send for ProcessTable {}
// SAFETY: as above.
unsafe impl Sync for ProcessTable {}

impl ProcessTable {
    /// The table of this process.
    pub fn new(options: Arc<Options>, terminal: Arc<Terminal>) -> Self {
        ProcessTable {
            table: WebSocketServer {
                option_get: Some(process_option_get),
                log: Some(process_log),
                ..table(ptr::null())
            },
            options,
            terminal,
        }
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
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
    connection.map_or(fallback, |connection| {
        catch_unwind(AssertUnwindSafe(|| body(connection))).unwrap_or(fallback)
    })
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

fn pointer(value: Option<&CStr>) -> *const c_char {
    value.map_or(ptr::null(), CStr::as_ptr)
}

/// There is no httpd, and no request of its.
unsafe extern "C" fn request(_: *const WebSocketServer) -> *mut abi::RequestRec {
    ptr::null_mut()
}

unsafe extern "C" fn header_get(
    server: *const WebSocketServer,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, ptr::null(), |connection| {
            pointer(name(connection, key).and_then(|key| connection.request().header(key)))
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
            (Some(key), Some(value)) => connection.set_header(key, value),
            _ => connection.log_misuse(&"header_set with NULL"),
        });
    }
}

unsafe extern "C" fn protocol_count(server: *const WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table that it was given.
    unsafe { with(server, 0, |connection| connection.subprotocols().len()) }
}

unsafe extern "C" fn protocol_index(server: *const WebSocketServer, index: usize) -> *const c_char {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, ptr::null(), |connection| {
            let name = connection.subprotocols().get(index);
            pointer(name.map(|name| name.as_c_str()))
        })
    }
}

unsafe extern "C" fn protocol_set(server: *const WebSocketServer, protocol: *const c_char) {
    // SAFETY: as in `header_set`.
    unsafe {
        with(server, (), |connection| match text(protocol) {
            Some(protocol) => connection.choose_subprotocol(protocol),
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
                // MESSAGE_TYPE_CLOSE, and everything else.
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
            pointer(self::name(connection, name).and_then(|name| connection.option(name)))
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
            let name = self::name(connection, name);
            pointer(name.and_then(|name| connection.request().variable(name)))
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
                connection.log(level_of(level), &line.to_string_lossy());
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
    let value = process.zip(name).and_then(|(p, name)| p.options.get(name));
    pointer(value.map(|value| value.as_c_str()))
}

unsafe extern "C" fn process_log(
    server: *const WebSocketServer,
    level: c_int,
    line: *const c_char,
) {
    // SAFETY: as in `process_option_get`.
    let process = unsafe { server.cast::<ProcessTable>().as_ref() };
    // SAFETY: a plugin passes a terminated string or NULL.
    if let (Some(process), Some(line)) = (process, unsafe { text(line) }) {
        let line = line.to_string_lossy();
        // Nothing may unwind into C.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            process.terminal.say(level_of(level), &line);
        }));
    }
}

fn level_of(level: c_int) -> Level {
    match level {
        ..=abi::WEBSOCKET_LOG_ERROR => Level::Error,
        abi::WEBSOCKET_LOG_WARNING => Level::Warning,
        abi::WEBSOCKET_LOG_NOTICE => Level::Notice,
        abi::WEBSOCKET_LOG_INFO => Level::Info,
        abi::WEBSOCKET_LOG_DEBUG => Level::Debug,
        _ => Level::Trace,
    }
}
