//! What rate the delay allows: up by a factor while far from the last known limit, by about a packet per round trip near
//! it, and down to 85 % of what arrives when the queue grows (draft-ietf-rmcat-gcc-02 §5.5).

use super::trend::Usage;
use super::{CEILING_BPS, FLOOR_BPS};

const DOWN: f64 = 0.85;
const UP_PER_SECOND: f64 = 1.08;
/// An estimate never exceeds what arrives by more than this factor and constant: what was not tried is not known.
const AHEAD: (f64, f64) = (1.5, 10_000.0);
const PACKET_BITS: f64 = 1_200.0 * 8.0;
/// A receiver's reaction time on top of the round trip.
const RESPONSE_US: u64 = 100_000;
/// Least additive increase, in bits per second per second.
const STEP_BPS_MIN: f64 = 4_000.0;

#[derive(Debug)]
pub(super) struct Rate {
    bps: f64,
    limit: Limit,
    hold: bool,
    updated_us: Option<u64>,
    decreased_us: Option<u64>,
}

impl Rate {
    pub(super) const fn new(bps: u64) -> Self {
        Self { bps: bps as f64, limit: Limit::new(), hold: true, updated_us: None, decreased_us: None }
    }

    pub(super) const fn bps(&self) -> u64 {
        self.bps as u64
    }

    /// A measurement says that the path carries `bps`.
    pub(super) fn raise(&mut self, bps: u64) {
        self.bps = self.bps.max(bps as f64).min(CEILING_BPS as f64);
        if self.limit.upper().is_some_and(|upper| self.bps > upper) {
            self.limit = Limit::new();
        }
    }

    /// Something other than the delay says that the path carries less.
    pub(super) fn lower(&mut self, bps: u64) {
        self.bps = self.bps.min(bps as f64).max(FLOOR_BPS as f64);
    }

    /// Once per feedback. `now_us` and `rtt_us` in microseconds; `acked` is what arrives, in bits per second.
    pub(super) fn update(&mut self, now_us: u64, usage: Usage, acked: Option<u64>, rtt_us: u64) {
        let passed = now_us.saturating_sub(self.updated_us.unwrap_or(now_us)).min(1_000_000) as f64 / 1e6;
        self.updated_us = Some(now_us);
        match usage {
            Usage::Over => self.decrease(now_us, acked, rtt_us),
            Usage::Under => self.hold = true,
            Usage::Normal if self.hold => self.hold = false,
            Usage::Normal => self.increase(passed, acked, rtt_us),
        }
        self.bps = self.bps.clamp(FLOOR_BPS as f64, CEILING_BPS as f64);
    }

    fn increase(&mut self, passed: f64, acked: Option<u64>, rtt_us: u64) {
        let Some(acked) = acked.map(|acked| acked as f64) else { return };
        let ahead = AHEAD.0 * acked + AHEAD.1;
        if self.bps >= ahead {
            return;
        }
        if self.limit.upper().is_some_and(|upper| acked > upper) {
            self.limit = Limit::new();
        }
        let more = if self.limit.mean.is_some() {
            let per_second = PACKET_BITS * 1e6 / (rtt_us + RESPONSE_US) as f64;
            per_second.max(STEP_BPS_MIN) * passed
        } else {
            (self.bps * (UP_PER_SECOND.powf(passed) - 1.0)).max(1_000.0 * passed)
        };
        self.bps = (self.bps + more).min(ahead);
    }

    fn decrease(&mut self, now_us: u64, acked: Option<u64>, rtt_us: u64) {
        self.hold = true;
        let acked = acked.map_or(self.bps, |acked| acked as f64);
        let since = self.decreased_us.map_or(u64::MAX, |at| now_us.saturating_sub(at));
        // The last decrease is not seen before a round trip has passed.
        if since < rtt_us.clamp(10_000, 200_000) && acked >= 0.5 * self.bps {
            return;
        }
        let mut bps = DOWN * acked;
        if bps > self.bps
            && let Some(mean) = self.limit.mean
        {
            bps = DOWN * mean;
        }
        self.bps = bps.min(self.bps);
        if self.limit.lower().is_some_and(|lower| acked < lower) {
            self.limit = Limit::new();
        }
        self.limit.note(acked);
        self.decreased_us = Some(now_us);
    }
}

/// Where the queue began to grow, over the last times: mean and spread, in bits per second.
#[derive(Debug)]
struct Limit {
    mean: Option<f64>,
    /// Variance over mean, in kbit/s.
    spread: f64,
}

impl Limit {
    const SHARE: f64 = 0.05;
    const SPREAD: (f64, f64) = (0.4, 2.5);

    const fn new() -> Self {
        Self { mean: None, spread: Self::SPREAD.0 }
    }

    fn note(&mut self, bps: f64) {
        let mean = self.mean.map_or(bps, |mean| mean + Self::SHARE * (bps - mean));
        let off = (mean - bps) / 1_000.0;
        let spread = (1.0 - Self::SHARE) * self.spread + Self::SHARE * off * off / (mean / 1_000.0).max(1.0);
        self.spread = spread.clamp(Self::SPREAD.0, Self::SPREAD.1);
        self.mean = Some(mean);
    }

    fn upper(&self) -> Option<f64> {
        self.mean.map(|mean| mean + self.reach(mean))
    }

    fn lower(&self) -> Option<f64> {
        self.mean.map(|mean| (mean - self.reach(mean)).max(0.0))
    }

    /// Three deviations.
    fn reach(&self, mean: f64) -> f64 {
        3.0 * (self.spread * mean / 1_000.0).sqrt() * 1_000.0
    }
}
