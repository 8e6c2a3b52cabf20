//! How many messages a peer may send in a second.

use std::time::{Duration, Instant};

/// A token bucket: `burst` messages at once, and then so many in each second.
///
/// Time is what the caller says it is. A peer that is over its rate is not read from until the next message is
/// due; one that has always more to send by then is known by [`over_since`](Self::over_since).
#[derive(Debug)]
pub struct RateLimit {
    /// The time that one message costs.
    cost: Duration,
    /// The time that the bucket holds.
    burst: Duration,
    /// When the bucket is full again: the later, the emptier it is.
    full_at: Instant,
    over_since: Option<Instant>,
}

impl RateLimit {
    /// A limit of `rate` messages a second, and `burst` at once; both at least 1.
    pub fn new(rate: u32, burst: u32, now: Instant) -> RateLimit {
        let cost = Duration::from_secs(1) / rate.max(1);
        RateLimit {
            cost,
            burst: cost.saturating_mul(burst.max(1)),
            full_at: now,
            over_since: None,
        }
    }

    /// A message has come.
    pub fn message(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.cost;
        if self.next_at() > now {
            self.over_since.get_or_insert(now);
        }
    }

    /// When the next message may come: in the past, when it may come now.
    pub fn next_at(&self) -> Instant {
        // The bucket has room for one more.
        (self.full_at + self.cost)
            .checked_sub(self.burst)
            .unwrap_or(self.full_at)
    }

    /// The peer was asked for more, and had nothing: it keeps to its rate.
    pub fn caught_up(&mut self) {
        self.over_since = None;
    }

    /// Since when the peer has been sending more than it may, without ever having caught up.
    pub fn over_since(&self) -> Option<Instant> {
        self.over_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10, 3, start);
        for _ in 0..3 {
            assert!(limit.next_at() <= start);
            limit.message(start);
        }
        assert_eq!(limit.next_at(), start + 100 * MS);
        limit.message(start + 100 * MS);
        assert_eq!(limit.next_at(), start + 200 * MS);
    }

    #[test]
    fn a_pause_fills_the_bucket_but_no_more_than_that() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10, 2, start);
        let later = start + 10_000 * MS;
        limit.message(start);
        limit.message(later);
        limit.message(later);
        assert_eq!(limit.next_at(), later + 100 * MS);
    }

    #[test]
    fn who_never_catches_up_is_over_the_limit_since_its_first_excess() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10, 2, start);
        limit.message(start);
        assert_eq!(limit.over_since(), None);
        limit.message(start);
        assert_eq!(limit.over_since(), Some(start));
        let mut now = start;
        for _ in 0..50 {
            now = now.max(limit.next_at());
            limit.message(now);
            assert_eq!(limit.over_since(), Some(start));
        }
        limit.caught_up();
        assert_eq!(limit.over_since(), None);
    }
}
