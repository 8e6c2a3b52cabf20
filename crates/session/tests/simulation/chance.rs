//! Numbers that look random and are decided by a seed.

/// A generator (SplitMix64): small, and each seed has a sequence of its own.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number from `least` to `most`.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True `times` in 100.
    pub fn percent(&mut self, times: u64) -> bool {
        self.below(100) < times
    }

    /// A length: mostly small, sometimes large, never above `most`.
    pub fn length(&mut self, most: u64) -> usize {
        let bits = 64 - most.leading_zeros() as u64;
        let ceiling = (1_u64 << self.within(0, bits)).min(most);
        self.within(0, ceiling) as usize
    }
}
