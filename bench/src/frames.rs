//! As much of WebSocket frames as the bare servers of this folder need.

use std::ops::Range;

/// Where the payload of the first frame begins and ends, when all of it is here.
pub fn payload_of(bytes: &[u8]) -> Option<Range<usize>> {
    let (start, length) = match bytes.get(1)? & 0x7F {
        126 => (8, u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
        127 => (14, u64::from_be_bytes(*bytes[2..].first_chunk()?)),
        short => (6, u64::from(short)),
    };
    let rest = bytes.len().checked_sub(start)?;
    (rest as u64 >= length).then(|| start..start + length as usize)
}

/// Takes the mask off a whole frame whose payload begins there; gives the payload.
pub fn unmask(frame: &mut [u8], start: usize) -> &mut [u8] {
    let (header, payload) = frame.split_at_mut(start);
    let key = &header[header.len() - 4..];
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[i % 4];
    }
    payload
}

/// The header of a server's frame with this first byte.
pub fn push_header(first: u8, length: usize, output: &mut Vec<u8>) {
    output.push(first);
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
