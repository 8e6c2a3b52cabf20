//! Publishes over HTTP: one request after the other, on one connection.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::fd::{AsRawFd, RawFd},
};

use crate::{
    get::length_of,
    options::Options,
    websocket::{self, failure},
};

/// A connection that publishes.
pub struct Publisher {
    socket: TcpStream,
    request: Vec<u8>,
    /// What is here of the response; `None` when none is due.
    response: Option<Vec<u8>>,
}

impl Publisher {
    /// Publishes to this path, in the end.
    pub fn new(path: &str, options: &Options) -> io::Result<Self> {
        let socket = websocket::connect(options.port, 0)?;
        socket.set_nonblocking(true)?;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            options.port, options.size
        )
        .into_bytes();
        request.extend(std::iter::repeat_n(b'x', options.size));
        Ok(Publisher {
            socket,
            request,
            response: None,
        })
    }

    /// Whether no response is due.
    pub fn is_idle(&self) -> bool {
        self.response.is_none()
    }

    /// Publishes. The socket has room for a request, since nothing else is under way.
    pub fn publish(&mut self) -> io::Result<()> {
        self.response = Some(Vec::with_capacity(1024));
        self.socket.write_all(&self.request)
    }

    /// Takes what there is of the response, which must be a 2xx.
    pub fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            let got = match self.socket.read(&mut buffer) {
                Ok(0) => return Err(failure("the server closed the publisher's connection")),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let response = self
                .response
                .as_mut()
                .ok_or_else(|| failure("a response that is not due"))?;
            response.extend_from_slice(&buffer[..got]);
            if length_of(response, "http/1.1 2")?.is_some_and(|length| response.len() >= length) {
                self.response = None;
            }
        }
    }
}

impl AsRawFd for Publisher {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
