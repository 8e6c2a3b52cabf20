//! Reading the log as it grows.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use super::Batch;
use super::batch::header_at;
use crate::bell::Bell;
use crate::memory::{Parts, get, header, put, seat};
use crate::name::RecordId;
use crate::table::Seats;

/// A child's reader: reads every record once, in order, from the log's end at the time when it was made.
pub struct Reader<'m> {
    parts: Parts<'m>,
    seat: usize,
    cursor: u64,
    /// The last record before the cursor.
    last: RecordId,
    /// What is at the cursor is damaged.
    is_damaged: bool,
}

/// Records are missing between two that were read; or copies of retained ones were, which nobody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The last record before the gap. Whether a topic has lost something is told by its next record's
    /// [`previous`](super::Record::previous), when that is later than this, and by its [`History`](super::History) at once.
    pub after: RecordId,
    /// Why.
    pub cause: Cause,
    /// Where in the log the reader goes on: whoever begins there or later has lost nothing.
    pub next: u64,
}

/// Why records are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// They were overwritten before they were read.
    Overrun,
    /// They are not what was written: something else in a process has written to the log's memory.
    Damaged,
}

impl<'m> Reader<'m> {
    pub(crate) fn new(parts: Parts<'m>, seat: usize, cursor: u64, last: RecordId) -> Self {
        Reader {
            parts,
            seat,
            cursor,
            last,
            is_damaged: false,
        }
    }

    /// Reads the next records into `batch`, in place of what is in it: none when there are none, some hundred at most.
    /// After a gap it goes on with the oldest record that is there. Never waits.
    pub fn next(&mut self, batch: &mut Batch) -> Result<(), Gap> {
        batch.clear();
        let result = self.read(batch);
        put(&self.parts.seats[self.seat][seat::CURSOR], self.cursor);
        result
    }

    /// Goes past what there is without reading it, when nobody wants it; says whether it has. `nobody` is asked when it is known
    /// what there is: who comes later gets that from a topic's [`History`](super::History), if it is to.
    pub fn skip(&mut self, nobody: impl FnOnce() -> bool) -> bool {
        // Before the end: so the record of this id is before it, or the very next one, which is being written.
        let latest = get(&self.parts.header[header::LAST_ID]);
        let end = get(&self.parts.header[header::COMMIT]);
        if self.is_damaged || end <= self.cursor || !nobody() {
            return false;
        }
        self.cursor = end;
        self.last = self.last.max(RecordId(latest.saturating_sub(1)));
        put(&self.parts.seats[self.seat][seat::CURSOR], self.cursor);
        true
    }

    fn read(&mut self, batch: &mut Batch) -> Result<(), Gap> {
        let end = get(&self.parts.header[header::COMMIT]);
        if self.is_damaged || self.cursor > end {
            return Err(self.gap(Cause::Damaged, end));
        }
        let mut at = self.cursor;
        while at < end && !batch.is_full() {
            let Some(record) = header_at(&self.parts, at, end) else {
                break;
            };
            if !record.is_carried {
                batch.copy(self.parts.ring, record, at);
            }
            at = at.saturating_add(record.words());
        }
        // Whatever was written to these words before they were read, the tail had been moved before.
        fence(Ordering::Acquire);
        let tail = self.parts.header[header::TAIL].load(Ordering::Relaxed);
        if self.cursor < tail {
            batch.clear();
            return Err(self.gap(Cause::Overrun, tail));
        }
        let is_stuck = at == self.cursor && at < end;
        self.cursor = at;
        if let Some(bad) = batch.keep_good() {
            self.cursor = bad;
            self.is_damaged = true;
        }
        if let Some(last) = batch.last_id() {
            self.last = last;
        } else if is_stuck || self.is_damaged {
            return Err(self.gap(Cause::Damaged, end));
        }
        Ok(())
    }

    /// Goes on at `cursor`.
    fn gap(&mut self, cause: Cause, cursor: u64) -> Gap {
        self.cursor = cursor;
        self.is_damaged = false;
        Gap {
            after: self.last,
            cause,
            next: cursor,
        }
    }

    /// Waits until something was published for a subscriber of this child, or somebody rings
    /// ([`Seat::ring`](crate::Seat::ring)); `most` at the longest, and not at all when there is something to read.
    ///
    /// A publisher that is killed between a record's end and the bell wakes nobody: so `most` is how late that record
    /// may be when no other one follows, and some hundred milliseconds are a good choice.
    pub fn wait(&self, bell: &(impl Bell + ?Sized), most: Duration) {
        self.wait_unless(|| false, bell, most);
    }

    /// [`Reader::wait`], not at all when `is_over` says so: that is asked once the bell has been looked at, so that who makes it
    /// true, and then rings, ends the wait.
    pub fn wait_unless(
        &self,
        is_over: impl FnOnce() -> bool,
        bell: &(impl Bell + ?Sized),
        most: Duration,
    ) {
        let seats = Seats(self.parts);
        let word: &AtomicU64 = seats.bell(self.seat);
        let seen = word.load(Ordering::SeqCst);
        if is_over() {
            return;
        }
        seats.set_waiting(self.seat, true);
        // Either this sees the record, or its publisher sees that this waits.
        fence(Ordering::SeqCst);
        if self.parts.header[header::COMMIT].load(Ordering::SeqCst) == self.cursor {
            bell.wait(word, seen, most);
        }
        seats.set_waiting(self.seat, false);
    }

    /// The last record that was read, or that was there when the reader was made.
    pub fn last(&self) -> RecordId {
        self.last
    }
}
