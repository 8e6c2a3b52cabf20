use super::header::{FrameHeader, FrameRules, parse_header};
use super::{Role, apply_mask};
use crate::error::ProtocolError;

/// Bytes → frames: a header, then its payload data in stretches, then the next header.
///
/// Drive it so: call [`read_header`](Self::read_header) until it gives a header, then
/// [`read_payload`](Self::read_payload) until it says that the frame ends (once at least, for an
/// empty payload too), and again from the start. The input may be cut at any byte.
#[derive(Debug)]
pub struct FrameDecoder {
    role: Role,
    /// The first bytes of a header that is not complete yet.
    begun: [u8; FrameHeader::MAX_LEN],
    begun_len: u8,
    payload: Option<PayloadPosition>,
}

/// A piece of a frame's payload data, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub struct PayloadStretch<'a> {
    /// The piece, in its place in the input.
    pub bytes: &'a mut [u8],
    /// Whether it is the last one of its frame.
    pub ends_frame: bool,
}

/// Where in a payload we are.
#[derive(Debug)]
struct PayloadPosition {
    mask: Option<[u8; 4]>,
    /// How many bytes are read; only its remainder by 4 matters, so it may wrap.
    offset: usize,
    remaining: u64,
}

impl FrameDecoder {
    /// A decoder at the start of a frame; `role` is ours, and says whether frames have to be
    /// masked.
    pub fn new(role: Role) -> FrameDecoder {
        FrameDecoder {
            role,
            begun: [0; FrameHeader::MAX_LEN],
            begun_len: 0,
            payload: None,
        }
    }

    /// Our role.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether what comes next is a frame of a client's, from its first byte on.
    #[inline]
    pub(crate) fn is_before_client_frame(&self) -> bool {
        self.payload.is_none() && self.begun_len == 0 && self.role == Role::Server
    }

    /// How many bytes of the current frame's payload data have not come; `None` between frames.
    #[inline]
    pub(crate) fn missing(&self) -> Option<u64> {
        self.payload.as_ref().map(|position| position.remaining)
    }

    /// Whether a frame header is what comes next or is under way.
    #[inline]
    pub fn is_in_header(&self) -> bool {
        self.payload.is_none()
    }

    /// Reads the next frame header, or as much as `input` has of it; gives how many bytes it took.
    ///
    /// Without a header in the result all of `input` is taken. Call it only
    /// [between frames](Self::is_in_header); else it takes nothing. After an error the same input
    /// may be read again by other rules.
    #[inline]
    pub fn read_header(
        &mut self,
        input: &[u8],
        rules: &impl FrameRules,
    ) -> Result<(usize, Option<FrameHeader>), ProtocolError> {
        if self.payload.is_some() {
            return Ok((0, None));
        }
        let (taken, header) = match self.begun_len {
            0 => match parse_header(input, self.role, rules)? {
                Some((header, len)) => (len, header),
                None => return Ok((self.begin(input), None)),
            },
            // Rare: a header that came in pieces.
            begun_len => {
                let taken = self.begin(input);
                let bytes = &self.begun[..usize::from(self.begun_len)];
                match parse_header(bytes, self.role, rules) {
                    Ok(Some((header, len))) => {
                        self.begun_len = 0;
                        (len - usize::from(begun_len), header)
                    }
                    Ok(None) => return Ok((taken, None)),
                    Err(error) => {
                        self.begun_len = begun_len;
                        return Err(error);
                    }
                }
            }
        };
        self.payload = Some(PayloadPosition {
            mask: header.mask,
            offset: 0,
            remaining: header.payload_length,
        });
        Ok((taken, Some(header)))
    }

    /// Reads the payload data of the current frame, as much as `input` has of it, and unmasks it in
    /// place. The stretch is the beginning of `input`.
    ///
    /// Call it only after a header; else the stretch is empty and ends no frame.
    #[inline]
    pub fn read_payload<'a>(&mut self, input: &'a mut [u8]) -> PayloadStretch<'a> {
        let Some(position) = &mut self.payload else {
            return PayloadStretch {
                bytes: &mut [],
                ends_frame: false,
            };
        };
        let len = usize::try_from(position.remaining).map_or(input.len(), |n| n.min(input.len()));
        let bytes = &mut input[..len];
        // RFC 6455 §5.3.
        if let Some(key) = position.mask {
            apply_mask(bytes, key, position.offset);
        }
        position.offset = position.offset.wrapping_add(len);
        position.remaining -= len as u64;
        let ends_frame = position.remaining == 0;
        if ends_frame {
            self.payload = None;
        }
        PayloadStretch { bytes, ends_frame }
    }

    /// Keeps the beginning of a header; gives how many bytes it took.
    fn begin(&mut self, input: &[u8]) -> usize {
        let free = &mut self.begun[usize::from(self.begun_len)..];
        let len = free.len().min(input.len());
        free[..len].copy_from_slice(&input[..len]);
        self.begun_len += len as u8;
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{NoRules, Opcode, encode_header};

    /// All frames of `stream`, read in pieces of `size` bytes.
    fn decode(stream: &[u8], role: Role, size: usize) -> Vec<(FrameHeader, Vec<u8>)> {
        let mut decoder = FrameDecoder::new(role);
        let mut frames: Vec<(FrameHeader, Vec<u8>)> = Vec::new();
        for piece in stream.to_vec().chunks_mut(size) {
            let mut used = 0;
            loop {
                if decoder.is_in_header() {
                    let (taken, header) = decoder.read_header(&piece[used..], &NoRules).unwrap();
                    used += taken;
                    match header {
                        Some(header) => frames.push((header, Vec::new())),
                        None => break,
                    }
                }
                let stretch = decoder.read_payload(&mut piece[used..]);
                used += stretch.bytes.len();
                frames
                    .last_mut()
                    .unwrap()
                    .1
                    .extend_from_slice(stretch.bytes);
                if !stretch.ends_frame {
                    break;
                }
            }
            assert_eq!(used, piece.len());
        }
        assert!(decoder.is_in_header());
        frames
    }

    #[test]
    fn frames_cut_at_any_byte_decode_the_same() {
        for role in [Role::Server, Role::Client] {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for length in [0, 1, 5, 125, 126, 300, 70_000] {
                let header = FrameHeader {
                    mask: (role == Role::Server).then_some([1, 2, 3, 4]),
                    ..FrameHeader::new(Opcode::Binary, length)
                };
                let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
                stream.extend_from_slice(&encode_header(&header));
                let start = stream.len();
                stream.extend_from_slice(&payload);
                if let Some(key) = header.mask {
                    apply_mask(&mut stream[start..], key, 0);
                }
                expected.push((header, payload));
            }
            for size in (1..=40).chain([1000, 8000, stream.len()]) {
                assert_eq!(decode(&stream, role, size), expected, "{role:?} by {size}");
            }
        }
    }

    #[test]
    fn a_payload_asked_for_before_its_header_takes_nothing() {
        let mut decoder = FrameDecoder::new(Role::Client);
        let mut input = [1, 2, 3];
        let stretch = decoder.read_payload(&mut input);
        assert_eq!((stretch.bytes.len(), stretch.ends_frame), (0, false));
    }

    #[test]
    fn a_header_asked_for_inside_a_payload_takes_nothing() {
        let mut decoder = FrameDecoder::new(Role::Client);
        assert!(
            decoder
                .read_header(&[0x82, 1], &NoRules)
                .unwrap()
                .1
                .is_some()
        );
        assert_eq!(decoder.read_header(&[0x82, 1], &NoRules), Ok((0, None)));
    }
}
