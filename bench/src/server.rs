//! What the echo servers of this folder share: one thread, one epoll, and one read and one write for each
//! time that a connection has input.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use crate::Epoll;

const LISTENER: usize = usize::MAX;

/// What a server makes of what it reads.
pub trait Protocol {
    /// What it knows of one connection.
    type State: Default;

    /// What is to be written after this input; an error ends the connection.
    fn answer<'a>(
        &'a mut self,
        state: &mut Self::State,
        input: &'a mut [u8],
    ) -> io::Result<&'a [u8]>;
}

/// Serves a port of 127.0.0.1 for ever.
pub fn serve<P: Protocol>(port: u16, mut protocol: P) -> io::Result<()> {
    crate::raise_file_limit()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut epoll = Epoll::new()?;
    epoll.add_input(&listener, LISTENER)?;

    let mut connections = Vec::<Option<Connection<P::State>>>::new();
    let mut free = Vec::new();
    let mut ready = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        epoll.wait(None, &mut ready)?;
        for &token in &ready {
            if token == LISTENER {
                let socket = listener.accept()?.0;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                let token = free.pop().unwrap_or(connections.len());
                epoll.add_edges(&socket, token)?;
                connections.resize_with(connections.len().max(token + 1), || None);
                connections[token] = Some(Connection {
                    socket,
                    state: P::State::default(),
                    unsent: Vec::new(),
                });
            } else if let Some(connection) = &mut connections[token]
                && connection.echo(&mut protocol, &mut buffer).is_err()
            {
                connections[token] = None;
                free.push(token);
            }
        }
    }
}

struct Connection<S> {
    socket: TcpStream,
    state: S,
    /// What the socket had no room for; nothing more is read until it is out.
    unsent: Vec<u8>,
}

impl<S: Default> Connection<S> {
    /// Echoes until the socket has no more input, or no room; fails at the connection's end.
    fn echo(
        &mut self,
        protocol: &mut impl Protocol<State = S>,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)?;
        while self.unsent.is_empty() {
            match self.socket.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(got) => {
                    let answer = protocol.answer(&mut self.state, &mut buffer[..got])?;
                    self.write(answer)?;
                    // Less than asked for: the next input is a new edge.
                    if got < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(bytes);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
