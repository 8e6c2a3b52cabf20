//! As much of RFC 6455 as a load client needs.

use std::{
    fmt::Display,
    io::{self, Read, Write},
    mem,
    net::TcpStream,
    time::Duration,
};

use crate::options::Options;

/// Nobody waits longer than this for a server.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const FIN: u8 = 0x80;
pub const RSV1: u8 = 0x40;

const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Connects, and makes sure that no call on the socket can last for ever.
pub fn connect(port: u16, number: usize) -> io::Result<TcpStream> {
    let socket = bench::connect(port, number)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

pub fn send_request(stream: &mut impl Write, options: &Options) -> io::Result<()> {
    let Options { port, path, .. } = options;
    let offer = match options.compress {
        true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        false => "",
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()
}

/// Reads the response up to its empty line, and checks it.
pub fn receive_response(stream: &mut impl Read, options: &Options) -> io::Result<()> {
    let mut response = Vec::with_capacity(512);
    let mut part = [0; 512];
    while !response.ends_with(b"\r\n\r\n") {
        // A client that has sent no frame yet has no echo to come behind the response.
        match stream.read(&mut part)? {
            0 => {
                return Err(failure(
                    "the server closed the connection during the handshake",
                ));
            }
            got => response.extend_from_slice(&part[..got]),
        }
        if response.len() > 16384 {
            return Err(failure("the handshake's response does not end"));
        }
    }
    let response = String::from_utf8_lossy(&response);
    let status = response.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        return Err(failure(format!("not upgraded: {status}")));
    }
    // The answer to the key of the request above.
    if !response.contains("HSmrc0sMlYUkAGmm5OPpG2HaGWk=") {
        return Err(failure("wrong Sec-WebSocket-Accept"));
    }
    if options.compress && !response.contains("permessage-deflate") {
        return Err(failure("the server does not compress"));
    }
    Ok(())
}

/// One masked message in one frame; `opcode` is its first byte but for FIN.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![FIN | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend((0..).zip(payload).map(|(i, byte)| byte ^ key[i % 4]));
    frame
}

/// The answer to every ping; the servers here look at none's payload.
pub const PONG_FRAME: [u8; 6] = [FIN | PONG, 0x80, 0, 0, 0, 0];

/// What every echo must be.
#[derive(Clone, Copy)]
pub enum Expected {
    /// Not compressed, and of this length.
    Length(usize),
    /// Compressed; what it becomes when it is inflated is not looked at.
    Compressed,
}

impl Expected {
    fn is_compressed(self) -> bool {
        matches!(self, Expected::Compressed)
    }
}

/// Counts the messages in what a server sends, and checks each.
#[derive(Default)]
pub struct Receiver {
    /// The header of the frame under way, as far as it is here.
    header: [u8; 10],
    header_length: usize,
    /// Bytes to come of the payload under way.
    due: usize,
    /// The payload under way is the last of its message.
    ends_message: bool,
    /// Bytes of the message so far, those of the frame under way with them.
    message: usize,
    /// Pings so far.
    pub pings: usize,
    /// Bytes of the messages so far, as they came.
    pub payload: usize,
}

impl Receiver {
    /// Takes what was read; returns how many messages it completed.
    pub fn receive(&mut self, mut bytes: &[u8], expected: Expected) -> io::Result<usize> {
        let mut messages = 0;
        loop {
            let part = self.due.min(bytes.len());
            self.due -= part;
            bytes = &bytes[part..];
            if self.due > 0 {
                return Ok(messages);
            }
            if mem::take(&mut self.ends_message) {
                let length = mem::take(&mut self.message);
                if let Expected::Length(size) = expected
                    && size != length
                {
                    return Err(failure(format!("an echo of {length} bytes, not {size}")));
                }
                self.payload += length;
                messages += 1;
            }
            let Some(length) = self.take_header(&mut bytes) else {
                return Ok(messages);
            };
            self.due = length;
            match self.header[0] & 0xF {
                CLOSE => return Err(failure("the server closed the WebSocket")),
                PING => self.pings += 1,
                PONG => {}
                opcode => {
                    let is_compressed = self.header[0] & RSV1 != 0;
                    // RFC 7692 §6: only the first frame of a message says so.
                    if opcode != CONTINUATION && is_compressed != expected.is_compressed() {
                        return Err(failure(match is_compressed {
                            true => "an echo that is compressed",
                            false => "an echo that is not compressed",
                        }));
                    }
                    self.message += length;
                    self.ends_message = self.header[0] & FIN != 0;
                }
            }
        }
    }

    /// Takes a header from `bytes`, all of it or what there is; returns the payload's length when all of
    /// it is here.
    fn take_header(&mut self, bytes: &mut &[u8]) -> Option<usize> {
        loop {
            let whole = match (self.header_length, self.header[1] & 0x7F) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                _ => 2,
            };
            if self.header_length == whole {
                self.header_length = 0;
                return Some(match whole {
                    2 => usize::from(self.header[1] & 0x7F),
                    4 => usize::from(u16::from_be_bytes([self.header[2], self.header[3]])),
                    _ => self.header[2..]
                        .iter()
                        .fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
                });
            }
            let part = (whole - self.header_length).min(bytes.len());
            if part == 0 {
                return None;
            }
            self.header[self.header_length..][..part].copy_from_slice(&bytes[..part]);
            self.header_length += part;
            *bytes = &bytes[part..];
        }
    }
}

pub fn failure(reason: impl Display) -> io::Error {
    io::Error::other(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_the_bytes_are_split() {
        let mut bytes = vec![0x01, 100];
        bytes.extend([b'a'; 100]);
        bytes.extend([0x89, 1, b'p', 0x80, 126, 0x01, 0x00]);
        bytes.extend([b'b'; 256]);
        bytes.extend([0x81, 127, 0, 0, 0, 0, 0, 0, 0x01, 0x64]);
        bytes.extend([b'c'; 356]);
        for chunk in 1..bytes.len() {
            let mut receiver = Receiver::default();
            let messages = bytes
                .chunks(chunk)
                .map(|part| receiver.receive(part, Expected::Length(356)).unwrap())
                .sum::<usize>();
            assert_eq!((messages, receiver.pings, receiver.payload), (2, 1, 712));
        }
    }

    #[test]
    fn an_echo_of_another_length_is_an_error() {
        let echo = [0x81, 1, b'a'];
        assert!(
            Receiver::default()
                .receive(&echo, Expected::Length(1))
                .is_ok()
        );
        assert!(
            Receiver::default()
                .receive(&echo, Expected::Length(2))
                .is_err()
        );
    }

    #[test]
    fn an_echo_is_compressed_when_it_should_be_and_only_then() {
        let (plain, compressed) = ([0x81, 1, b'a'], [0xC1, 1, b'a']);
        let receive = |echo, expected| Receiver::default().receive(echo, expected);
        assert_eq!(receive(&compressed, Expected::Compressed).unwrap(), 1);
        assert!(receive(&plain, Expected::Compressed).is_err());
        assert!(receive(&compressed, Expected::Length(1)).is_err());
    }

    #[test]
    fn frames_have_the_shortest_length_field() {
        let payload = [b'x'; 0x10000];
        assert_eq!(frame(TEXT, &payload[..125])[..2], [0x81, 0x80 | 125]);
        assert_eq!(
            frame(BINARY, &payload[..126])[..4],
            [0x82, 0x80 | 126, 0, 126]
        );
        assert_eq!(
            frame(TEXT | RSV1, &payload)[..10],
            [0xC1, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(frame(TEXT, &payload).len(), 0x10000 + 14);
    }
}
