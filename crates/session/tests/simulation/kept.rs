//! Seeds that once failed. They run before all others.

/// Each found a fault when it was put into the session: a missed edge, a stall without a timer, an outbox that outlives its
/// peer, output that nobody writes, a transport that breaks and tells nobody, a thread in `send` and input that outlive their
/// peer, in this order; or when it was there: a callback that waited for the end of another thread's message in parts, one that polled for more
/// room when there was enough, input that was not polled for although no turn had stopped for room, and turns that went on behind a long
/// callback for the last message of a read, for one held back; a missed edge again, input that a last part did not have flow, in worlds whose
/// threads are late behind a write; and, when it was there, a job whose wish for another one was taken for its own. Then come
/// input and a thread in `send` that outlive their peer, once more, and room for stalled output of which a turn made nothing, because it had no
/// room for input by then.
pub const KEPT: &[u64] = &[
    747, 317, 74, 7, 229, 787, 10_867, 97_494, 1_448, 80_684, 126_694, 126_122, 1_310, 4_702,
    7_317, 19_355, 33_560, 9_081,
];
