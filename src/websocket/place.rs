//! A WebSocket's place in its child.

use std::sync::Arc;

use crate::board::Entry;

/// The child, as a place in it knows it.
pub trait Places: Send + Sync {
    /// The WebSocket of this number is not open any more.
    fn closed(&self, number: u64);

    /// A place is free again.
    fn vacated(&self);
}

/// One WebSocket's place in its child, from before its on_connect until nothing is left of it.
pub struct Place {
    child: Arc<dyn Places>,
    entry: Entry,
}

impl Place {
    /// A place that `child` has counted as taken.
    pub fn new(child: Arc<dyn Places>, entry: Entry) -> Self {
        Place { child, entry }
    }

    /// Its figures.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The WebSocket is not open any more.
    pub fn closed(&self) {
        self.child.closed(self.entry.id());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.child.vacated();
    }
}
