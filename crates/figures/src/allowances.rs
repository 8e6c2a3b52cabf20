//! How often each client may still do something, over all children: publish over HTTP, say.
//!
//! ```text
//!  who and where ── hash with the board's seed ──► bucket, tag (20 bits)
//!  bucket ── 8 words, a cache line:  tag (20 bits) | when all is allowed again (44 bits, microseconds),  0: nobody's
//! ```
//!
//! A token bucket is one time: each use moves it on by what one costs, and as long as it is no further ahead than the burst
//! takes, the use is allowed (the generic cell rate algorithm, ITU-T I.371). So a word, changed as a whole, is all that there is
//! of it: no lock that a dead child could keep, nothing to take back. Where a bucket has no word left, the client
//! that owes least is forgotten, and gains that.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::{Address, Client};

/// The words of a bucket.
pub(crate) const BUCKET: usize = 8;
/// How many buckets there are.
pub(crate) const BUCKETS: usize = 1024;

/// So many uses beyond a burst are owed at most.
const DEBT: u64 = 256;

pub(crate) type Bucket = [AtomicU64; BUCKET];

/// How often something may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// In a second; from 1 to 1,000,000.
    pub rate: u32,
    /// At once, after a pause; from 1 to 1,000,000.
    pub burst: u32,
}

impl Allowance {
    /// What one use costs, and the burst, in microseconds.
    fn costs(self) -> (u64, u64) {
        let cost = 1_000_000 / u64::from(self.rate.clamp(1, 1_000_000));
        (cost, cost * u64::from(self.burst.max(1)))
    }
}

/// The table.
#[derive(Clone, Copy)]
pub(crate) struct Allowances<'m> {
    buckets: &'m [Bucket],
    /// Keeps clients from choosing their buckets.
    seed: u64,
}

/// A client's word.
#[derive(Clone, Copy)]
struct Owed(u64);

impl Owed {
    const BITS: u32 = 44;
    const TIME: u64 = (1 << Self::BITS) - 1;

    fn new(tag: u64, until: u64) -> Self {
        Owed(tag << Self::BITS | until & Self::TIME)
    }

    fn is_of(self, tag: u64) -> bool {
        self.0 != 0 && self.0 >> Self::BITS == tag
    }

    /// For how long something is owed. The times wrap around after half a year: what is further ahead than any burst
    /// takes is behind.
    fn left(self, now: u64, most: u64) -> u64 {
        let ahead = self.0.wrapping_sub(now) & Self::TIME;
        if self.0 != 0 && ahead <= most {
            ahead
        } else {
            0
        }
    }
}

impl<'m> Allowances<'m> {
    pub fn new(buckets: &'m [Bucket], seed: u64) -> Self {
        Allowances { buckets, seed }
    }

    /// Uses `count` of what a client is allowed; more than a burst passes when a burst does, and takes as long afterwards as it
    /// takes. `place` says what it is allowed, and `now` is Unix time. `Err`: how long to wait for it; nothing is used.
    pub fn take(
        self,
        client: Option<IpAddr>,
        place: u64,
        allowance: Allowance,
        count: u32,
        now: Duration,
    ) -> Result<(), Duration> {
        let client = Address::new(client).client();
        let mixed = Client(client.mixed(self.seed) ^ place).mixed(self.seed);
        let tag = mixed >> Owed::BITS;
        let index = mixed as usize % self.buckets.len().max(1);
        let Some(bucket) = self.buckets.get(index) else {
            return Ok(());
        };
        let (cost, burst) = allowance.costs();
        let wanted = cost.saturating_mul(u64::from(count));
        let most = burst + DEBT * cost;
        let now = now.as_micros() as u64;
        // Each time round, another thread has got on.
        loop {
            let seen = || bucket.iter().map(|word| (word, Owed(load(word))));
            let own = seen().find(|(_, owed)| owed.is_of(tag));
            let other = || seen().min_by_key(|(_, owed)| owed.left(now, Owed::TIME / 2));
            let Some((word, before)) = own.or_else(other) else {
                return Ok(());
            };
            let owed = match before.is_of(tag) {
                true => before.left(now, most),
                false => 0,
            };
            let least = owed + wanted.min(burst);
            if least > burst {
                return Err(Duration::from_micros(least - burst));
            }
            // What is more than a burst is owed all the same.
            let after = (owed + wanted).min(most);
            let after = Owed::new(tag, now.wrapping_add(after));
            let replaced =
                word.compare_exchange(before.0, after.0, Ordering::Relaxed, Ordering::Relaxed);
            if replaced.is_ok() {
                return Ok(());
            }
        }
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_800_000_000);
    const MS: Duration = Duration::from_millis(1);
    const TEN: Allowance = Allowance { rate: 10, burst: 3 };

