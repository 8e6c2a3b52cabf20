/// The size of an LZ77 sliding window, as the logarithm to the base 2: 9 to 15.
///
/// RFC 7692 knows 8 too, a window of 256 bytes, which zlib and its kin cannot compress with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 512 bytes.
    pub const MIN: WindowBits = WindowBits(9);
    /// 32 KiB, the most that DEFLATE has.
    pub const MAX: WindowBits = WindowBits(15);

    /// `None` outside 9 to 15.
    pub const fn new(bits: u8) -> Option<WindowBits> {
        match bits {
            9..=15 => Some(WindowBits(bits)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How hard to compress: 1, the fastest, to 9, the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// 1.
    pub const FASTEST: CompressionLevel = CompressionLevel(1);
    /// 6.
    pub const DEFAULT: CompressionLevel = CompressionLevel(6);
    /// 9.
    pub const SMALLEST: CompressionLevel = CompressionLevel(9);

    /// `None` outside 1 to 9.
    pub const fn new(level: u8) -> Option<CompressionLevel> {
        match level {
            1..=9 => Some(CompressionLevel(level)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}
