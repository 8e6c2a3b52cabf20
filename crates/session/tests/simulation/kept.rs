//! Seeds that once failed. They run before all others.

/// Each found a fault when it was put into the session: a missed edge, a stall without a timer, an outbox that outlives its
/// peer, and output that nobody writes, in this order.
pub const KEPT: &[u64] = &[747, 317, 74, 7];
