//! Memory that belongs to a worker's thread.

/// Memory for whoever is called on a worker, so that sources which read into a large buffer need none of their own, and no
/// lock for a shared one.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// So many bytes, as whoever was called before has left them.
    pub fn bytes(&mut self, size: usize) -> &mut [u8] {
        if self.0.len() < size {
            self.0.resize(size, 0);
        }
        &mut self.0[..size]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_large_as_the_largest_that_was_asked_for() {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.bytes(2).len(), 2);
        scratch.bytes(4)[3] = 7;
        assert_eq!(scratch.bytes(1).len(), 1);
        assert_eq!(scratch.bytes(4), [0, 0, 0, 7], "left there");
    }
}
