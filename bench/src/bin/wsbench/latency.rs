//! Percentiles of times.

use std::{fmt, time::Duration};

/// Every time that was taken, up to a bound that one run does not reach.
pub struct Latencies(Vec<u32>);

impl Latencies {
    const MOST: usize = 8 << 20;

    pub fn new() -> Self {
        Self(Vec::with_capacity(Self::MOST))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a time; one above four seconds counts as four.
    pub fn add(&mut self, time: Duration) {
        if self.0.len() < Self::MOST {
            self.0
                .push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    pub fn summary(&mut self) -> Summary {
        self.0.sort_unstable();
        let at = |share: f64| {
            let index = (self.0.len() as f64 * share) as usize;
            self.0
                .get(index.min(self.0.len().saturating_sub(1)))
                .map_or(0.0, |&ns| f64::from(ns) / 1e3)
        };
        Summary {
            p50: at(0.50),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// Microseconds.
pub struct Summary {
    pub p50: f64,
    pub p99: f64,
    max: f64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50_us={:.1} p99_us={:.1} max_us={:.1}",
            self.p50, self.p99, self.max
        )
    }
}
