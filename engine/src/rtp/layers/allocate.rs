//! Who gets how much of a subscriber's path.
//!
//! Sound first, then the lowest of every picture, screens before cameras, then what improves most per bit.
//! [`allocate`] is that rule; [`Allocation`] applies it over time without swinging: down when the path says so, up only
//! with room to spare, and after a rise that failed only after a rest that doubles.

use std::time::{Duration, Instant};

use fanlight_wire::limits::MEDIA_SECTIONS_MAX;

use super::Target;
use super::ladder::{Kind, Ladder};

/// Room to spare before something is raised, in percent of what it will cost.
const SPARE_PERCENT: u64 = 15;
/// What measured rates may exceed the estimate by before something is lowered.
const SLACK_PERCENT: u64 = 5;
/// Over budget for this long while the queue does not grow.
const OVER_MAX: Duration = Duration::from_millis(500);
/// Time for a change to show in the estimate.
const SETTLE: Duration = Duration::from_secs(1);
/// Rest after something was lowered; the longer one, doubling, when it had been raised within [`FAILED_WITHIN`].
const REST: Duration = Duration::from_secs(5);
const REST_FAILED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(80));
const FAILED_WITHIN: Duration = Duration::from_secs(15);

/// Step of each demand's ladder.
type Steps = [usize; MEDIA_SECTIONS_MAX];

/// The targets that fit into `estimate` bits per second, in the order of `demands`. The lowest steps are given even
/// when they do not fit: never silence. Demands beyond [`MEDIA_SECTIONS_MAX`] get their lowest step.
pub fn allocate(estimate: u64, demands: &[Ladder]) -> [Target; MEDIA_SECTIONS_MAX] {
    let steps = fit(estimate, demands);
    let mut targets = [Target::default(); MEDIA_SECTIONS_MAX];
    for ((target, demand), step) in targets.iter_mut().zip(demands).zip(steps) {
        *target = demand.step(step).target;
    }
    targets
}

fn fit(estimate: u64, demands: &[Ladder]) -> Steps {
    let mut steps = Steps::default();
    let mut left = estimate.saturating_sub(cost(demands, &steps));
    while let Some((index, price)) = best_rise(demands, &steps, left) {
        if let Some(step) = steps.get_mut(index) {
            *step += 1;
        }
        left -= price;
    }
    steps
}

/// The affordable rise that improves most per bit, and its price.
fn best_rise(demands: &[Ladder], steps: &Steps, left: u64) -> Option<(usize, u64)> {
    let rises = demands.iter().zip(steps).enumerate().filter_map(|(index, (demand, step))| {
        let (current, next) = (demand.step(*step), demand.steps().get(step + 1)?);
        let price = next.bps.saturating_sub(current.bps);
        let better = (next.bps.max(1) as f64 / current.bps.max(1) as f64).log2();
        let weight = if demand.kind() == Kind::Screen { 2.0 } else { 1.0 };
        (price <= left).then(|| (index, price, weight * better / price.max(1) as f64))
    });
    rises.max_by(|a, b| a.2.total_cmp(&b.2)).map(|(index, price, _)| (index, price))
}

fn cost(demands: &[Ladder], steps: &Steps) -> u64 {
    demands.iter().zip(steps).map(|(demand, step)| demand.step(*step).bps).sum()
}

/// One transport's allocation over time.
#[derive(Debug)]
pub struct Allocation {
    targets: [Target; MEDIA_SECTIONS_MAX],
    /// One bit per demand: has its source been measured and given a first step?
    placed: u8,
    /// Since when more flows than the path carries.
    over_since: Option<Instant>,
    changed_at: Option<Instant>,
    raised_at: Option<Instant>,
    rests_until: Option<Instant>,
    rest: Duration,
    wanted: Option<u64>,
}

impl Default for Allocation {
    fn default() -> Self {
        Self {
            targets: [Target::ALL; MEDIA_SECTIONS_MAX],
            placed: 0,
            over_since: None,
            changed_at: None,
            raised_at: None,
            rests_until: None,
            rest: REST_FAILED.0,
            wanted: None,
        }
    }
}

