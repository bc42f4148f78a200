//! A token bucket: so much per second on average, so much at once.

use std::time::Instant;

/// Tokens of one sender and one class.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    per_second: u32,
    burst: u32,
    /// Thousandths of a token, so that slow rates refill exactly.
    milli: u64,
    filled: Option<Instant>,
}

impl Bucket {
    /// Begins full.
    pub(crate) const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst, milli: burst as u64 * 1_000, filled: None }
    }

    /// Takes `count` tokens if they are there.
    pub(crate) fn take(&mut self, now: Instant, count: u32) -> bool {
        self.refill(now);
        let cost = u64::from(count) * 1_000;
        if self.milli < cost {
            return false;
        }
        self.milli -= cost;
        true
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = self.filled.map_or(0, |filled| now.saturating_duration_since(filled).as_millis() as u64);
        if elapsed > 0 || self.filled.is_none() {
            let fresh = elapsed.saturating_mul(u64::from(self.per_second));
            self.milli = self.milli.saturating_add(fresh).min(u64::from(self.burst) * 1_000);
            self.filled = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
    fn a_burst_is_spent_and_refills_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3);
        assert_eq!([0; 4].map(|_| bucket.take(start, 1)), [true, true, true, false]);
        let later = start + Duration::from_millis(250);
        assert_eq!([0; 3].map(|_| bucket.take(later, 1)), [true, true, false]);
        assert!(!bucket.take(later + Duration::from_secs(60), 4), "never more than the burst");
    }
}
