use super::{FrameHeader, NoRules, Role, apply_mask, parse_header};

/// Watches a stream of frames go by, for a log: each frame's header and the beginning of its payload.
///
/// It has a state of its own and changes nothing, so that the stream's receiver or sender knows nothing of it.
#[derive(Debug)]
pub struct FrameTrace {
    /// Who reads the stream.
    reader: Role,
    /// A header that has not come as a whole.
    partial: Vec<u8>,
    frame: Option<Frame>,
    is_broken: bool,
}

/// A frame that has gone by, or whose beginning has.
#[derive(Debug, PartialEq, Eq)]
pub struct TracedFrame {
    /// Its header.
    pub header: FrameHeader,
    /// The beginning of its payload, unmasked: at most [`FrameTrace::PREFIX`] bytes.
    pub prefix: Vec<u8>,
}

#[derive(Debug)]
struct Frame {
    traced: TracedFrame,
    remaining: u64,
    is_told: bool,
}

impl FrameTrace {
    /// How many bytes of a payload are kept.
    pub const PREFIX: usize = 64;

    /// A trace of the stream that an endpoint of this role reads.
    pub fn new(reader: Role) -> FrameTrace {
        FrameTrace {
            reader,
            partial: Vec::new(),
            frame: None,
            is_broken: false,
        }
    }

    /// Takes the next piece of the stream, before it is unmasked. Tells each frame once its beginning is there.
    /// Ends at the first header that is no header.
    pub fn push(&mut self, mut piece: &[u8], mut tell: impl FnMut(&TracedFrame)) {
        while !self.is_broken && (!piece.is_empty() || self.frame.is_some()) {
            let Some(frame) = &mut self.frame else {
                piece = self.read_header(piece);
                continue;
            };
            let count = frame.remaining.min(piece.len() as u64) as usize;
            let (payload, rest) = piece.split_at(count);
            piece = rest;
            let wanted = Self::PREFIX - frame.traced.prefix.len();
            let start = frame.traced.prefix.len();
            frame
                .traced
                .prefix
                .extend_from_slice(&payload[..count.min(wanted)]);
            if let Some(key) = frame.traced.header.mask {
                apply_mask(&mut frame.traced.prefix[start..], key, start);
            }
            frame.remaining -= count as u64;
            let is_over = frame.remaining == 0;
            if !frame.is_told && (is_over || frame.traced.prefix.len() == Self::PREFIX) {
                frame.is_told = true;
                tell(&frame.traced);
            }
            if is_over {
                self.frame = None;
            } else {
                return;
            }
        }
    }

    /// Reads a header, or what there is of it; gives what follows.
    fn read_header<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let had = self.partial.len();
        let wanted = FrameHeader::MAX_LEN - had;
        self.partial
            .extend_from_slice(&piece[..piece.len().min(wanted)]);
        match parse_header(&self.partial, self.reader, &NoRules) {
            Ok(Some((header, length))) => {
                self.partial.clear();
                self.frame = Some(Frame {
                    remaining: header.payload_length,
                    traced: TracedFrame {
                        header,
                        prefix: Vec::new(),
                    },
                    is_told: false,
                });
                &piece[length - had..]
            }
            Ok(None) => &[],
            Err(_) => {
                self.is_broken = true;
                &[]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Opcode;

    fn traced(pieces: &[&[u8]], reader: Role) -> Vec<TracedFrame> {
        let mut trace = FrameTrace::new(reader);
        let mut frames = Vec::new();
        for piece in pieces {
            trace.push(piece, |frame| {
                frames.push(TracedFrame {
                    header: frame.header,
                    prefix: frame.prefix.clone(),
                });
            });
        }
        frames
    }

    #[test]
    fn the_masked_hello_of_section_5_7_is_told_unmasked_however_it_is_cut() {
        let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x80\x37\xfa\x21\x3d";
        for cut in 0..=hello.len() {
            let (first, second) = hello.split_at(cut);
            let frames = traced(&[first, second], Role::Server);
            assert_eq!(frames.len(), 2, "{cut}");
            assert_eq!(frames[0].prefix, b"Hello", "{cut}");
            assert_eq!(frames[1].header.opcode, Opcode::Ping, "{cut}");
        }
        let bytes: Vec<&[u8]> = hello.chunks(1).collect();
        assert_eq!(traced(&bytes, Role::Server).len(), 2);
    }

    #[test]
    fn a_long_payload_is_cut_and_told_once() {
        let mut stream = b"\x82\x7e\x01\x00".to_vec();
        stream.extend([b'x'; 256]);
        stream.extend(b"\x81\x01y");
        for size in [1, 7, 64, 1000] {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            let frames = traced(&pieces, Role::Client);
            assert_eq!(frames.len(), 2, "{size}");
            assert_eq!(frames[0].prefix, [b'x'; FrameTrace::PREFIX], "{size}");
            assert_eq!(frames[0].header.payload_length, 256, "{size}");
            assert_eq!(frames[1].prefix, b"y", "{size}");
        }
    }

    #[test]
    fn what_is_no_frame_ends_the_trace() {
        assert_eq!(traced(&[b"\x83\x00", b"\x81\x00"], Role::Client), []);
    }
}
