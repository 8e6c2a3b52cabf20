//! Where in memory a subscriber's message goes, so that it can be fetched while the one before gets its own.

use std::ops::Range;

use crate::sync::atomic::{AtomicUsize, Ordering};

/// Has the processor fetch memory that is going to be used. These are addresses: what they are of may be gone.
pub type Fetch = fn(Range<usize>);

/// How many stretches of memory there are.
pub const STRETCHES: usize = 5;

/// Bytes of a line of the cache, and the most lines of a stretch.
const LINE: usize = 64;

/// The stretches as one word each, a line's address and how many there are; 0 as long as they are not known. Relaxed: a hint,
/// which only the thread that delivers notes and uses.
#[derive(Default)]
pub(crate) struct Footprint([AtomicUsize; STRETCHES]);

impl Footprint {
    pub fn is_known(&self) -> bool {
        self.0[0].load(Ordering::Relaxed) != 0
    }

    pub fn note(&self, stretches: [Range<usize>; STRETCHES]) {
        for (word, Range { start, end }) in self.0.iter().zip(stretches) {
            let first = start & !(LINE - 1);
            let lines = end.saturating_sub(first).div_ceil(LINE);
            word.store(first | lines.min(LINE - 1), Ordering::Relaxed);
        }
    }

    pub fn fetch(&self, fetch: Fetch) {
        for word in &self.0 {
            let word = word.load(Ordering::Relaxed);
            let (first, lines) = (word & !(LINE - 1), word & (LINE - 1));
            fetch(first..first + lines * LINE);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static FETCHED: RefCell<Vec<Range<usize>>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn whole_lines_are_fetched() {
        let footprint = Footprint::default();
        assert!(!footprint.is_known());
        footprint.note([100..300, 64..65, 0..0, 1 << 20..2 << 20, 64..64]);
        assert!(footprint.is_known());
        footprint.fetch(|memory| FETCHED.with_borrow_mut(|all| all.push(memory)));
        let most = (1 << 20)..(1 << 20) + 63 * 64;
        assert_eq!(FETCHED.take(), [64..320, 64..128, 0..0, most, 64..64]);
    }
}
