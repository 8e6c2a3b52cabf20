use std::fmt;
use std::ops::Deref;

use super::{Opcode, Role};
use crate::error::ProtocolError;

/// A whole frame header (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// FIN: the last fragment of its message.
    pub fin: bool,
    /// RSV1: what an extension makes of it.
    pub rsv1: bool,
    /// RSV2: what an extension makes of it.
    pub rsv2: bool,
    /// RSV3: what an extension makes of it.
    pub rsv3: bool,
    /// The opcode.
    pub opcode: Opcode,
    /// The masking key, in a frame from a client.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload data; 63 bits.
    pub payload_length: u64,
}

impl FrameHeader {
    /// The header of a frame that is not fragmented, not masked, and has no reserved bit set.
    pub const fn new(opcode: Opcode, payload_length: u64) -> FrameHeader {
        FrameHeader {
            fin: true,
            rsv1: false,
            rsv2: false,
            rsv3: false,
            opcode,
            mask: None,
            payload_length,
        }
    }

    /// The most bytes that a frame header takes: 2, and 8 for the length, and 4 for the key.
    pub const MAX_LEN: usize = 14;

    /// The largest payload length: 63 bits.
    pub const MAX_PAYLOAD_LENGTH: u64 = i64::MAX as u64;
}

/// What the first byte of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStart {
    /// FIN: the last fragment of its message.
    pub fin: bool,
    /// RSV1: what an extension makes of it.
    pub rsv1: bool,
    /// RSV2: what an extension makes of it.
    pub rsv2: bool,
    /// RSV3: what an extension makes of it.
    pub rsv3: bool,
    /// The opcode.
    pub opcode: Opcode,
}

impl FrameStart {
    fn parse(byte: u8) -> Result<FrameStart, ProtocolError> {
        let bits = byte & 0x0f;
        // RFC 6455 §5.2: an unknown opcode fails the connection.
        let opcode = Opcode::from_wire(bits).ok_or(ProtocolError::UnknownOpcode(bits))?;
        let start = FrameStart {
            fin: byte & 0x80 != 0,
            rsv1: byte & 0x40 != 0,
            rsv2: byte & 0x20 != 0,
            rsv3: byte & 0x10 != 0,
            opcode,
        };
        // RFC 6455 §5.5: control frames must not be fragmented.
        if opcode.is_control() && !start.fin {
            return Err(ProtocolError::FragmentedControl);
        }
        Ok(start)
    }
}

/// What the layers above demand of a frame header, asked as soon as the bytes in question are
/// there.
pub trait FrameRules {
    /// Judges the first byte of a frame.
    fn check_start(&self, start: &FrameStart) -> Result<(), ProtocolError>;

    /// Judges the payload length, when the masking key may still be missing.
    fn check_length(&self, start: &FrameStart, payload_length: u64) -> Result<(), ProtocolError>;
}

/// Accepts every frame header that is well-formed in itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRules;

impl FrameRules for NoRules {
    fn check_start(&self, _: &FrameStart) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn check_length(&self, _: &FrameStart, _: u64) -> Result<(), ProtocolError> {
        Ok(())
    }
}

/// Parses the frame header that `bytes` begins with; gives it with its length in bytes, or `None`
/// when more bytes are needed (at most [`FrameHeader::MAX_LEN`] in all).
///
/// The bytes are judged in their order, so a fault is found with the first byte that shows it,
/// whether or not the rest of the header has arrived.
#[inline]
pub fn parse_header(
    bytes: &[u8],
    role: Role,
    rules: &impl FrameRules,
) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
    let [first, after_first @ ..] = bytes else {
        return Ok(None);
    };
    let start = FrameStart::parse(*first)?;
    rules.check_start(&start)?;

    let [second, after_second @ ..] = after_first else {
        return Ok(None);
    };
    let masked = second & 0x80 != 0;
    match (role, masked) {
        (Role::Server, true) | (Role::Client, false) => {}
        // RFC 6455 §5.1: a server must close on an unmasked frame.
        (Role::Server, false) => return Err(ProtocolError::Unmasked),
        // RFC 6455 §5.1: a client must close on a masked frame.
        (Role::Client, true) => return Err(ProtocolError::Masked),
    }
    let short = second & 0x7f;
    // RFC 6455 §5.5: control frames have 125 bytes at most, so never an extended length.
    if start.opcode.is_control() && short > 125 {
        return Err(ProtocolError::ControlTooLong);
    }
    let Some((payload_length, after_length)) = parse_length(short, after_second)? else {
        return Ok(None);
    };
    rules.check_length(&start, payload_length)?;

    let (mask, rest) = match (masked, after_length) {
        (false, rest) => (None, rest),
        (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
        (true, _) => return Ok(None),
    };
    let header = FrameHeader {
        fin: start.fin,
        rsv1: start.rsv1,
        rsv2: start.rsv2,
        rsv3: start.rsv3,
        opcode: start.opcode,
        mask,
        payload_length,
    };
    Ok(Some((header, bytes.len() - rest.len())))
}

