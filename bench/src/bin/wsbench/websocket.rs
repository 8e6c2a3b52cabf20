//! As much of RFC 6455 as a load client needs.

use std::{
    fmt::Display,
    io::{self, Read, Write},
    mem,
    net::TcpStream,
    time::Duration,
};

/// Nobody waits longer than this for a server.
pub const PATIENCE: Duration = Duration::from_secs(20);

const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Connects, and makes sure that no call on the socket can last for ever.
pub fn connect(port: u16, number: usize) -> io::Result<TcpStream> {
    let socket = bench::connect(port, number)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

pub fn send_request(stream: &mut impl Write, port: u16, path: &str) -> io::Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()
}

/// Reads the response up to its empty line, and checks it.
pub fn receive_response(stream: &mut impl Read) -> io::Result<()> {
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
    Ok(())
}

/// One masked message of `size` bytes in one frame.
pub fn frame(size: usize, binary: bool) -> Vec<u8> {
    let text = b"The quick brown fox jumps over the lazy dog. ";
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![0x80 | if binary { 0x2 } else { 0x1 }];
    match size {
        0..=125 => frame.push(0x80 | size as u8),
        126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((size as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((size as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend((0..size).map(|i| text[i % text.len()] ^ key[i % 4]));
    frame
}

/// The answer to every ping; the servers here look at none's payload.
pub const PONG_FRAME: [u8; 6] = [0x80 | PONG, 0x80, 0, 0, 0, 0];

/// Counts the messages in what a server sends, and checks the length of each.
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
}

impl Receiver {
    /// Takes what was read; returns how many messages of `size` bytes it completed.
    pub fn receive(&mut self, mut bytes: &[u8], size: usize) -> io::Result<usize> {
        let mut messages = 0;
        loop {
            let part = self.due.min(bytes.len());
            self.due -= part;
            bytes = &bytes[part..];
            if self.due > 0 {
                return Ok(messages);
            }
            if mem::take(&mut self.ends_message) {
                if self.message != size {
                    return Err(failure(format!(
                        "an echo of {} bytes, not {size}",
                        self.message
                    )));
                }
                self.message = 0;
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
                _ => {
                    self.message += length;
                    self.ends_message = self.header[0] & 0x80 != 0;
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
                .map(|part| receiver.receive(part, 356).unwrap())
                .sum::<usize>();
            assert_eq!((messages, receiver.pings), (2, 1));
        }
    }

    #[test]
    fn an_echo_of_another_length_is_an_error() {
        assert!(Receiver::default().receive(&[0x81, 1, b'a'], 2).is_err());
    }

    #[test]
    fn frames_have_the_shortest_length_field() {
        assert_eq!(frame(125, false)[..2], [0x81, 0x80 | 125]);
        assert_eq!(frame(126, true)[..4], [0x82, 0x80 | 126, 0, 126]);
        assert_eq!(
            frame(0x10000, true)[..10],
            [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(frame(0x10000, true).len(), 0x10000 + 14);
    }
}
