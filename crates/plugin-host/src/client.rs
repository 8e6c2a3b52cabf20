//! A client of a script.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use websocket_proto::{
    CloseFrame, Event, LocalError, MessageKind, ReceivingConfig, ReceivingHalf, ReservedCloseCodes,
    Role, SendingHalf,
};

/// The largest message that a script can expect, in bytes.
const MAX_MESSAGE: u64 = 64 << 20;
/// How long the answer to a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that has an answer to its handshake.
pub struct Client {
    socket: TcpStream,
    sender: SendingHalf,
    receiver: ReceivingHalf,
    received: VecDeque<Received>,
    pub response: Answer,
}

/// The answer to a handshake.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

/// What has come.
#[derive(Debug, PartialEq)]
pub enum Received {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// The connection's end.
    End,
    /// The server broke the protocol.
    Broken(String),
}

impl Client {
    /// Connects, and sends a handshake with these fields.
    pub fn connect(
        address: SocketAddr,
        path: &str,
        headers: &[(String, String)],
    ) -> Result<Client, String> {
        let socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
        // Frames are small, and somebody waits for each of them.
        let _ = socket.set_nodelay(true);
        let mut client = Client {
            socket,
            sender: SendingHalf::new(Role::Client),
            receiver: ReceivingHalf::new(ReceivingConfig {
                role: Role::Client,
                max_message_size: MAX_MESSAGE,
                reserved_close_codes: ReservedCloseCodes::Allow,
            }),
            received: VecDeque::new(),
            response: Answer {
                status: 0,
                headers: Vec::new(),
            },
        };
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        client.write(request.as_bytes())?;
        client.read_answer()?;
        Ok(client)
    }

    fn read_answer(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut head = Vec::new();
        loop {
            let piece = self.read_piece(deadline)?;
            let piece = piece.ok_or("no answer to the handshake in 10 s")?;
            if piece.is_empty() {
                return Err("the connection ended without an answer to the handshake".to_owned());
            }
            head.extend_from_slice(&piece);
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut parsed = httparse::Response::new(&mut fields);
            let status = parsed.parse(&head).map_err(|error| error.to_string())?;
            let httparse::Status::Complete(length) = status else {
                continue;
            };
            let headers = parsed.headers.iter().map(|field| {
                let value = String::from_utf8_lossy(field.value).into_owned();
                (field.name.to_owned(), value)
            });
            self.response = Answer {
                status: parsed.code.unwrap_or_default(),
                headers: headers.collect(),
            };
            if self.response.status == 101 {
                let mut early = head[length..].to_vec();
                self.take(&mut early);
            }
            return Ok(());
        }
    }

    /// What comes next; `None` when nothing has come by `deadline`.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<Received>, String> {
        loop {
            if let Some(received) = self.received.pop_front() {
                return Ok(Some(received));
            }
            match self.read_piece(deadline)? {
                None => return Ok(None),
                Some(piece) if piece.is_empty() => return Ok(Some(Received::End)),
                Some(mut piece) => self.take(&mut piece),
            }
        }
    }

    fn take(&mut self, mut input: &mut [u8]) {
        while !input.is_empty() {
            let (consumed, event) = self.receiver.receive(input);
            self.received.extend(event.map(|event| match event {
                Event::Message { kind, payload } => match kind {
                    MessageKind::Text => Received::Text(payload.to_vec()),
                    MessageKind::Binary => Received::Binary(payload.to_vec()),
                },
                Event::Ping(payload) => Received::Ping(payload.to_vec()),
                Event::Pong(payload) => Received::Pong(payload.to_vec()),
                Event::Close(frame) => Received::Close(
                    frame.map(|frame| (frame.code.as_u16(), frame.reason.to_string())),
                ),
                Event::Failed(error) => Received::Broken(error.to_string()),
            }));
            input = &mut input[consumed..];
        }
    }

    /// Some input; empty at its end; `None` when there was none by `deadline`.
    fn read_piece(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = self.socket.set_read_timeout(Some(left));
        timeout.map_err(|error| error.to_string())?;
        let mut piece = vec![0; 64 * 1024];
        let read = loop {
            match self.socket.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(count) => {
                piece.truncate(count);
                Ok(Some(piece))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(None),
                ErrorKind::ConnectionReset => Ok(Some(Vec::new())),
                _ => Err(error.to_string()),
            },
        }
    }

    /// Sends what `make` makes.
    pub fn send(
        &mut self,
        make: impl FnOnce(&mut SendingHalf, &mut Vec<u8>) -> Result<(), LocalError>,
    ) -> Result<(), String> {
        let mut frame = Vec::new();
        self.sender.set_mask_key(fastrand::u32(..).to_be_bytes());
        make(&mut self.sender, &mut frame).map_err(|error| error.to_string())?;
        self.write(&frame)
    }

    /// Sends a Close, unless one was sent.
    pub fn send_close(&mut self, frame: Option<&CloseFrame>) -> Result<(), String> {
        if self.sender.is_close_sent() {
            return Ok(());
        }
        self.send(|sender, out| sender.send_close(frame, out))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.socket.write_all(bytes);
        written.map_err(|error| error.to_string())
    }
}
