//! Answers a client: an HTTP error, or an upgrade (RFC 6455 §4.2).

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use loaded_plugin::{PluginPrivate, Verdict};
use websocket_proto::handshake::SUPPORTED_VERSIONS;

use crate::connection::{Connection, Response};
use crate::driver::{Driver, LINGER_TIMEOUT};
use crate::host::Host;
use crate::request::Request;
use crate::transport::Transport;
use server_functions::Level;

/// Serves a client that has connected, up to its WebSocket; the reactor has it then.
pub fn serve(host: &Arc<Host>, mut socket: TcpStream) {
    let number = host.next_number();
    let served = Request::read(&mut socket, &host.settings.variables).and_then(|request| {
        let Some(request) = request else {
            let response = Response::default();
            return refuse(socket, 400, &response, "this is no HTTP request");
        };
        upgrade(host, number, socket, request)
    });
    match served {
        Ok(Answer::Opened) => {}
        Ok(Answer::Refused(socket)) => linger(&socket),
        Err(error) => {
            let line = format_args!("gone before the WebSocket was open: {error}");
            host.terminal.tell(number, Level::Info, &line);
        }
    }
}

/// What a client has got.
enum Answer {
    /// A WebSocket, which the reactor has.
    Opened,
    /// An HTTP error, which it may not have read yet.
    Refused(TcpStream),
}

fn upgrade(
    host: &Arc<Host>,
    number: u64,
    mut socket: TcpStream,
    mut request: Request,
) -> io::Result<Answer> {
    host.terminal.tell(
        number,
        Level::Info,
        &format_args!("asks for {}", request.target()),
    );
    // The tags are those of httpd's log (docs/operations.md).
    let refuse = |socket, tag: &str, status, response: &Response, reason: &str| {
        let line = format_args!("{tag}: refused with {status}: {reason}");
        let level = match tag {
            "WS0206" => Level::Error,
            _ => Level::Info,
        };
        host.terminal.tell(number, level, &line);
        refuse(socket, status, response, reason)
    };
    let plain = Response::default();
    if !request.as_handshake().is_upgrade() {
        let response = plain.with(c"Upgrade", "websocket");
        return refuse(
            socket,
            "WS0201",
            426,
            &response,
            "this address is a WebSocket",
        );
    }
    let accepted = request.as_handshake().accept().map(|accepted| {
        let subprotocols = accepted.subprotocols.iter();
        // A subprotocol is a token: it has no NUL.
        let subprotocols = subprotocols.filter_map(|&name| CString::new(name).ok());
        (accepted.version, accepted.accept, subprotocols.collect())
    });
    let (version, accept, subprotocols) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            // RFC 6455 §4.4.
            let response = match error.is_unsupported_version() {
                true => plain.with(c"Sec-WebSocket-Version", SUPPORTED_VERSIONS),
                false => plain,
            };
            return refuse(socket, "WS0202", 400, &response, &error.to_string());
        }
    };
    if request.has_body() {
        return refuse(socket, "WS0202", 400, &plain, "the request has a body");
    }
    let Some(generation) = host.current() else {
        return refuse(socket, "WS0208", 503, &plain, "plugin-host ends");
    };
    let early = std::mem::take(&mut request.early);
    let connection = Connection::new(host, &generation, number, request, version, subprotocols);
    generation.add(&connection);
    match ask_plugin(&connection) {
        Ok(private) => connection.accept(private),
        Err((tag, status)) => {
            connection.session().stop_sending();
            generation.remove(number);
            let mut response = connection.response();
            if tag == "WS0206" {
                // As under httpd: whatever the plugin has said to refuse with.
                response.body = None;
            }
            let reason = match tag {
                "WS0206" => "the plugin failed",
                _ => "the plugin refused it",
            };
            return refuse(socket, tag, status, &response, reason);
        }
    }
    let opened = switch_protocols(&mut socket, &accept, &connection.response())
        .and_then(|()| socket.set_nonblocking(true));
    if let Err(error) = opened {
        connection.session().fail_to_open();
        generation.remove(number);
        return Err(error);
    }
    host.terminal.tell(number, Level::Info, &"WS0301: open");
    let transport = Transport::new(socket, early, number, Arc::clone(&host.terminal));
    Driver::start(host, &connection, transport);
    Ok(Answer::Opened)
}

/// Asks the plugin; the error is the tag and the status of its refusal.
fn ask_plugin(connection: &Connection) -> Result<PluginPrivate, (&'static str, u16)> {
    let verdict = connection.session().environment().on_connect();
    let chosen = connection.response().status;
    match (verdict, chosen) {
        (Verdict::Accepted(private), None) => Ok(private),
        (Verdict::Accepted(private), Some(status)) => {
            // What it keeps for the connection must be given back all the same.
            connection.log_misuse(&"reject, and then a connection is accepted");
            connection.session().environment().give_back(private);
            Err(("WS0205", status))
        }
        (Verdict::Refused, chosen) => Err(("WS0205", chosen.unwrap_or(403))),
        (Verdict::Failed, _) => Err(("WS0206", 500)),
    }
}

/// RFC 6455 §4.2.2, item 5.
fn switch_protocols(socket: &mut TcpStream, accept: &str, response: &Response) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    )
    .into_bytes();
    if let Some(subprotocol) = &response.subprotocol {
        push_field(&mut head, b"Sec-WebSocket-Protocol", subprotocol.to_bytes());
    }
    push_fields(&mut head, response);
    head.extend_from_slice(b"\r\n");
    socket.write_all(&head)
}

fn refuse(
    mut socket: TcpStream,
    status: u16,
    response: &Response,
    reason: &str,
) -> io::Result<Answer> {
    let (kind, body) = match &response.body {
        Some((kind, body)) => (kind.to_string_lossy(), body.clone()),
        None => {
            let body = format!("{status} {}: {reason}\n", phrase(status));
            ("text/plain; charset=utf-8".into(), body.into_bytes())
        }
    };
    let length = body.len();
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n",
        phrase(status)
    )
    .into_bytes();
    push_fields(&mut head, response);
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&body);
    socket.write_all(&head)?;
    Ok(Answer::Refused(socket))
}

/// Throws away what the client still sends, so that no reset destroys the answer that it has not read yet. When nothing
/// of the plugin's is held any more: a client that does not close must not keep the plugin from its end.
fn linger(mut socket: &TcpStream) {
    let until = Instant::now() + LINGER_TIMEOUT;
    // It may have been shut already.
    let _ = socket.shutdown(Shutdown::Write);
    let mut rest = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match socket.read(&mut rest) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn push_fields(head: &mut Vec<u8>, response: &Response) {
    for (name, value) in &response.headers {
        push_field(head, name.to_bytes(), value.to_bytes());
    }
}

fn push_field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Words for people; clients go by the number.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ if status < 400 => "Redirection",
        _ if status < 500 => "Client Error",
        _ => "Server Error",
    }
}

impl Response {
    fn with(mut self, name: &std::ffi::CStr, value: &str) -> Response {
        let value = CString::new(value).unwrap_or_default();
        self.headers.push((name.to_owned(), value));
        self
    }
}
