//! Where to begin a walk back through a topic's records the next time.
//!
//! Records know the one before them. Who reads what it has missed in steps, from the first on, would walk all the way back for
//! each of them: the first walk leaves marks, at equal distances, and the next ones begin at the mark behind what is read next.

use crate::name::RecordId;

/// A record, as the one after it in its topic knows it.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub position: u64,
    pub id: u64,
}

/// The marks of a walk; two to three kilobytes at most. None at first.
#[derive(Default)]
pub struct Trail {
    /// From the first record to the last.
    marks: Vec<Link>,
}

impl Trail {
    /// The most marks.
    const MOST: usize = 128;

    /// What is up to here has been read. Where to begin, if it is known.
    pub(super) fn next(&mut self, since: RecordId) -> Option<Link> {
        let read = self.marks.iter().take_while(|mark| mark.id <= since.0);
        let read = read.count();
        self.marks.drain(..read);
        self.marks.first().copied()
    }
}

/// Leaves marks on a walk from the last record to the first.
pub(super) struct Marker<'t> {
    trail: &'t mut Trail,
    passed: usize,
    distance: usize,
}

impl<'t> Marker<'t> {
    /// Records between two marks, at first.
    const DISTANCE: usize = 512;

    pub fn new(trail: &'t mut Trail) -> Self {
        trail.marks.clear();
        Marker {
            trail,
            passed: 0,
            distance: Self::DISTANCE,
        }
    }

    pub fn pass(&mut self, link: Link) {
        self.passed += 1;
        if !self.passed.is_multiple_of(self.distance) {
            return;
        }
        let marks = &mut self.trail.marks;
        marks.push(link);
        if marks.len() > Trail::MOST {
            // Those that are multiples of twice the distance stay.
            let mut nth = 0;
            marks.retain(|_| {
                nth += 1;
                nth % 2 == 0
            });
            self.distance *= 2;
        }
    }

    /// The walk is over.
    pub fn end(self) {
        self.trail.marks.reverse();
    }
}
