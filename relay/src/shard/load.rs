//! How busy a shard is: the share of time that its turns take.
//!
//! Measured by the loop's own two looks at the clock per turn, weighted so that what was a second ago counts a third.
//! Being kept waiting by a neighbour on the same core counts as busy: that time is no more to be had than any other.

use std::time::{Duration, Instant};

use fanlight_wire::limits::SHARD_LOAD_WINDOW;

/// Below this share a shard is called idle, so that it need not wake to say that it is.
const IDLE: f64 = 0.005;

#[derive(Debug)]
pub(super) struct Load {
    busy: Duration,
    since: Instant,
    share: f64,
}

impl Load {
    pub(super) const fn new(now: Instant) -> Self {
        Self { busy: Duration::ZERO, since: now, share: 0.0 }
    }

    /// A turn took this long.
    pub(super) fn spend(&mut self, turn: Duration) {
        self.busy += turn;
    }

    /// The load now, in thousandths. Call it a few times per window.
    pub(super) fn publish(&mut self, now: Instant) -> u32 {
        let wall = now.saturating_duration_since(self.since).as_secs_f64();
        if wall > 0.0 {
            let share = (self.busy.as_secs_f64() / wall).min(1.0);
            let kept = (-wall / SHARD_LOAD_WINDOW.as_secs_f64()).exp();
            self.share = share + (self.share - share) * kept;
            (self.busy, self.since) = (Duration::ZERO, now);
        }
        if self.share < IDLE { 0 } else { (self.share * 1_000.0).round() as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const QUARTER: Duration = Duration::from_millis(250);

    /// The loads told while each quarter of a second holds this much work.
    fn told(load: &mut Load, now: &mut Instant, work: Duration, quarters: usize) -> Vec<u32> {
        let quarter = |_| {
            load.spend(work);
            *now += QUARTER;
            load.publish(*now)
        };
        (0..quarters).map(quarter).collect()
    }

    #[test]
    fn a_load_comes_and_goes_within_its_window() {
        let mut now = clock::now();
        let mut load = Load::new(now);
        assert_eq!(load.publish(now), 0);
        let rising = told(&mut load, &mut now, QUARTER * 9 / 10, 24);
        assert!(rising.is_sorted(), "{rising:?}");
        assert!((500..650).contains(&rising[3]), "two thirds of it after a second: {rising:?}");
        assert!((890..=900).contains(&rising[23]), "{rising:?}");
        let falling = told(&mut load, &mut now, Duration::ZERO, 24);
        assert!(falling.iter().rev().is_sorted() && falling[23] == 0, "{falling:?}");
    }

    #[test]
    fn a_turn_that_spans_publications_counts_as_full() {
        let mut now = clock::now();
        let mut load = Load::new(now);
        now += QUARTER;
        load.spend(QUARTER * 20);
        assert!(load.publish(now) <= 1_000);
    }
}
