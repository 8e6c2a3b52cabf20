//! Who takes a session's turns when a poller reports edges, on whatever thread waits for them.
//!
//! An edge is reported once, and the next one may come on another thread while the first is being handled. So a thread
//! that finds the turns taken leaves word, and the thread that has them looks for word before it goes.
//!
//! | state | what it means | an edge | a wish for a turn ([`Edges::queue`]) | its job ([`Edges::begin_queued`]) |
//! |---|---|---|---|---|
//! | idle | nobody takes turns | **running** | **queued** | does not come |
//! | running | a thread takes turns | *again* is added | *queued* is added | *queued* goes, *again* is added |
//! | queued | a job is under way that will take turns | nothing: the job is going to see what it brought | nothing: there is one job for all | **running** |
//!
//! *Queued* goes together with *running*: the job then finds turns taken, and leaves word. *Hung up* goes with every
//! state, and stays: the poller says it once, and a turn may not be able to read yet.
//!
//! Who cannot send jobs yet lets wishes be *queued* all the same, and sends one as soon as it can ([`Edges::is_queued`]).
//!
//! A turn that panics gives *running* back as if it had more to do, once in a session's life ([`FAILED`]): another turn finds
//! what this one was for. One that panics each time is not asked for without end.
//!
//! One word holds all of it, and each step changes it at once: what one runner did is visible to the next, because each
//! acquires what the last has released.

use crate::environment::Wait;
use crate::shelter::sheltered;
use crate::sync::atomic::{AtomicU8, Ordering};

const RUNNING: u8 = 1;
const AGAIN: u8 = 1 << 1;
const QUEUED: u8 = 1 << 2;
const HUNG_UP: u8 = 1 << 3;
/// A turn has panicked.
const FAILED: u8 = 1 << 4;

/// The turns of one session whose poller reports edges.
#[derive(Debug, Default)]
pub struct Edges(AtomicU8);

/// Whom the turns are taken for, on the thread that takes them.
pub trait Driven {
    /// Takes one turn. `is_hung_up`: the poller has seen the peer's end.
    fn turn(&mut self, is_hung_up: bool) -> Wait;

    /// Has [`Edges::begin_queued`] and [`Edges::run`] called behind the turns of others.
    fn queue(&mut self);
}

impl Edges {
    /// The poller has reported an edge. True: the caller calls [`Edges::run`]. False: whoever takes turns has word, or
    /// the job that is under way is going to see it anyway; a peer that sends without end gets no turn before others
    /// because of its latest bytes.
    pub fn begin(&self, is_hung_up: bool) -> bool {
        let hung_up = if is_hung_up { HUNG_UP } else { 0 };
        let before = self.change(|state| match state {
            _ if state & RUNNING != 0 => state | AGAIN | hung_up,
            _ if state & QUEUED != 0 => state | hung_up,
            _ => state | RUNNING | hung_up,
        });
        before & (RUNNING | QUEUED) == 0
    }

    /// A turn is to be taken behind those of others. True: the caller sends the job, one for all who ask meanwhile.
    pub fn queue(&self) -> bool {
        self.change(|state| state | QUEUED) & QUEUED == 0
    }

    /// Whether a turn has been asked for and no job has come: for who could not send any, and can from now on. Either this sees
    /// the wish, or who wished sees all that came before this: a step like the others, not a look.
    pub fn is_queued(&self) -> bool {
        self.change(|state| state) & QUEUED != 0
    }

    /// The job has come, perhaps in one with an edge. True: the caller calls [`Edges::run`].
    pub fn begin_queued(&self, is_hung_up: bool) -> bool {
        let hung_up = if is_hung_up { HUNG_UP } else { 0 };
        let before = self.change(|state| match state & RUNNING {
            0 => state & !QUEUED | RUNNING | hung_up,
            _ => state & !QUEUED | AGAIN | hung_up,
        });
        before & RUNNING == 0
    }

    /// Takes turns until there is nothing to do now.
    pub fn run(&self, driven: &mut impl Driven) {
        loop {
            let is_hung_up = self.0.load(Ordering::Relaxed) & HUNG_UP != 0;
            let failing = Failing {
                edges: self,
                driven: &mut *driven,
            };
            let wait = failing.driven.turn(is_hung_up);
            std::mem::forget(failing);
            if let Wait::Again = wait {
                return self.run_later(driven, 0);
            }
            let before = self.change(|state| match state & AGAIN {
                0 => state & !RUNNING,
                _ => state & !AGAIN,
            });
            if before & AGAIN == 0 {
                return;
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.0.load(Ordering::Relaxed) & FAILED != 0
    }

    fn stop(&self) {
        self.change(|state| state & !(RUNNING | AGAIN));
    }

    /// What has come meanwhile is for the next turn, too.
    fn run_later(&self, driven: &mut impl Driven, mark: u8) {
        let before = self.change(|state| state & !(RUNNING | AGAIN) | QUEUED | mark);
        if before & QUEUED == 0 {
            driven.queue();
        }
    }

    /// Changes the word, and says what it was.
    fn change(&self, to: impl Fn(u8) -> u8) -> u8 {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            // Acquire: what the last runner did. Release: what this one did, and what came before its word.
            match self.0.compare_exchange_weak(
                state,
                to(state),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(before) => return before,
                Err(now) => state = now,
            }
        }
    }
}

/// Gives the turns back when it is dropped, as by a panic of one.
struct Failing<'a, D: Driven> {
    edges: &'a Edges,
    driven: &'a mut D,
}

impl<D: Driven> Drop for Failing<'_, D> {
    fn drop(&mut self) {
        // A second panic within the first one would end the process.
        sheltered(|| match self.edges.has_failed() {
            false => self.edges.run_later(self.driven, FAILED),
            true => self.edges.stop(),
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    struct Panics(usize);

    impl Driven for Panics {
        fn turn(&mut self, _: bool) -> Wait {
            panic!("a turn")
        }

        fn queue(&mut self) {
            self.0 += 1;
        }
    }

    #[test]
    fn a_turn_that_panics_leaves_the_turns_to_others_and_asks_for_one_once() {
        let edges = Edges::default();
        let mut driven = Panics(0);
        let mut run = |edges: &Edges| sheltered(|| edges.run(&mut driven));
        assert!(edges.begin(true));
        assert!(!edges.begin(false), "another one leaves word");
        assert!(run(&edges).is_none());
        assert!(!edges.begin(false) && !edges.queue(), "a job is under way");
        assert!(edges.begin_queued(false));
        assert!(run(&edges).is_none());
        assert!(edges.begin(false), "the turns are free");
        assert!(run(&edges).is_none());
        assert_eq!(driven.0, 1);
        assert!(edges.queue(), "who asks gets a turn as ever");
    }
}
