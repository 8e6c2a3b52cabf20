//! Boards in the memory of the test, and children that live as long as a list says.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use figures::{Board, Death, Filter, Layout, Listing, Process, Seat, Snapshot};

pub const SMALL: Layout = Layout {
    slots: 3,
    entries: 4,
    threads: 3,
};

/// A board for one test. What it takes is small and stays.
pub fn board(layout: Layout) -> Board<'static> {
    let words = (0..layout.words()).map(|_| AtomicU64::new(0));
    let words: &'static [AtomicU64] = Vec::leak(words.collect());
    assert!(Board::find(words).is_none());
    Board::new(words, layout, 7).unwrap();
    Board::find(words).unwrap()
}

/// The processes that live.
#[derive(Default)]
pub struct Processes(RefCell<Vec<u32>>);

impl Processes {
    pub fn are_alive(&self, process: Process) -> bool {
        self.0.borrow().contains(&process.pid)
    }

    pub fn kill(&self, pid: u32) {
        self.0.borrow_mut().retain(|&other| other != pid);
    }

    pub fn claim(&self, board: Board<'static>, pid: u32) -> Option<Arc<Seat<'static>>> {
        self.claim_and_tell(board, pid).map(|(seat, _)| seat)
    }

    /// With what the claim says of the child that had the seat before.
    pub fn claim_and_tell(
        &self,
        board: Board<'static>,
        pid: u32,
    ) -> Option<(Arc<Seat<'static>>, Option<Death>)> {
        let process = Process { pid, started: 1 };
        let claimed = Seat::claim(board, process, 0, &|process| self.are_alive(process));
        self.0.borrow_mut().push(pid);
        claimed
    }

    pub fn read(&self, board: Board<'static>) -> Snapshot {
        let all = Listing {
            from: 0,
            count: Listing::LONGEST,
            filter: Filter::ALL,
        };
        board.read(&all, &|process| self.are_alive(process))
    }
}
