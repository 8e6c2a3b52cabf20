//! Plays a script against the plugin that is being served.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{CloseCode, CloseFrame, MessageKind, ReservedCloseCodes};

use crate::client::{Client, Received};
use crate::script::{self, Script, Step};

/// How long what is expected may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Plays a script. The error is a sentence that begins with the line.
pub fn play(script: &Script, address: SocketAddr) -> Result<(), String> {
    let mut player = Player {
        address,
        clients: BTreeMap::new(),
        headers: BTreeMap::new(),
    };
    for line in &script.lines {
        player.take(&line.client, &line.step).map_err(|failure| {
            let who = match line.client.as_str() {
                "" => String::new(),
                client => format!("{client}: "),
            };
            format!("{}:{}: {who}{failure}", script.name, line.number)
        })?;
    }
    Ok(())
}

struct Player {
    address: SocketAddr,
    /// By their names in the script.
    clients: BTreeMap<String, Client>,
    /// For the next handshake of each.
    headers: BTreeMap<String, Vec<(String, String)>>,
}

impl Player {
    fn take(&mut self, name: &str, step: &Step) -> Result<(), String> {
        match step {
            Step::Header(field, value) => {
                let headers = self.headers.entry(name.to_owned()).or_default();
                headers.push((field.clone(), value.clone()));
                Ok(())
            }
            Step::Connect(path) => self.shake(name, path, 101),
            Step::Refused(status, path) => self.shake(name, path, *status),
            Step::Drop => {
                self.client(name)?;
                self.clients.remove(name);
                Ok(())
            }
            Step::Wait(time) => {
                thread::sleep(*time);
                Ok(())
            }
            step => take(self.client(name)?, step),
        }
    }

    fn shake(&mut self, name: &str, path: &str, status: u16) -> Result<(), String> {
        let headers = self.headers.remove(name).unwrap_or_default();
        let client = Client::connect(self.address, path, &headers)?;
        let got = client.response.status;
        self.clients.insert(name.to_owned(), client);
        match got == status {
            true => Ok(()),
            false => Err(format!("the handshake got {got}, not {status}")),
        }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        let client = self.clients.get_mut(name);
        client.ok_or_else(|| "is not connected".to_owned())
    }
}

/// One step of a client that is connected.
fn take(client: &mut Client, step: &Step) -> Result<(), String> {
    match step {
        Step::Response(name, value) => {
            let headers = &client.response.headers;
            let found: Vec<_> = headers
                .iter()
                .filter(|(field, _)| field.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
                .collect();
            match found.contains(&value.as_str()) {
                true => Ok(()),
                false => Err(format!("{name} is {found:?}, not {value:?}")),
            }
        }
        Step::SendText(text) => {
            client.send(|sender, out| sender.send_message(MessageKind::Text, text, out))
        }
        Step::SendBinary(bytes) => {
            client.send(|sender, out| sender.send_message(MessageKind::Binary, bytes, out))
        }
        Step::SendPart(text, is_last) => {
            client.send(|sender, out| sender.send_fragment(MessageKind::Text, text, *is_last, out))
        }
        Step::SendPing(payload) => client.send(|sender, out| sender.send_ping(payload, out)),
        Step::Text(text) => expect(client, &Received::Text(text.clone())),
        Step::Like(pattern) => like(client, pattern),
        Step::Binary(bytes) => expect(client, &Received::Binary(bytes.clone())),
        Step::Ping(payload) => expect(client, &Received::Ping(payload.clone())),
        Step::Pong(payload) => expect(client, &Received::Pong(payload.clone())),
        Step::Nothing(time) => match client.receive(Instant::now() + *time)? {
            None => Ok(()),
            Some(received) => Err(format!("expected nothing, got {received}")),
        },
        Step::Close(code, reason) => close(client, *code, reason),
        Step::Closed(code, reason) => closed(client, *code, reason.as_deref()),
        Step::Header(..) | Step::Connect(_) | Step::Refused(..) | Step::Drop | Step::Wait(_) => {
            unreachable!("Player::take has these")
        }
    }
}

fn expect(client: &mut Client, expected: &Received) -> Result<(), String> {
    match client.receive(Instant::now() + PATIENCE)? {
        Some(received) if received == *expected => Ok(()),
        Some(received) => Err(format!("expected {expected}, got {received}")),
        None => Err(format!("expected {expected}, got nothing in 5 s")),
    }
}

fn like(client: &mut Client, pattern: &[u8]) -> Result<(), String> {
    let expected = format!("a text like {:?}", String::from_utf8_lossy(pattern));
    match client.receive(Instant::now() + PATIENCE)? {
        Some(Received::Text(text)) if script::is_like(&text, pattern) => Ok(()),
        Some(received) => Err(format!("expected {expected}, got {received}")),
        None => Err(format!("expected {expected}, got nothing in 5 s")),
    }
}

/// Begins the closing handshake, and reads to its end what else was on its way.
fn close(client: &mut Client, code: Option<u16>, reason: &str) -> Result<(), String> {
    let frame = code.map(|code| {
        let code = CloseCode::from_wire(code, ReservedCloseCodes::Allow);
        code.map(|code| CloseFrame::new(code, reason))
    });
    let frame = match frame {
        Some(None) => return Err("this close code must not be sent".to_owned()),
        Some(Some(frame)) => Some(frame),
        None => None,
    };
    client.send_close(frame.as_ref())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.receive(deadline)? {
            Some(Received::Close(_)) => return end(client),
            Some(Received::End | Received::Broken(_)) => {
                return Err("the connection ended without an answer to the Close".to_owned());
            }
            Some(_) => {}
            None => return Err("no answer to the Close in 5 s".to_owned()),
        }
    }
}

fn closed(client: &mut Client, code: Option<u16>, reason: Option<&str>) -> Result<(), String> {
    let got = match client.receive(Instant::now() + PATIENCE)? {
        Some(Received::Close(got)) => got,
        Some(received) => return Err(format!("expected a Close, got {received}")),
        None => return Err("expected a Close, got nothing in 5 s".to_owned()),
    };
    let (got_code, got_reason) = match &got {
        Some((code, reason)) => (Some(*code), reason.as_str()),
        None => (None, ""),
    };
    if got_code != code || reason.is_some_and(|reason| reason != got_reason) {
        let expected =
            Received::Close(code.map(|code| (code, reason.unwrap_or_default().to_owned())));
        return Err(format!("expected {expected}, got {}", Received::Close(got)));
    }
    client.send_close(None)?;
    end(client)
}

fn end(client: &mut Client) -> Result<(), String> {
    match client.receive(Instant::now() + PATIENCE)? {
        Some(Received::End) => Ok(()),
        Some(received) => Err(format!("after the Close came {received}")),
        None => Err("the server did not end the connection in 5 s".to_owned()),
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Received::Text(text) => write!(f, "text {:?}", String::from_utf8_lossy(text)),
            Received::Binary(bytes) => {
                f.write_str("binary")?;
                bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
            Received::Ping(payload) => write!(f, "ping \"{}\"", payload.escape_ascii()),
            Received::Pong(payload) => write!(f, "pong \"{}\"", payload.escape_ascii()),
            Received::Close(None) => f.write_str("a Close without a code"),
            Received::Close(Some((code, reason))) => write!(f, "a Close with {code} {reason:?}"),
            Received::End => f.write_str("the end of the connection"),
            Received::Broken(error) => write!(f, "what is no WebSocket: {error}"),
        }
    }
}
