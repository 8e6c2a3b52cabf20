//! Who runs a source that may be called on two threads at once.

use crate::Readiness;
use crate::sync::atomic::{AtomicU8, Ordering};

/// Makes the calls of one source take turns, without a lock and without waiting.
///
/// The reactor does not serialise the calls of one source. A source that wants them so keeps a
/// `Turn`; a thread that has something for it calls [`begin`](Self::begin), on any thread:
///
/// ```
/// # use reactor::{Readiness, Turn};
/// # fn work(_: Readiness) {}
/// # let turn = Turn::new();
/// # let readiness = Readiness::READABLE;
/// if turn.begin(readiness) {
///     let mut readiness = readiness;
///     loop {
///         work(readiness); // one thread at a time is here
///         match turn.finish() {
///             Some(more) => readiness = more,
///             None => break,
///         }
///     }
/// }
/// ```
///
/// What one runner did is visible to the next (release and acquire). Nothing is lost: readiness
/// handed to `begin` either makes its caller the runner or comes out of the runner's `finish`,
/// merged with other. That holds for [`Readiness::EMPTY`] too, which asks for one more round and
/// nothing else.
///
/// A panic between `begin` and `finish` leaves the turn taken for good: the source is never run
/// again, which is the safe thing for a state that may be half changed.
#[derive(Debug, Default)]
pub struct Turn(AtomicU8);

/// A thread has the turn.
const RUNNING: u8 = 1 << 7;
/// `begin` was called while a thread had it.
const AGAIN: u8 = 1 << 6;

impl Turn {
    /// A turn that nobody has.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// A turn that nobody has; loom's atomics are not made at compile time.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Takes the turn if nobody has it. True: the caller is the runner, handles `readiness`, and
    /// must call [`finish`](Self::finish). False: the runner gets `readiness` from its `finish`.
    pub fn begin(&self, readiness: Readiness) -> bool {
        let mut state = 0;
        loop {
            let new = match state & RUNNING {
                0 => RUNNING,
                _ => state | AGAIN | readiness.bits(),
            };
            match self
                .0
                .compare_exchange_weak(state, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return state & RUNNING == 0,
                Err(now) => state = now,
            }
        }
    }

    /// Ends the runner's turn; or, if `begin` was called meanwhile, returns what was handed to it,
    /// and the caller remains the runner. Must be called by the runner only.
    pub fn finish(&self) -> Option<Readiness> {
        match self
            .0
            .compare_exchange(RUNNING, 0, Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => None,
            Err(0) => {
                debug_assert!(false, "Turn::finish without a turn");
                None
            }
            Err(_) => {
                let state = self.0.swap(RUNNING, Ordering::AcqRel);
                Some(Readiness::from_bits(state & !(RUNNING | AGAIN)))
            }
        }
    }

    /// True while some thread has the turn; may be out of date as soon as it is returned.
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed) & RUNNING != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use super::*;

    #[test]
    fn the_first_caller_becomes_the_runner() {
        let turn = Turn::new();
        assert!(!turn.is_taken());
        assert!(turn.begin(Readiness::READABLE));
        assert!(turn.is_taken());
        assert_eq!(turn.finish(), None);
        assert!(!turn.is_taken());
        assert!(turn.begin(Readiness::EMPTY));
    }

    #[test]
    fn what_comes_meanwhile_is_merged_and_left_to_the_runner() {
        let turn = Turn::new();
        assert!(turn.begin(Readiness::READABLE));
        assert!(!turn.begin(Readiness::WRITABLE));
        assert!(!turn.begin(Readiness::HANGUP | Readiness::NOTIFIED));
        let merged = Readiness::WRITABLE | Readiness::HANGUP | Readiness::NOTIFIED;
        assert_eq!(turn.finish(), Some(merged));
        assert!(
            !turn.begin(Readiness::ERROR),
            "still taken after more was returned"
        );
        assert_eq!(turn.finish(), Some(Readiness::ERROR));
        assert_eq!(turn.finish(), None);
    }

    #[test]
    fn an_empty_begin_asks_for_another_round() {
        let turn = Turn::new();
        assert!(turn.begin(Readiness::EMPTY));
        assert!(!turn.begin(Readiness::EMPTY));
        assert_eq!(turn.finish(), Some(Readiness::EMPTY));
        assert_eq!(turn.finish(), None);
    }

    #[test]
    fn runners_never_overlap_and_nothing_is_lost_under_contention() {
        const THREADS: u32 = 4;
        let rounds: u32 = if cfg!(miri) { 200 } else { 200_000 };
        let turn = Turn::new();
        let given = AtomicU32::new(0);
        let seen = AtomicU32::new(0);
        let runs = AtomicU32::new(0);
        // Counted by a load and a store: two runners at once, or a runner that does not see what the
        // one before it did, would lose a count.
        let fragile_runs = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        given.fetch_add(1, Ordering::Relaxed);
                        if !turn.begin(Readiness::NOTIFIED) {
                            continue;
                        }
                        loop {
                            seen.store(given.load(Ordering::Relaxed), Ordering::Relaxed);
                            runs.fetch_add(1, Ordering::Relaxed);
                            let before = fragile_runs.load(Ordering::Relaxed);
                            fragile_runs.store(before + 1, Ordering::Relaxed);
                            match turn.finish() {
                                Some(more) => assert_eq!(more, Readiness::NOTIFIED),
                                None => break,
                            }
                        }
                    }
                });
            }
        });
        assert!(!turn.is_taken());
        // The last one to hand something over was seen by a run that began after it.
        assert_eq!(seen.into_inner(), THREADS * rounds);
        assert_eq!(fragile_runs.into_inner(), runs.into_inner());
    }
}
