//! A session's transport: a socket, with the frames in the log.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use server_functions::Level;
use session::{Account, Epilogue, NoInlet, Read};
use websocket_proto::Role;
use websocket_proto::frame::FrameTrace;

use crate::terminal::{Direction, Terminal};

/// The transport of one connection.
pub struct Transport {
    socket: TcpStream,
    /// What came with the handshake.
    early: Vec<u8>,
    number: u64,
    terminal: Arc<Terminal>,
    frames: Option<(FrameTrace, FrameTrace)>,
}

impl Transport {
    /// The transport of connection `number`, from a socket that does not block.
    pub fn new(socket: TcpStream, early: Vec<u8>, number: u64, terminal: Arc<Terminal>) -> Self {
        let frames = terminal
            .has_frames()
            .then(|| (FrameTrace::new(Role::Server), FrameTrace::new(Role::Client)));
        Transport {
            socket,
            early,
            number,
            terminal,
            frames,
        }
    }

    /// The socket, when the WebSocket has ended.
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    fn take_early(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.early.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.early[..count]);
        self.early.drain(..count);
        count
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl session::Transport for Transport {
    type Failure = ErrorKind;
    type Inlet = NoInlet;

    fn inlet(&mut self) -> Option<NoInlet> {
        None
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, ErrorKind> {
        let count = match self.early.is_empty() {
            false => self.take_early(buffer),
            true => loop {
                match self.socket.read(buffer) {
                    Ok(0) => return Ok(Read::Eof),
                    Ok(count) => break count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if is_for_later(&error) => return Ok(Read::WouldBlock),
                    Err(error) => return Err(error.kind()),
                }
            },
        };
        if let Some((incoming, _)) = &mut self.frames {
            incoming.push(&buffer[..count], |frame| {
                self.terminal.frame(self.number, Direction::In, frame);
            });
        }
        Ok(Read::Data(count))
    }

    fn begin_frames(&mut self, frames: &[u8]) {
        if let Some((_, outgoing)) = &mut self.frames {
            outgoing.push(frames, |frame| {
                self.terminal.frame(self.number, Direction::Out, frame);
            });
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, ErrorKind> {
        loop {
            match self.socket.write_vectored(slices) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_for_later(&error) => return Ok(0),
                Err(error) => return Err(error.kind()),
            }
        }
    }

    fn has_output(&self) -> bool {
        false
    }

    fn acknowledged(&self) -> Option<u64> {
        None
    }

    fn is_clogged(&self) -> bool {
        false
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }

    fn end(&mut self, account: &Account<'_, ErrorKind>, _is_lost: bool) -> Option<Epilogue> {
        let how = match account.closed {
            Some(closed) => closed.to_string(),
            None => account.ending.to_string(),
        };
        let line = format!(
            "WS0302: ended after {:.3} s: {how}; {} messages in, {} out",
            account.duration.as_secs_f64(),
            account.messages_in,
            account.messages_out
        );
        self.terminal.tell(self.number, Level::Info, &line);
        None
    }

    fn shut(&mut self) {
        // The peer may have been first.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

fn is_for_later(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
