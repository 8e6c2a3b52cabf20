/// Masks or unmasks `data` with the masking key (RFC 6455 §5.3); the two are the same operation.
///
/// `offset` is the position of `data` in the frame's payload data, so that a payload can be treated
/// in pieces.
pub fn apply_mask(data: &mut [u8], key: [u8; 4], offset: usize) {
    // The byte that is first at this offset becomes the lowest, twice.
    let turns = 8 * (offset % 4) as u32;
    let key = u64::from(u32::from_le_bytes(key).rotate_right(turns));
    let word = u64::from_le((key << 32) | key);

    // Word by word: the compiler makes vector instructions of this loop.
    let (words, rest) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// RFC 6455 §5.3, letter by letter.
    fn apply_mask_naively(data: &mut [u8], key: [u8; 4], offset: usize) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key[(offset + i) % 4];
        }
    }

    #[test]
    fn masking_agrees_with_its_naive_twin_at_every_length_alignment_and_offset() {
        let data: Vec<u8> = (0..320u32).map(|i| (i * 31 + 7) as u8).collect();
        for len in 0..=300 {
            for alignment in 0..16 {
                for offset in 0..8 {
                    let mut fast = data.clone();
                    let mut naive = data.clone();
                    apply_mask(&mut fast[alignment..alignment + len], KEY, offset);
                    apply_mask_naively(&mut naive[alignment..alignment + len], KEY, offset);
                    assert_eq!(fast, naive, "{len} bytes at {alignment}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn masking_twice_restores_the_data() {
        let mut data = *b"any payload data at all";
        apply_mask(&mut data, KEY, 3);
        apply_mask(&mut data, KEY, 3);
        assert_eq!(&data, b"any payload data at all");
    }

    #[test]
    fn the_hello_of_section_5_7_is_masked_as_printed_there() {
        let mut data = *b"Hello";
        apply_mask(&mut data, KEY, 0);
        assert_eq!(data, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
