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
    ops::Range,
};

use bench::{
    deflate::{deflate, inflate},
    server::{self, Protocol},
};
use flate2::{Compress, Compression, Decompress};

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
            // A final frame of text with RSV1, masked.
            if rest[0] != 0xC1 || rest[1] & 0x80 == 0 {
                return Err(ErrorKind::InvalidData.into());
            }
            let (frame, next) = rest.split_at_mut(payload.end);
            let (header, payload) = frame.split_at_mut(payload.start);
            let key = &header[header.len() - 4..];
            for (i, byte) in payload.iter_mut().enumerate() {
                *byte ^= key[i % 4];
            }
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
            push_header(self.deflated.len(), &mut self.output);
            self.output.extend_from_slice(&self.deflated);
            rest = next;
        }
        state.input.extend_from_slice(rest);
        Ok(&self.output)
    }
}

/// Where the payload of the first frame begins and ends, when all of it is here.
fn payload_of(bytes: &[u8]) -> Option<Range<usize>> {
    let (start, length) = match bytes.get(1)? & 0x7F {
        126 => (8, u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
        127 => (14, u64::from_be_bytes(*bytes[2..].first_chunk()?)),
        short => (6, u64::from(short)),
    };
    let rest = bytes.len().checked_sub(start)?;
    (rest as u64 >= length).then(|| start..start + length as usize)
}

/// The header of a whole text message that is compressed.
fn push_header(length: usize, output: &mut Vec<u8>) {
    output.push(0xC1);
    match length {
        0..=125 => output.push(length as u8),
        126..=0xFFFF => {
            output.push(126);
            output.extend((length as u16).to_be_bytes());
        }
        _ => {
            output.push(127);
            output.extend((length as u64).to_be_bytes());
        }
    }
}
