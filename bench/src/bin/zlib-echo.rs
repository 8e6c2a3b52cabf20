//! A WebSocket echo with permessage-deflate and nothing else around zlib: `zlib-echo PORT LEVEL`. The floor
//! under a server that compresses with zlib as the module does with zlib-rs: the same level, a window of 15
//! bits, and a compressor and a decompressor for each connection from its first message on.
//!
//! It knows the benchmark's client only: every message is compressed and in one frame, and every client has
//! the same key. What else comes ends the connection.

use std::{
    env,
    error::Error,
    io::{self, ErrorKind},
};

use bench::{
    deflate::{deflate, inflate},
    frames::{payload_of, push_header, unmask},
    server::{self, Protocol},
};
use flate2::{Compress, Compression, Decompress};

/// The first byte of a final frame of text with RSV1.
const TEXT: u8 = 0xC1;

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let (Some(port), Some(level)) = (words.next(), words.next()) else {
        return Err("usage: zlib-echo PORT LEVEL".into());
    };
    let protocol = Deflating {
        level: Compression::new(level.parse()?),
        message: Vec::new(),
        deflated: Vec::new(),
        output: Vec::new(),
    };
    Ok(server::serve(port.parse()?, protocol)?)
}

/// Buffers that serve all connections, since what is read is answered at once.
struct Deflating {
    level: Compression,
    message: Vec<u8>,
    deflated: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Default)]
struct State {
    is_open: bool,
    /// A part of a request or of a frame.
    input: Vec<u8>,
    /// From the first message on.
    codec: Option<(Compress, Decompress)>,
}

impl Protocol for Deflating {
    type State = State;

    fn answer<'a>(&'a mut self, state: &mut State, input: &'a mut [u8]) -> io::Result<&'a [u8]> {
        self.output.clear();
        state.input.extend_from_slice(input);
        if !state.is_open {
            if state.input.ends_with(b"\r\n\r\n") {
                state.is_open = true;
                state.input = Vec::new();
                self.output.extend_from_slice(RESPONSE);
            }
            return Ok(&self.output);
        }
        let mut input = std::mem::take(&mut state.input);
        let mut rest = &mut input[..];
        while let Some(payload) = payload_of(rest) {
            // Nothing else, and masked.
            if rest[0] != TEXT || rest[1] & 0x80 == 0 {
                return Err(ErrorKind::InvalidData.into());
            }
            let (frame, next) = rest.split_at_mut(payload.end);
            let payload = unmask(frame, payload.start);
            let (compress, decompress) = state.codec.get_or_insert_with(|| {
                (
                    Compress::new_with_window_bits(self.level, false, 15),
                    Decompress::new_with_window_bits(false, 15),
                )
            });
            self.message.clear();
            inflate(decompress, payload, &mut self.message)?;
            self.deflated.clear();
            deflate(compress, &self.message, &mut self.deflated)?;
            push_header(TEXT, self.deflated.len(), &mut self.output);
            self.output.extend_from_slice(&self.deflated);
            rest = next;
        }
        state.input.extend_from_slice(rest);
        Ok(&self.output)
    }
}
