//! What the children count of what becomes of messages.

/// What a child counts, in all ([`Seat::count`](crate::Seat::count)) and of each topic
/// ([`Seat::count_of`](crate::Seat::count_of)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// Messages that were handed to subscribers.
    Delivered,
    /// Messages that subscribers who were too slow have not got.
    Dropped,
    /// Times that a subscriber was told, or was closed over it, that it has missed something.
    Gaps,
    /// Subscribers that came back and got what they had missed.
    Resumed,
}

/// How many there are.
pub(crate) const COUNTS: usize = 4;

/// What was counted, by all children.
///
/// A subscriber of several topics that has missed something, or that has come back, counts once in all, and once for each of
/// the topics that it concerns: so the topics' sum may be more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// See [`Count::Delivered`].
    pub delivered: u64,
    /// See [`Count::Dropped`].
    pub dropped: u64,
    /// See [`Count::Gaps`].
    pub gaps: u64,
    /// See [`Count::Resumed`].
    pub resumed: u64,
}

impl Counted {
    pub(crate) fn read(of: impl Fn(Count) -> u64) -> Self {
        Counted {
            delivered: of(Count::Delivered),
            dropped: of(Count::Dropped),
            gaps: of(Count::Gaps),
            resumed: of(Count::Resumed),
        }
    }
}
