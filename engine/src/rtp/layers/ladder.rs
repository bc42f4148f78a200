//! What a source offers, as steps of which each is better and dearer than the one before.
//!
//! Screens keep their resolution and give up frame rate: below the largest picture at its lowest frame rate there are
//! only last resorts. Cameras rather stay smooth and become small.

use super::meter::Meter;
use super::{SPATIAL_MAX, TEMPORAL_MAX, Target};

/// What flows in a subscription. In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Audio,
    Screen,
    Camera,
}

/// One way to receive a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    pub target: Target,
    /// Bits per second.
    pub bps: u64,
}

const STEPS_MAX: usize = SPATIAL_MAX * TEMPORAL_MAX;

/// What one subscription demands: the steps of its source, the cheapest first; never empty.
#[derive(Debug, Clone, Copy)]
pub struct Ladder {
    kind: Kind,
    steps: [Step; STEPS_MAX],
    count: usize,
}

impl Ladder {
    /// `meters` are those of the simulcast encodings, the smallest first; at most three are looked at.
    pub fn new(kind: Kind, meters: &[&Meter]) -> Self {
        let mut ladder = Self { kind, steps: [Step::default(); STEPS_MAX], count: 0 };
        let rows = Rows::new(meters);
        let (bottom, top) = (rows.bottom(), rows.top());
        for (index, row) in rows.present() {
            let last = row.last();
            let (lowest, highest) = match kind {
                Kind::Screen if index != top => (0, 0),
                Kind::Camera if index != bottom => (last.saturating_sub(1), last),
                Kind::Audio | Kind::Camera | Kind::Screen => (0, last),
            };
            row.steps(lowest..=highest).for_each(|step| ladder.push(step));
        }
        if ladder.count == 0 {
            ladder.push(Step { target: Target::ALL, bps: 0 });
        }
        ladder
    }

    /// A source without a choice.
    pub fn single(kind: Kind, bps: u64) -> Self {
        let mut ladder = Self { kind, steps: [Step::default(); STEPS_MAX], count: 0 };
        ladder.push(Step { target: Target::ALL, bps });
        ladder
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Never empty.
    pub fn steps(&self) -> &[Step] {
        self.steps.get(..self.count).unwrap_or_default()
    }

    /// The step at which a subscription stands that was given `target` once: the last that is no better.
    pub(super) fn position(&self, target: Target) -> usize {
        self.steps().iter().rposition(|step| step.target <= target).unwrap_or(0)
    }

    /// Is anything known of what it costs?
    pub(super) fn is_measured(&self) -> bool {
        self.steps().iter().any(|step| step.bps > 0)
    }

    pub(super) fn step(&self, index: usize) -> Step {
        self.steps().get(index).copied().unwrap_or_default()
    }

    /// A step that is better and no dearer replaces those below it.
    fn push(&mut self, step: Step) {
        while self.count > 0 && self.step(self.count - 1).bps >= step.bps {
            self.count -= 1;
        }
        if let Some(slot) = self.steps.get_mut(self.count) {
            *slot = step;
            self.count += 1;
        }
    }
}

/// One picture size: a simulcast encoding, or a spatial layer with all below it.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    target: Target,
    /// Bits per second up to each temporal layer; equal where a layer does not flow.
    bps: [u64; TEMPORAL_MAX],
}

impl Row {
    /// The highest temporal layer that flows.
    fn last(&self) -> usize {
        (1..TEMPORAL_MAX).rev().find(|at| self.bps.get(*at) > self.bps.get(at - 1)).unwrap_or(0)
    }

    fn total(&self) -> u64 {
        self.bps.last().copied().unwrap_or_default()
    }

    fn steps(&self, temporal: std::ops::RangeInclusive<usize>) -> impl Iterator<Item = Step> {
        let row = *self;
        temporal.map(move |at| {
            let target = Target { temporal: at as u8, ..row.target };
            Step { target, bps: row.bps.get(at).copied().unwrap_or_default() }
        })
    }
}

struct Rows([Row; SPATIAL_MAX]);

impl Rows {
    fn new(meters: &[&Meter]) -> Self {
        let mut rows = [Row::default(); SPATIAL_MAX];
        if let [single] = meters {
            let mut below = [0; TEMPORAL_MAX];
            for (spatial, (row, rates)) in rows.iter_mut().zip(single.rates()).enumerate() {
                below = std::array::from_fn(|at| below.get(at).unwrap_or(&0) + rates.get(at).unwrap_or(&0));
                let flows = rates.iter().any(|bps| *bps > 0);
                *row = Row {
                    target: Target { simulcast: 0, spatial: spatial as u8, temporal: 0 },
                    bps: if flows { cumulated(below) } else { Default::default() },
                };
            }
        } else {
            for (simulcast, (row, meter)) in rows.iter_mut().zip(meters).enumerate() {
                let rates = meter.rates();
                let all = std::array::from_fn(|at| rates.iter().filter_map(|layer| layer.get(at)).sum());
                row.target = Target { simulcast: simulcast as u8, ..Target::ALL };
                row.bps = cumulated(all);
            }
        }
        Self(rows)
    }

    fn present(&self) -> impl DoubleEndedIterator<Item = (usize, &Row)> {
        self.0.iter().enumerate().filter(|(_, row)| row.total() > 0)
    }

    fn top(&self) -> usize {
        self.present().next_back().map_or(0, |(index, _)| index)
    }

    fn bottom(&self) -> usize {
        self.present().next().map_or(0, |(index, _)| index)
    }
}

fn cumulated(mut rates: [u64; TEMPORAL_MAX]) -> [u64; TEMPORAL_MAX] {
    let mut sum = 0;
    for rate in &mut rates {
        sum += *rate;
        *rate = sum;
    }
    rates
}