/// Encodes a frame header, with the length in the fewest bytes (RFC 6455 §5.2).
///
/// A length above [`FrameHeader::MAX_PAYLOAD_LENGTH`] is the caller's mistake; its top bit is lost.
#[inline]
pub fn encode_header(header: &FrameHeader) -> FrameHeaderBytes {
    debug_assert!(header.payload_length <= FrameHeader::MAX_PAYLOAD_LENGTH);
    let length = header.payload_length & FrameHeader::MAX_PAYLOAD_LENGTH;
    let bit = |set: bool, value: u8| if set { value } else { 0 };

    let mut out = FrameHeaderBytes::default();
    out.push(&[bit(header.fin, 0x80)
        | bit(header.rsv1, 0x40)
        | bit(header.rsv2, 0x20)
        | bit(header.rsv3, 0x10)
        | header.opcode as u8]);
    let mask_bit = bit(header.mask.is_some(), 0x80);
    match length {
        0..=125 => out.push(&[mask_bit | length as u8]),
        126..=0xffff => {
            out.push(&[mask_bit | 126]);
            out.push(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(&[mask_bit | 127]);
            out.push(&length.to_be_bytes());
        }
    }
    if let Some(key) = header.mask {
        out.push(&key);
    }
    out
}

/// An encoded frame header; dereferences to its bytes.
#[derive(Clone, Copy, Default)]
pub struct FrameHeaderBytes {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: u8,
}

impl FrameHeaderBytes {
    fn push(&mut self, bytes: &[u8]) {
        let len = usize::from(self.len);
        self.bytes[len..len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl Deref for FrameHeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl AsRef<[u8]> for FrameHeaderBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for FrameHeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", &**self)
    }
}

/// Parses the extended payload length that `short`, the seven bits of the second byte, calls for.
#[inline]
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (length, rest, minimum) = match short {
        126 => match bytes {
            [a, b, rest @ ..] => (u64::from(u16::from_be_bytes([*a, *b])), rest, 126),
            _ => return Ok(None),
        },
        127 => match bytes.split_first_chunk() {
            Some((wide, rest)) => (u64::from_be_bytes(*wide), rest, 0x1_0000),
            None => return Ok(None),
        },
        _ => return Ok(Some((u64::from(short), bytes))),
    };
    // RFC 6455 §5.2: the most significant bit of a 64-bit length must be 0.
    if length > FrameHeader::MAX_PAYLOAD_LENGTH {
        return Err(ProtocolError::LengthOverflow);
    }
    // RFC 6455 §5.2: the minimal number of bytes must be used.
    if length < minimum {
        return Err(ProtocolError::NonMinimalLength);
    }
    Ok(Some((length, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// Asserts that the header decodes from and encodes to the same bytes, and that every shorter
    /// prefix asks for more.
    #[track_caller]
    fn assert_header(bytes: &[u8], role: Role, header: FrameHeader) {
        assert_eq!(&*encode_header(&header), bytes);
        assert_eq!(
            parse_header(bytes, role, &NoRules),
            Ok(Some((header, bytes.len())))
        );
        for len in 0..bytes.len() {
            assert_eq!(parse_header(&bytes[..len], role, &NoRules), Ok(None));
        }
    }

    /// Asserts that the header fails with its last byte and not before.
    #[track_caller]
    fn assert_fault(bytes: &[u8], role: Role, error: ProtocolError) {
        assert_eq!(parse_header(bytes, role, &NoRules), Err(error));
        for len in 0..bytes.len() {
            assert_eq!(parse_header(&bytes[..len], role, &NoRules), Ok(None));
        }
    }

    #[test]
    fn the_headers_of_section_5_7_decode_and_encode() {
        let text = FrameHeader::new(Opcode::Text, 5);
        assert_header(&[0x81, 0x05], Role::Client, text);
        assert_header(
            &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d],
            Role::Server,
            FrameHeader {
                mask: Some(KEY),
                ..text
            },
        );
        assert_header(
            &[0x01, 0x03],
            Role::Client,
            FrameHeader {
                fin: false,
                ..FrameHeader::new(Opcode::Text, 3)
            },
        );
        assert_header(
            &[0x80, 0x02],
            Role::Client,
            FrameHeader::new(Opcode::Continuation, 2),
        );
        assert_header(
            &[0x89, 0x05],
            Role::Client,
            FrameHeader::new(Opcode::Ping, 5),
        );
        assert_header(
            &[0x82, 0x7e, 0x01, 0x00],
            Role::Client,
            FrameHeader::new(Opcode::Binary, 256),
        );
        assert_header(
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
            Role::Client,
            FrameHeader::new(Opcode::Binary, 65536),
        );
    }

    #[test]
    fn lengths_at_each_boundary_decode_and_encode_in_either_role() {
        for (length, second_byte, size) in [
            (0, 0, 2),
            (125, 125, 2),
            (126, 126, 4),
            (0xffff, 126, 4),
            (0x1_0000, 127, 10),
            (FrameHeader::MAX_PAYLOAD_LENGTH, 127, 10),
        ] {
            let header = FrameHeader::new(Opcode::Binary, length);
            let bytes = encode_header(&header);
            assert_eq!((bytes[1], bytes.len()), (second_byte, size), "{length}");
            assert_header(&bytes, Role::Client, header);

            let header = FrameHeader {
                mask: Some(KEY),
                ..header
            };
            let bytes = encode_header(&header);
            assert_eq!((bytes[1], bytes.len()), (second_byte | 0x80, size + 4));
            assert_header(&bytes, Role::Server, header);
        }
    }

    #[test]
    fn reserved_bits_decode_and_encode_one_by_one() {
        let plain = FrameHeader::new(Opcode::Text, 0);
        for (byte, header) in [
            (
                0xc1,
                FrameHeader {
                    rsv1: true,
                    ..plain
                },
            ),
            (
                0xa1,
                FrameHeader {
                    rsv2: true,
                    ..plain
                },
            ),
            (
                0x91,
                FrameHeader {
                    rsv3: true,
                    ..plain
                },
            ),
        ] {
            assert_header(&[byte, 0], Role::Client, header);
        }
    }

    #[test]
    fn unknown_opcodes_fail_at_the_first_byte() {
        for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            for fin in [0x00, 0x80] {
                let error = ProtocolError::UnknownOpcode(opcode);
                assert_fault(&[fin | opcode], Role::Server, error);
            }
        }
    }

    #[test]
    fn fragmented_control_frames_fail_at_the_first_byte() {
        for byte in [0x08, 0x09, 0x0a] {
            assert_fault(&[byte], Role::Server, ProtocolError::FragmentedControl);
        }
    }

    #[test]
    fn long_control_frames_fail_at_the_second_byte() {
        for first in [0x88, 0x89, 0x8a] {
            for second in [126, 127] {
                let error = ProtocolError::ControlTooLong;
                assert_fault(&[first, second], Role::Client, error);
                assert_fault(&[first, second | 0x80], Role::Server, error);
            }
        }
    }

    #[test]
    fn a_server_refuses_unmasked_and_a_client_masked_frames_at_the_second_byte() {
        for first in [0x80, 0x01, 0x81, 0x82, 0x88, 0x89, 0x8a] {
            assert_fault(&[first, 0x00], Role::Server, ProtocolError::Unmasked);
            assert_fault(&[first, 0x80], Role::Client, ProtocolError::Masked);
        }
    }

    #[test]
    fn lengths_in_more_bytes_than_needed_fail() {
        let error = ProtocolError::NonMinimalLength;
        assert_fault(&[0x81, 0xfe, 0, 125], Role::Server, error);
        assert_fault(&[0x81, 126, 0, 0], Role::Client, error);
        assert_fault(
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            Role::Server,
            error,
        );
        assert_fault(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1], Role::Client, error);
    }

    #[test]
    fn lengths_of_64_bits_fail() {
        let error = ProtocolError::LengthOverflow;
        assert_fault(
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
            Role::Server,
            error,
        );
        assert_fault(
            &[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255],
            Role::Client,
            error,
        );
    }
}
