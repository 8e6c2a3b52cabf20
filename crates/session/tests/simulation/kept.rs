//! Seeds that once failed. They run before all others.

/// Each found a fault when it was put into the session: a missed edge, a stall without a timer, an outbox that outlives its
/// peer, output that nobody writes, a transport that breaks and tells nobody, a thread in `send` and input that outlive their
/// peer, in this order; or when it was there: a callback that waited for the end of another thread's message in parts, one that polled for more
/// room when there was enough, and input that was not polled for although no turn had stopped for room.
pub const KEPT: &[u64] = &[747, 317, 74, 7, 229, 787, 10_867, 97_494, 1_448, 80_684];
