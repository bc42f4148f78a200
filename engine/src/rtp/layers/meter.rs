//! What the layers of one encoding cost: bits per second of each, over the last second or so.

use std::time::{Duration, Instant};

use super::{Place, SPATIAL_MAX, TEMPORAL_MAX};

const WINDOW: Duration = Duration::from_millis(500);
/// The part of a difference that is believed per window. Falling rates are believed slowly: a still page moves again.
const BELIEVED_UP: u64 = 2;
const BELIEVED_DOWN: u64 = 5;
/// A layer that sent nothing for this many windows is not offered any more.
const ABSENT_WINDOWS: u8 = 4;

/// Bits per second of spatial × temporal layers, each alone.
pub type Rates = [[u64; TEMPORAL_MAX]; SPATIAL_MAX];

#[derive(Debug, Clone, Copy, Default)]
struct Layer {
    bytes: u32,
    bps: u32,
    absent: u8,
}

/// One encoding's meter.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    since: Option<Instant>,
    layers: [[Layer; TEMPORAL_MAX]; SPATIAL_MAX],
    ready: bool,
}

impl Meter {
    /// Notes a packet of `bytes` that arrived at `now`.
    pub fn count(&mut self, now: Instant, place: &Place, bytes: usize) {
        self.roll(now);
        let row = self.layers.get_mut(usize::from(place.spatial));
        if let Some(layer) = row.and_then(|row| row.get_mut(usize::from(place.temporal))) {
            layer.bytes = layer.bytes.saturating_add(bytes as u32);
        }
    }

    /// Closes windows that are over. To be called before [`Self::rates`] when no packet may have come for a while.
    pub fn roll(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < WINDOW {
            return;
        }
        let first = !std::mem::replace(&mut self.ready, true);
        self.since = Some(now);
        for layer in self.layers.iter_mut().flatten() {
            layer.close(passed, first);
        }
    }

    /// Bits per second of each layer; zero for layers that do not flow.
    pub fn rates(&self) -> Rates {
        self.layers.map(|row| row.map(|layer| u64::from(layer.bps)))
    }

    /// Has it measured anything yet?
    pub const fn is_ready(&self) -> bool {
        self.ready
    }
}

impl Layer {
    fn close(&mut self, passed: Duration, first: bool) {
        let passed_ms = passed.as_millis().max(1) as u64;
        let windows = (passed_ms / WINDOW.as_millis() as u64).clamp(1, 64) as u8;
        let bytes = u64::from(std::mem::take(&mut self.bytes));
        self.absent = if bytes > 0 { 0 } else { self.absent.saturating_add(windows) };
        let (sample, known) = (bytes * 8_000 / passed_ms, u64::from(self.bps));
        let bps = if self.absent >= ABSENT_WINDOWS {
            0
        } else if first || known == 0 {
            sample
        } else if sample > known {
            known + (sample - known) / BELIEVED_UP
        } else {
            known - (known - sample) / BELIEVED_DOWN
        };
        self.bps = u32::try_from(bps).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn rates_rise_soon_fall_slowly_and_end() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let mut meter = Meter::default();
        let upper = Place { temporal: 1, ..Place::default() };
        for step in 0..150 {
            meter.count(at(step * 10), &Place::default(), 625);
            meter.count(at(step * 10), &upper, if step < 50 { 250 } else { 1_250 });
        }
        meter.roll(at(1_500));
        let [first, ..] = meter.rates();
        assert_eq!(first, [500_000, 800_000, 0, 0]);
        meter.roll(at(2_000));
        let [[base_bps, ..], ..] = meter.rates();
        assert_eq!(base_bps, 400_000);
        meter.roll(at(3_500));
        assert_eq!(meter.rates(), Rates::default());
        assert!(meter.is_ready());
    }
}
