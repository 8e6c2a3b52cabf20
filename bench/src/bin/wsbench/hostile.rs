//! Clients that mean no good.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    str::FromStr,
    time::{Duration, Instant},
};

use bench::{Epoll, deflate::deflate};
use flate2::{Compress, Compression};

use crate::{
    options::Options,
    websocket::{self, BINARY, FIN, PING, RSV1, frame},
};

/// A message that is much longer than what the sockets' buffers hold.
const LONG: usize = 64 << 10;
/// What a bomb becomes when it is inflated, and more than any default allows.
const BLAST: usize = 1 << 30;
/// How much is sent on one connection before the next has its turn.
const BURST: usize = 64 << 10;

/// What such a client does, over and over.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Announces a message of 2^62 bytes, and sends the first.
    Announce,
    /// A message that never ends, in fragments of one byte.
    Fragments,
    /// Pings, one after the other.
    Pings,
    /// Messages whose echoes it does not read.
    Unread,
    /// Half of a request.
    Handshake,
    /// Opens a WebSocket and is gone.
    Vanish,
    /// A MiB that is a GiB when it is inflated.
    Bomb,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "announce" => Self::Announce,
            "fragments" => Self::Fragments,
            "pings" => Self::Pings,
            "unread" => Self::Unread,
            "handshake" => Self::Handshake,
            "vanish" => Self::Vanish,
            "bomb" => Self::Bomb,
            _ => return Err(format!("{name}: no such kind of client")),
        })
    }
}

/// Prints how many are there, and plagues the server until the end of stdin, or until it is late; then prints
/// how often they did what they do: writes of a burst, or connections made anew.
pub fn run(options: &Options) -> io::Result<()> {
    bench::raise_file_limit()?;
    let kind = options
        .kind
        .ok_or_else(|| websocket::failure("--kind is missing"))?;
    let start = Instant::now();
    let mut clients = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        clients.push(Client::open(options, kind, number)?);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("opened={} seconds={seconds:.4}", clients.len());

    let bytes = kind.bytes()?;
    let mut epoll = Epoll::new()?;
    epoll.add_input(&io::stdin(), 0)?;
    let mut ended = Vec::new();
    let mut acts = 0;
    while ended.is_empty() && start.elapsed() < options.duration {
        let before = acts;
        for (number, client) in clients.iter_mut().enumerate() {
            match client.act(kind, &bytes) {
                Ok(true) => acts += 1,
                Ok(false) => {}
                // The server has had enough of it.
                Err(_) => {
                    *client = Client::open(options, kind, number)?;
                    acts += 1;
                }
            }
        }
        let pause = Duration::from_millis(u64::from(acts == before));
        epoll.wait(Some(pause), &mut ended)?;
    }
    println!("acts={acts}");
    Ok(())
}

impl Kind {
    /// What is sent over and over.
    fn bytes(self) -> io::Result<Vec<u8>> {
        const LAST: [u8; 4] = [0; 4];
        Ok(match self {
            Self::Announce | Self::Handshake | Self::Vanish => Vec::new(),
            Self::Fragments => {
                let fragment = [&[0x00, 0x80 | 1], &LAST[..], b"x"].concat();
                fragment.repeat(BURST / fragment.len())
            }
            Self::Pings => {
                let ping = frame(PING, b"?");
                ping.repeat(BURST / ping.len())
            }
            Self::Unread => frame(BINARY, &vec![b'x'; LONG]),
            Self::Bomb => bomb()?,
        })
    }

    /// What is sent once, behind the handshake.
    fn beginning(self) -> Vec<u8> {
        match self {
            Self::Announce => {
                let length = (1u64 << 62).to_be_bytes();
                [&[FIN | BINARY, 0x80 | 127], &length[..], &[0; 4], b"x"].concat()
            }
            Self::Fragments => vec![BINARY, 0x80, 0, 0, 0, 0],
            _ => Vec::new(),
        }
    }
}

fn bomb() -> io::Result<Vec<u8>> {
    let mut compress = Compress::new_with_window_bits(Compression::new(6), false, 15);
    let mut form = Vec::new();
    let zeros = vec![0; 1 << 20];
    for _ in 0..BLAST / zeros.len() {
        // The parts of one message, as RFC 7692 §7.2.3.4 has it, but for the last: each with its tail.
        deflate(&mut compress, &zeros, &mut form)?;
        form.extend([0x00, 0x00, 0xFF, 0xFF]);
    }
    form.truncate(form.len() - 4);
    Ok(frame(BINARY | RSV1, &form))
}

struct Client {
    socket: TcpStream,
    /// How much of the bytes under way is out.
    sent: usize,
}

impl Client {
    fn open(options: &Options, kind: Kind, number: usize) -> io::Result<Self> {
        let mut socket = websocket::connect(options.port, number)?;
        if kind == Kind::Handshake {
            socket.write_all(b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: web")?;
        } else {
            websocket::send_request(&mut socket, options)?;
            websocket::receive_response(&mut socket, options)?;
            socket.write_all(&kind.beginning())?;
        }
        socket.set_nonblocking(true)?;
        Ok(Self { socket, sent: 0 })
    }

    /// Whether anything could be done; an error when the connection has ended, or shall.
    fn act(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<bool> {
        if kind == Kind::Vanish {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        // All but pings are answered by a Close frame.
        if kind != Kind::Unread && self.discard_input()? && kind != Kind::Pings {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if bytes.is_empty() {
            return Ok(false);
        }
        match self.socket.write(&bytes[self.sent..]) {
            Ok(written) => {
                self.sent = (self.sent + written) % bytes.len();
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there was any.
    fn discard_input(&mut self) -> io::Result<bool> {
        let mut buffer = [0; BURST];
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_small() {
        assert!(bomb().unwrap().len() < 2 << 20);
    }
}