    fn allowances() -> Allowances<'static> {
        let buckets = (0..BUCKETS).map(|_| Bucket::default());
        Allowances::new(Vec::leak(buckets.collect()), 7)
    }

    fn client(number: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(number.into()))
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let all = allowances();
        let take = |now| all.take(client(1), 1, TEN, 1, now);
        for _ in 0..3 {
            assert_eq!(take(NOON), Ok(()));
        }
        assert_eq!(take(NOON), Err(100 * MS));
        assert_eq!(take(NOON + 60 * MS), Err(40 * MS));
        assert_eq!(take(NOON + 100 * MS), Ok(()));
        assert_eq!(take(NOON + 100 * MS), Err(100 * MS));
        // A pause allows a burst, however long it was.
        for later in [NOON + 10_000 * MS, NOON + 600 * 86_400 * (1000 * MS)] {
            for _ in 0..3 {
                assert_eq!(take(later), Ok(()));
            }
            assert_eq!(take(later), Err(100 * MS));
        }
    }

    #[test]
    fn clients_and_places_are_counted_by_themselves() {
        let all = allowances();
        for (number, place) in [(1, 1), (2, 1), (1, 2)] {
            for _ in 0..3 {
                assert_eq!(all.take(client(number), place, TEN, 1, NOON), Ok(()));
            }
            let one_more = all.take(client(number), place, TEN, 1, NOON);
            assert_eq!(one_more, Err(100 * MS));
        }
    }

    #[test]
    fn several_at_once_are_several_and_no_more_than_a_burst() {
        let all = allowances();
        assert_eq!(all.take(client(1), 1, TEN, 2, NOON), Ok(()));
        assert_eq!(all.take(client(1), 1, TEN, 2, NOON), Err(100 * MS));
        assert_eq!(all.take(client(1), 1, TEN, 1, NOON), Ok(()));
        // What never passes at once passes when a burst does.
        assert_eq!(all.take(client(2), 1, TEN, 100, NOON), Ok(()));
        assert_eq!(all.take(client(2), 1, TEN, 1, NOON), Err(9_800 * MS));
    }

    #[test]
    fn the_largest_numbers_hold() {
        let all = allowances();
        let slow = Allowance {
            rate: 1,
            burst: 1_000_000,
        };
        let fast = Allowance {
            rate: 1_000_000,
            burst: 1,
        };
        assert_eq!(all.take(client(1), 1, slow, 1_000_000, NOON), Ok(()));
        assert_eq!(all.take(client(1), 1, slow, 1, NOON), Err(1000 * MS));
        assert_eq!(all.take(client(1), 2, fast, 1, NOON), Ok(()));
        assert_eq!(
            all.take(client(1), 2, fast, 1, NOON),
            Err(Duration::from_micros(1))
        );
    }

    #[test]
    fn many_clients_forget_none_that_owes_more() {
        let all = allowances();
        for _ in 0..3 {
            all.take(client(1), 1, TEN, 1, NOON).unwrap();
        }
        for number in 2..6_000 {
            assert_eq!(all.take(client(number), 1, TEN, 1, NOON), Ok(()));
        }
        assert_eq!(all.take(client(1), 1, TEN, 1, NOON), Err(100 * MS));
    }

    #[test]
    fn a_burst_is_shared_by_threads() {
        let all = allowances();
        let many = Allowance {
            rate: 1,
            burst: 10_000,
        };
        let taken = || {
            let tries = 0..5_000;
            tries
                .filter(|_| all.take(client(1), 1, many, 1, NOON).is_ok())
                .count()
        };
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(taken)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 10_000);
    }
}
