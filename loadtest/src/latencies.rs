//! Latencies and their percentiles.

use std::fmt;

/// Microseconds, as measured; exact, because a run's samples fit in memory.
#[derive(Debug, Default, Clone)]
pub struct Latencies {
    samples: Vec<u32>,
}

/// What a set of latencies comes to, in microseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub count: usize,
    pub p50: u32,
    pub p90: u32,
    pub p99: u32,
    pub max: u32,
}

impl Latencies {
    pub fn note(&mut self, us: u64) {
        self.samples.push(u32::try_from(us).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, samples: Vec<u32>) {
        self.samples.extend(samples);
    }

    pub fn into_samples(self) -> Vec<u32> {
        self.samples
    }

    /// Nearest-rank percentiles.
    pub fn summary(&self) -> Summary {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(at).copied().unwrap_or(0)
        };
        Summary { count: sorted.len(), p50: rank(50), p90: rank(90), p99: rank(99), max: rank(100) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u32| f64::from(us) / 1_000.0;
        let (p50, p90, p99, max) = (ms(self.p50), ms(self.p90), ms(self.p99), ms(self.max));
        write!(f, "p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, max {max:.2} ms ({} samples)", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), Summary::default());
        latencies.merge((1..=100).rev().collect());
        let expected = Summary { count: 100, p50: 50, p90: 90, p99: 99, max: 100 };
        assert_eq!(latencies.summary(), expected);
    }
}
