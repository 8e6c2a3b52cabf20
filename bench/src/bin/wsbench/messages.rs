//! What is sent.

use std::{io, iter, ops::Range};

use bench::deflate::deflate;
use flate2::{Compress, Compression};

use crate::{
    json,
    options::Options,
    websocket::{BINARY, Expected, RSV1, TEXT, frame},
};

/// Messages ready for the wire, to be sent in this order over and over.
pub struct Messages {
    bytes: Vec<u8>,
    /// Where each begins, and the end of the last.
    bounds: Vec<usize>,
    /// Each is the same, so that any may be taken for the first.
    are_copies: bool,
    pub expected: Expected,
}

impl Messages {
    pub fn new(options: &Options) -> io::Result<Self> {
        let opcode = if options.binary { BINARY } else { TEXT };
        let text = b"The quick brown fox jumps over the lazy dog. ";
        let text = text.iter().copied().cycle().take(options.size);
        let expected = match options.compress {
            true => Expected::Compressed,
            false => Expected::Length(options.size),
        };
        Ok(if options.compress {
            Self::made_of(compressed(opcode, options.size)?, false, expected)
        } else if options.raw {
            Self::copies(text.collect(), options.depth, expected)
        } else {
            let frame = frame(opcode, &text.collect::<Vec<_>>());
            Self::copies(frame, options.depth, expected)
        })
    }

    /// As many copies as one write may hold.
    fn copies(message: Vec<u8>, depth: usize, expected: Expected) -> Self {
        let count = (65536 / message.len()).clamp(1, depth);
        Self::made_of(vec![message; count], true, expected)
    }

    fn made_of(messages: Vec<Vec<u8>>, are_copies: bool, expected: Expected) -> Self {
        let mut end = 0;
        let ends = messages.iter().map(|message| {
            end += message.len();
            end
        });
        Self {
            bounds: iter::once(0).chain(ends).collect(),
            bytes: messages.concat(),
            are_copies,
            expected,
        }
    }

    pub fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The bytes of these messages.
    pub fn of(&self, messages: Range<usize>) -> &[u8] {
        &self.bytes[self.bounds[messages.start]..self.bounds[messages.end]]
    }

    /// After so many bytes since the beginning of message `first`: the message that is under way, or the next,
    /// how much of it is out, and how many were begun since then.
    pub fn position(&self, first: usize, bytes: usize) -> (usize, usize, usize) {
        let at = self.bounds[first] + bytes;
        let message = self.bounds.partition_point(|&bound| bound <= at) - 1;
        let sent = at - self.bounds[message];
        let begun = message + usize::from(sent > 0) - first;
        match self.are_copies {
            true => (0, sent, begun),
            false => (message % self.count(), sent, begun),
        }
    }
}

/// More than two windows of them: a server's compressor does not see again what it still remembers. Each is
/// compressed by a fresh compressor, so that it can be sent at any time: a client may do so whatever was agreed
/// (RFC 7692 §7.1.1.2).
fn compressed(opcode: u8, size: usize) -> io::Result<Vec<Vec<u8>>> {
    let count = ((128 << 10) / size).max(4);
    let mut frames = Vec::with_capacity(count);
    for message in json::messages(count, size) {
        let mut compress = Compress::new_with_window_bits(Compression::new(6), false, 15);
        let mut form = Vec::new();
        deflate(&mut compress, message.as_bytes(), &mut form)?;
        frames.push(frame(opcode | RSV1, &form));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(are_copies: bool) -> Messages {
        let messages = [5, 5, 5].map(|length| vec![b'x'; length]);
        Messages::made_of(messages.to_vec(), are_copies, Expected::Compressed)
    }

    #[test]
    fn messages_are_sent_in_turn_and_over_and_over() {
        let messages = messages(false);
        assert_eq!(messages.of(1..3).len(), 10);
        assert_eq!(messages.position(0, 0), (0, 0, 0));
        assert_eq!(messages.position(0, 7), (1, 2, 2));
        assert_eq!(messages.position(1, 5), (2, 0, 1));
        assert_eq!(messages.position(1, 10), (0, 0, 2));
    }

    #[test]
    fn of_copies_the_first_is_always_the_next() {
        let messages = messages(true);
        assert_eq!(messages.position(0, 7), (0, 2, 2));
        assert_eq!(messages.position(0, 10), (0, 0, 2));
    }

    #[test]
    fn a_servers_window_is_full_of_others_when_a_message_comes_again() {
        for size in [100, 1024, 65536] {
            let frames = compressed(TEXT, size).unwrap();
            assert!((frames.len() - 1) * size > 32 << 10);
            assert!(frames.iter().all(|frame| frame.len() < size + 14));
            assert_ne!(frames[0], frames[1]);
        }
    }
}
