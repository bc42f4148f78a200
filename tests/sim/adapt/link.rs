//! A path with one bottleneck: a queue that drops at its tail, a delay, and loss that has nothing to do with the rate.

use std::time::{Duration, Instant};

/// One way. Times are exact; the order of what is sent is kept.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) bps: u64,
    /// Longest wait in the queue.
    pub(super) queue: Duration,
    pub(super) delay: Duration,
    pub(super) loss: f64,
    /// Added to the delay, anything up to this; packets do not overtake each other.
    pub(super) jitter: Duration,
    last_arrival: Option<Instant>,
    random: fastrand::Rng,
    free_at: Option<Instant>,
    /// Bytes that have passed.
    pub(super) passed: u64,
    pub(super) longest_wait: Duration,
}

impl Link {
    pub(super) fn new(bps: u64, loss: f64, seed: u64) -> Self {
        Self {
            bps,
            queue: Duration::from_millis(250),
            delay: Duration::from_millis(40),
            loss,
            jitter: Duration::ZERO,
            last_arrival: None,
            random: fastrand::Rng::with_seed(seed),
            free_at: None,
            passed: 0,
            longest_wait: Duration::ZERO,
        }
    }

    /// When a datagram arrives; `None` when it does not.
    pub(super) fn send(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let begins = self.free_at.unwrap_or(now).max(now);
        let wait = begins - now;
        if wait > self.queue {
            return None;
        }
        self.longest_wait = self.longest_wait.max(wait);
        let ends = begins + Duration::from_nanos(bytes as u64 * 8_000_000_000 / self.bps);
        self.free_at = Some(ends);
        self.passed += bytes as u64;
        let arrives =
            (ends + self.delay + self.jitter.mul_f64(self.random.f64())).max(self.last_arrival.unwrap_or(ends));
        self.last_arrival = Some(arrives);
        (self.random.f64() >= self.loss).then_some(arrives)
    }
}