impl Allocation {
    /// Decides anew, at each feedback or a few times per second. True when a target has changed. The order of `demands`
    /// must stay the same.
    pub fn decide(&mut self, now: Instant, estimate: u64, overusing: bool, demands: &[Ladder]) -> bool {
        let before = self.targets;
        self.place(estimate, demands);
        let current = self.positions(demands);
        let costs = cost(demands, &current);
        let over = costs > estimate + estimate * SLACK_PERCENT / 100;
        let over_since = over.then(|| *self.over_since.get_or_insert(now));
        self.over_since = over_since;
        let lasts = over_since.is_some_and(|since| now.saturating_duration_since(since) >= OVER_MAX);
        if over && (overusing || lasts || costs > 2 * estimate) {
            self.lower(now, estimate, demands, &current);
        } else if !over && !overusing && self.may_rise(now) {
            self.raise(now, estimate, demands, &current);
        }
        let after = self.positions(demands);
        let open = self.rests_until.is_none_or(|until| until <= now);
        self.wanted = if open { next_rise(demands, &after) } else { None };
        self.targets != before
    }

    /// The subscription at `index` follows another source, of which nothing is known.
    pub fn change_source(&mut self, index: usize) {
        if let Some(target) = self.targets.get_mut(index) {
            *target = Target::ALL;
            self.placed &= !(1 << index);
        }
    }

    /// What the subscription at `index` of the demands gets.
    pub fn target(&self, index: usize) -> Target {
        self.targets.get(index).copied().unwrap_or_default()
    }

    /// Bits per second at which something would be raised; for [`super::super::bwe::Estimator::want`].
    pub const fn wanted(&self) -> Option<u64> {
        self.wanted
    }

    /// A first step for sources that have just been measured: neither a rise nor a fall.
    fn place(&mut self, estimate: u64, demands: &[Ladder]) {
        let fits = fit(estimate, demands);
        for (index, (target, (demand, step))) in self.targets.iter_mut().zip(demands.iter().zip(fits)).enumerate() {
            if self.placed & (1 << index) == 0 && demand.is_measured() {
                self.placed |= 1 << index;
                *target = demand.step(step).target;
            }
        }
    }

    fn positions(&self, demands: &[Ladder]) -> Steps {
        let mut steps = Steps::default();
        for ((step, demand), target) in steps.iter_mut().zip(demands).zip(&self.targets) {
            *step = demand.position(*target);
        }
        steps
    }

    fn may_rise(&self, now: Instant) -> bool {
        let settled = self.changed_at.is_none_or(|at| now.saturating_duration_since(at) >= SETTLE);
        settled && self.rests_until.is_none_or(|until| until <= now)
    }

    fn lower(&mut self, now: Instant, estimate: u64, demands: &[Ladder], current: &Steps) {
        let fits = fit(estimate, demands);
        let mut lower = *current;
        lower.iter_mut().zip(fits).for_each(|(step, fits)| *step = fits.min(*step));
        if !self.apply(demands, current, &lower) {
            return;
        }
        let failed = self.raised_at.take().is_some_and(|at| now.saturating_duration_since(at) < FAILED_WITHIN);
        let rest = if failed {
            let rest = self.rest;
            self.rest = (rest * 2).min(REST_FAILED.1);
            rest
        } else {
            self.rest = REST_FAILED.0;
            REST
        };
        // A second fall within a rest does not shorten it.
        self.rests_until = self.rests_until.max(Some(now + rest));
        (self.changed_at, self.over_since) = (Some(now), None);
    }

    fn raise(&mut self, now: Instant, estimate: u64, demands: &[Ladder], current: &Steps) {
        let fits = fit(estimate * 100 / (100 + SPARE_PERCENT), demands);
        let mut higher = *current;
        higher.iter_mut().zip(fits).for_each(|(step, fits)| *step = fits.max(*step));
        // Raising one at the cost of another is no rise.
        if cost(demands, &higher) > estimate || !self.apply(demands, current, &higher) {
            return;
        }
        (self.changed_at, self.raised_at) = (Some(now), Some(now));
    }

    /// True when something changes. A layer that pauses does not change what is aimed at.
    fn apply(&mut self, demands: &[Ladder], current: &Steps, next: &Steps) -> bool {
        let mut changed = false;
        for ((target, demand), (current, next)) in self.targets.iter_mut().zip(demands).zip(current.iter().zip(next)) {
            if current != next {
                *target = demand.step(*next).target;
                changed = true;
            }
        }
        changed
    }
}

/// What the cheapest rise would need.
fn next_rise(demands: &[Ladder], steps: &Steps) -> Option<u64> {
    let costs = cost(demands, steps);
    let prices = demands.iter().zip(steps).filter_map(|(demand, step)| {
        let next = demand.steps().get(step + 1)?;
        Some(next.bps.saturating_sub(demand.step(*step).bps))
    });
    prices.min().map(|price| (costs + price) * (100 + SPARE_PERCENT + SLACK_PERCENT) / 100)
}
