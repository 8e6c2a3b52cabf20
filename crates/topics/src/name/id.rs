//! The number of a record, and the epoch that says which log it is a number of.

use std::fmt;
use std::num::NonZeroU64;

/// The number of a record: higher than that of every record before it, whatever their topics. The numbers of one topic
/// are therefore not dense.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RecordId(pub u64);

impl RecordId {
    /// Before the first record.
    pub const NONE: RecordId = RecordId(0);
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which log a number is of: random, drawn when the log is made. Where it differs, the numbers have begun anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(pub NonZeroU64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
