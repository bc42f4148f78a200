//! How much arrives: bytes over short windows of the receiver's clock, smoothed by how surprising each window is
//! (the Bayesian filter of libwebrtc's acknowledged-bitrate estimate).

const FIRST_WINDOW_US: u64 = 500_000;
const WINDOW_US: u64 = 150_000;
/// How much a window that differs from the estimate is distrusted.
const DISTRUST: f64 = 10.0;
/// Variance added per window, since the true rate moves.
const DRIFT: f64 = 5.0;

#[derive(Debug, Default)]
pub(super) struct Throughput {
    previous: Option<u64>,
    elapsed_us: u64,
    bytes: u64,
    kbps: Option<f64>,
    /// The last windows, the newest first.
    latest_kbps: [f64; 2],
    variance: f64,
}

impl Throughput {
    /// Bits per second, once a window is complete.
    pub(super) fn bps(&self) -> Option<u64> {
        self.kbps.map(|kbps| (kbps * 1_000.0) as u64)
    }

    /// As [`Self::bps`], or one of the last windows' if that had more: what a full bottleneck lets through just now,
    /// even when it was far from full before.
    pub(super) fn peak_bps(&self) -> Option<u64> {
        self.kbps.map(|kbps| (self.latest_kbps.iter().fold(kbps, |peak, kbps| peak.max(*kbps)) * 1_000.0) as u64)
    }

    /// Nobody knows what arrived in between.
    pub(super) const fn interrupt(&mut self) {
        self.previous = None;
        self.elapsed_us = 0;
        self.bytes = 0;
    }

    /// `at` in microseconds; must not run backwards.
    pub(super) fn add(&mut self, at: u64, bytes: u32) {
        let window = if self.kbps.is_some() { WINDOW_US } else { FIRST_WINDOW_US };
        if let Some(previous) = self.previous {
            let passed = at.saturating_sub(previous);
            self.elapsed_us += passed;
            // Silence says nothing about the path.
            if passed > window {
                self.bytes = 0;
                self.elapsed_us %= window;
            }
        }
        self.previous = Some(at);
        if self.elapsed_us >= window {
            let sample = 8_000.0 * self.bytes as f64 / window as f64;
            self.elapsed_us -= window;
            self.bytes = 0;
            self.update(sample);
        }
        self.bytes += u64::from(bytes);
    }

    fn update(&mut self, sample: f64) {
        let [previous, _] = self.latest_kbps;
        self.latest_kbps = [sample, previous];
        let Some(kbps) = self.kbps else {
            self.variance = 50.0;
            self.kbps = Some(sample);
            return;
        };
        let uncertainty = DISTRUST * (kbps - sample).abs() / kbps.max(1.0);
        let (uncertainty, predicted) = (uncertainty * uncertainty, self.variance + DRIFT);
        self.kbps = Some((uncertainty * kbps + predicted * sample) / (uncertainty + predicted));
        self.variance = uncertainty * predicted / (uncertainty + predicted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_rate_and_forgets_silence() {
        let mut throughput = Throughput::default();
        (0..500_u64).for_each(|index| throughput.add(index * 10_000, 1_250));
        let near = |bps: Option<u64>, expected: u64| bps.is_some_and(|bps| bps.abs_diff(expected) < expected / 20);
        assert!(near(throughput.bps(), 1_000_000), "{:?}", throughput.bps());
        (0..500_u64).for_each(|index| throughput.add(60_000_000 + index * 10_000, 2_500));
        assert!(near(throughput.bps(), 2_000_000), "{:?}", throughput.bps());
    }
}
