//! Is the queue growing? A line through the last delays, and a threshold that learns what is normal here
//! (draft-ietf-rmcat-gcc-02 §5.3–5.5, with the line filter that libwebrtc uses instead of the draft's Kalman filter).

use super::arrival::Delta;

/// Groups through which the line is drawn.
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
/// Groups after which the line is trusted fully.
const DELTAS_TRUSTED: u32 = 60;
/// Milliseconds of growth before it counts.
const OVER_MS_MIN: f64 = 10.0;
const THRESHOLD_START: f64 = 12.5;
const THRESHOLD: (f64, f64) = (6.0, 600.0);
const ADAPT_UP: f64 = 0.0087;
const ADAPT_DOWN: f64 = 0.039;
/// A queue longer than this is where loss comes from.
const FULL_MS: f64 = 60.0;
/// How fast the shortest delay is forgotten: two milliseconds per second.
const FORGOTTEN: f64 = 0.002;
/// The part of a window's highest delay below which the queue is on its way down.
const DRAINED: f32 = 0.75;
/// A single spike farther than this from the threshold teaches nothing.
const SPIKE: f64 = 15.0;

/// What the path's queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Usage {
    /// It is steady.
    #[default]
    Normal,
    /// It grows.
    Over,
    /// It drains.
    Under,
}

#[derive(Debug)]
pub(super) struct Trend {
    /// Arrival and smoothed delay, in milliseconds; a ring.
    points: [(f64, f64); WINDOW],
    sums: Sums,
    /// The delays of the same groups as they were, in milliseconds; a ring.
    delays: [f32; WINDOW],
    count: u32,
    first_at: Option<u64>,
    accumulated: f64,
    /// The shortest delay of late; forgotten slowly, since routes change and clocks drift.
    shortest: f64,
    smoothed: f64,
    threshold: f64,
    adapted_at: f64,
    previous: f64,
    over_ms: Option<f64>,
    over_count: u32,
    usage: Usage,
}

impl Trend {
    pub(super) const fn new() -> Self {
        Self {
            points: [(0.0, 0.0); WINDOW],
            sums: Sums::new(),
            delays: [0.0; WINDOW],
            count: 0,
            first_at: None,
            accumulated: 0.0,
            shortest: 0.0,
            smoothed: 0.0,
            threshold: THRESHOLD_START,
            adapted_at: 0.0,
            previous: 0.0,
            over_ms: None,
            over_count: 0,
            usage: Usage::Normal,
        }
    }

    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Do packets wait in a long queue, be it growing or not?
    pub(super) fn is_queue_full(&self) -> bool {
        self.smoothed - self.shortest > FULL_MS
    }

    /// Takes how the newest group differs from the one before.
    pub(super) fn add(&mut self, delta: Delta) {
        let (sent, arrived) = (delta.sent as f64 / 1_000.0, delta.arrived as f64 / 1_000.0);
        let first = *self.first_at.get_or_insert(delta.at);
        let at = delta.at.saturating_sub(first) as f64 / 1_000.0;
        self.accumulated += arrived - sent;
        self.shortest = (self.shortest + sent * FORGOTTEN).min(self.accumulated);
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        let place = self.count as usize % WINDOW;
        if let Some(point) = self.points.get_mut(place) {
            if self.count as usize >= WINDOW {
                self.sums.add(*point, -1.0);
            }
            *point = (at, self.smoothed);
            self.sums.add(*point, 1.0);
        }
        if place == WINDOW - 1 {
            self.sums = Sums::of(&self.points);
        }
        if let Some(delay) = self.delays.get_mut(place) {
            *delay = self.accumulated as f32;
        }
        self.count = self.count.saturating_add(1);
        let slope =
            if self.count as usize >= WINDOW { self.sums.slope().unwrap_or(self.previous) } else { self.previous };
        self.judge(slope, sent, at);
    }

    /// A large frame fills the queue at once and then leaves it. The line still rises when it has half drained, but that
    /// is no sign of sending too much.
    fn is_draining(&self) -> bool {
        let (low, high) =
            self.delays.iter().fold((f32::MAX, f32::MIN), |(low, high), delay| (low.min(*delay), high.max(*delay)));
        let newest = (1..=3).filter_map(|age| self.delays.get((self.count as usize + WINDOW - age) % WINDOW));
        newest.sum::<f32>() / 3.0 < low + DRAINED * (high - low)
    }

    fn judge(&mut self, slope: f64, sent_ms: f64, at: f64) {
        let weighted = f64::from(self.count.min(DELTAS_TRUSTED)) * slope * GAIN;
        if weighted > self.threshold {
            let over = self.over_ms.map_or(sent_ms / 2.0, |over| over + sent_ms);
            self.over_count += 1;
            self.over_ms = Some(over);
            if over > OVER_MS_MIN && self.over_count > 1 && slope >= self.previous && !self.is_draining() {
                self.over_ms = Some(0.0);
                self.over_count = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_ms = None;
            self.over_count = 0;
            self.usage = if weighted < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.previous = slope;
        self.adapt(weighted.abs(), at);
    }

    fn adapt(&mut self, weighted: f64, at: f64) {
        let passed = (at - self.adapted_at).clamp(0.0, 100.0);
        self.adapted_at = at;
        if weighted > self.threshold + SPIKE {
            return;
        }
        let speed = if weighted < self.threshold { ADAPT_DOWN } else { ADAPT_UP };
        self.threshold =
            (self.threshold + speed * (weighted - self.threshold) * passed).clamp(THRESHOLD.0, THRESHOLD.1);
    }
}

/// Sums over the window's points, relative to an origin that follows them, so that differences stay exact.
#[derive(Debug)]
struct Sums {
    origin: (f64, f64),
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    const fn new() -> Self {
        Self { origin: (0.0, 0.0), x: 0.0, y: 0.0, xx: 0.0, xy: 0.0 }
    }

    /// Of a full window whose oldest point is its first.
    fn of(points: &[(f64, f64); WINDOW]) -> Self {
        let [oldest, ..] = *points;
        let mut sums = Self { origin: oldest, ..Self::new() };
        points.iter().for_each(|point| sums.add(*point, 1.0));
        sums
    }

    fn add(&mut self, point: (f64, f64), weight: f64) {
        let (x, y) = (point.0 - self.origin.0, point.1 - self.origin.1);
        self.x += weight * x;
        self.y += weight * y;
        self.xx += weight * x * x;
        self.xy += weight * x * y;
    }

    /// Of the line with the least squares, through a full window.
    fn slope(&self) -> Option<f64> {
        let count = WINDOW as f64;
        let below = count * self.xx - self.x * self.x;
        (below > 0.0).then(|| (count * self.xy - self.x * self.y) / below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(trend: &mut Trend, groups: u64, from: u64, extra_us: i64) -> u64 {
        (1..=groups).fold(from, |at, _| {
            let arrived = 20_000_u64.saturating_add_signed(extra_us);
            trend.add(Delta { sent: 20_000, arrived, at: at + arrived });
            at + arrived
        })
    }

    #[test]
    fn a_growing_queue_is_seen_and_a_draining_one_too() {
        let mut trend = Trend::new();
        let at = feed(&mut trend, 60, 1_000_000, 0);
        assert_eq!(trend.usage(), Usage::Normal);
        let at = feed(&mut trend, 20, at, 2_000);
        assert_eq!(trend.usage(), Usage::Over);
        feed(&mut trend, 25, at, -4_000);
        assert_eq!(trend.usage(), Usage::Under);
    }
}
