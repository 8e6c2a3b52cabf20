//! How long things take: counts by duration, and what can be said of them.

use std::time::Duration;

/// The upper ends of the buckets of one decade: ten equal steps, rounded as in ISO 3 (R10), so that 1, 2 and 5 are
/// among them.
const STEPS: [u64; 10] = [100, 125, 160, 200, 250, 315, 400, 500, 630, 800];
/// From 10 µs to 100 s.
const DECADES: usize = 7;
/// How many buckets there are; the last has what is longer than all the others' ends.
pub(crate) const BUCKETS: usize = STEPS.len() * DECADES + 2;

/// A distribution of durations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    /// Not cumulative; [`BUCKETS`] of them, or none.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: Duration,
}

impl Histogram {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What all of them sum up to.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The duration that a part of them, 0.99 say, is not longer than; within the steps of the buckets, a quarter of
    /// it or less. `None` when there are none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let rank = part * count as f64;
        let mut below = 0;
        for (bucket, &here) in self.counts.iter().enumerate() {
            if here > 0 && (below + here) as f64 >= rank {
                let low = if bucket == 0 { 0 } else { end(bucket - 1) };
                // Nothing is known about how long the longest are.
                let high = if bucket + 1 == BUCKETS {
                    low
                } else {
                    end(bucket)
                };
                let within = ((rank - below as f64) / here as f64).clamp(0.0, 1.0);
                let nanos = low as f64 + within * (high - low) as f64;
                return Some(Duration::from_nanos(nanos as u64));
            }
            below += here;
        }
        None
    }

    /// How many are not longer than 100 µs, 200 µs, 500 µs and so on up to 100 s; and in the last place, all.
    pub fn cumulative(&self) -> Vec<(Option<Duration>, u64)> {
        let mut below = 0;
        let mut ends = Vec::new();
        for (bucket, &here) in self.counts.iter().enumerate() {
            below += here;
            if bucket + 1 == BUCKETS {
                ends.push((None, below));
            } else if bucket >= STEPS.len()
                && matches!(STEPS[bucket % STEPS.len()], 100 | 200 | 500)
            {
                ends.push((Some(Duration::from_nanos(end(bucket))), below));
            }
        }
        ends
    }
}

/// The bucket that a duration falls into.
pub(crate) fn bucket(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // The ends ascend.
    let (mut low, mut high) = (0, BUCKETS - 1);
    while low < high {
        let middle = (low + high) / 2;
        match end(middle) < nanos {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

/// The upper end of a bucket but the last, in nanoseconds.
fn end(bucket: usize) -> u64 {
    let (decade, step) = (bucket / STEPS.len(), bucket % STEPS.len());
    STEPS[step] * 100 * 10_u64.pow(decade as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = Duration>) -> Histogram {
        let mut counts = vec![0; BUCKETS];
        let mut sum = Duration::ZERO;
        for time in times {
            counts[bucket(time)] += 1;
            sum += time;
        }
        Histogram { counts, sum }
    }

    const MS: Duration = Duration::from_millis(1);
    const US: Duration = Duration::from_micros(1);

    #[test]
    fn the_ends_ascend_from_10_us_to_100_s() {
        assert_eq!(end(0), 10_000);
        assert_eq!(end(BUCKETS - 2), 100_000_000_000);
        assert!((1..BUCKETS - 1).all(|bucket| end(bucket - 1) < end(bucket)));
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_that_does_not_end_before_it() {
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(10 * US), 0);
        assert_eq!(bucket(Duration::from_nanos(10_001)), 1);
        assert_eq!(bucket(100_000 * MS), BUCKETS - 2);
        assert_eq!(bucket(100_001 * MS), BUCKETS - 1);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        for bucket_number in 0..BUCKETS - 1 {
            assert_eq!(
                bucket(Duration::from_nanos(end(bucket_number))),
                bucket_number
            );
        }
    }

    #[test]
    fn quantiles_are_right_to_the_step() {
        let ramp = of((1..=1000).map(|number| number * MS));
        let close = |part: f64, right: f64| {
            let found = ramp.quantile(part).unwrap().as_secs_f64();
            assert!(
                (found / right - 1.0).abs() < 0.13,
                "{part}: {found}, not {right}"
            );
        };
        close(0.5, 0.5);
        close(0.9, 0.9);
        close(0.99, 0.99);
        assert_eq!(ramp.count(), 1000);
        assert_eq!(ramp.sum(), 500_500 * MS);
    }

    #[test]
    fn none_have_no_quantile_and_the_longest_are_100_s_or_more() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(of([]).quantile(0.5), None);
        assert_eq!(of([3_600_000 * MS]).quantile(0.99), Some(100_000 * MS));
    }

    #[test]
    fn cumulative_counts_ascend_and_end_with_all() {
        let histogram = of([5 * US, 30 * US, 300 * US, 3 * MS, 3_600_000 * MS]);
        let ends = histogram.cumulative();
        assert_eq!(ends.len(), 3 * (DECADES - 1) + 2);
        assert_eq!(ends[0], (Some(100 * US), 2));
        assert_eq!(ends[1], (Some(200 * US), 2));
        assert_eq!(ends[2], (Some(500 * US), 3));
        assert_eq!(ends[3 * (DECADES - 1)], (Some(100_000 * MS), 4));
        assert_eq!(ends.last(), Some(&(None, 5)));
    }
}
