//! Messages and their compressed form (RFC 7692 §7.2).

use std::io;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};

/// What a sender leaves out at the end of a message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// Appends the compressed form of a message.
pub fn deflate(compress: &mut Compress, message: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let before = compress.total_in();
    loop {
        let rest = &message[(compress.total_in() - before) as usize..];
        // The least is more than the end of a flush, which must not be begun twice.
        out.reserve((rest.len() / 2).max(64));
        compress.compress_vec(rest, out, FlushCompress::Sync)?;
        if out.len() < out.capacity() {
            break;
        }
    }
    out.truncate(out.len() - TAIL.len());
    Ok(())
}

/// Appends the message that has this compressed form.
pub fn inflate(decompress: &mut Decompress, form: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    for part in [form, &TAIL] {
        let before = decompress.total_in();
        loop {
            let rest = &part[(decompress.total_in() - before) as usize..];
            out.reserve((rest.len() * 4).max(64));
            decompress.decompress_vec(rest, out, FlushDecompress::Sync)?;
            if out.len() < out.capacity() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;

    use super::*;

    #[test]
    fn messages_come_back_whatever_room_there_was() {
        let mut compress = Compress::new_with_window_bits(Compression::new(6), false, 15);
        let mut decompress = Decompress::new_with_window_bits(false, 15);
        for length in (1..300).chain([65536, 1 << 20]) {
            let message = (0..length)
                .map(|i: u32| (i.wrapping_mul(0x9E37_79B9) >> 26) as u8)
                .collect::<Vec<_>>();
            let (mut form, mut back) = (Vec::new(), Vec::new());
            deflate(&mut compress, &message, &mut form).unwrap();
            inflate(&mut decompress, &form, &mut back).unwrap();
            assert_eq!(back, message);
        }
    }
}
