//! A bare room, the floor under every server that sends one message to many: `tcp-room PORT`. One thread, one
//! epoll; the frames that came in one read leave in one `send` for each connection, the sender's own included.
//!
//! It knows the benchmark's client only: every message is a text in one frame, and every client has the same key.
//! What else comes ends the connection.

use std::{
    env,
    error::Error,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use bench::{
    Epoll,
    frames::{payload_of, push_header, unmask},
};

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\n";
/// The first byte of a final frame of text.
const TEXT: u8 = 0x81;
const LISTENER: usize = usize::MAX;

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args()
        .nth(1)
        .ok_or("usage: tcp-room PORT")?
        .parse::<u16>()?;
    Ok(serve(port)?)
}

/// Serves a port of 127.0.0.1 for ever.
fn serve(port: u16) -> io::Result<()> {
    bench::raise_file_limit()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut epoll = Epoll::new()?;
    epoll.add_input(&listener, LISTENER)?;

    let mut members = Vec::<Option<Member>>::new();
    let mut free = Vec::new();
    let mut ready = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    // What all are to get.
    let mut frames = Vec::new();
    loop {
        epoll.wait(None, &mut ready)?;
        for &token in &ready {
            if token == LISTENER {
                let socket = listener.accept()?.0;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                let token = free.pop().unwrap_or(members.len());
                epoll.add_edges(&socket, token)?;
                members.resize_with(members.len().max(token + 1), || None);
                members[token] = Some(Member::new(socket));
                continue;
            }
            while let Some(member) = &mut members[token] {
                frames.clear();
                let may_have_more = member.turn(&mut buffer, &mut frames);
                if may_have_more.is_err() {
                    members[token] = None;
                    free.push(token);
                }
                if !frames.is_empty() {
                    for (token, place) in members.iter_mut().enumerate() {
                        if let Some(member) = place
                            && member.is_open
                            && member.write(&frames).is_err()
                        {
                            *place = None;
                            free.push(token);
                        }
                    }
                }
                if !may_have_more.is_ok_and(|more| more) {
                    break;
                }
            }
        }
    }
}

struct Member {
    socket: TcpStream,
    is_open: bool,
    /// A part of a request or of a frame.
    input: Vec<u8>,
    /// What the socket had no room for. The client's messages in flight bound it.
    unsent: Vec<u8>,
}

impl Member {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            is_open: false,
            input: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// One read; appends the frames that all are to get, and says whether there may be more to read. Fails at the
    /// connection's end.
    fn turn(&mut self, buffer: &mut [u8], frames: &mut Vec<u8>) -> io::Result<bool> {
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)?;
        let got = match self.socket.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        self.input.extend_from_slice(&buffer[..got]);
        match self.is_open {
            true => self.take_frames(frames)?,
            false if self.input.ends_with(b"\r\n\r\n") => {
                self.is_open = true;
                self.input.clear();
                self.write(RESPONSE)?;
            }
            false => {}
        }
        // Less than asked for: the next input is a new edge.
        Ok(got == buffer.len())
    }

    /// Takes whole frames out of the input, and makes them a server's.
    fn take_frames(&mut self, frames: &mut Vec<u8>) -> io::Result<()> {
        let mut taken = 0;
        while let Some(payload) = payload_of(&self.input[taken..]) {
            let frame = &mut self.input[taken..taken + payload.end];
            if frame[0] != TEXT || frame[1] & 0x80 == 0 {
                return Err(ErrorKind::InvalidData.into());
            }
            push_header(TEXT, payload.len(), frames);
            frames.extend_from_slice(unmask(frame, payload.start));
            taken += payload.end;
        }
        self.input.drain(..taken);
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // Nothing overtakes what waits.
        while self.unsent.is_empty() && !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }
}
