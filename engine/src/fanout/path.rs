//! What one subscriber's path carries, and what its subscriptions get of it.
//!
//! Only made for a member that follows something with layers: without a choice there is nothing to decide, and no
//! packet costs an estimate.

use std::time::{Duration, Instant};

use fanlight_wire::limits::MEDIA_SECTIONS_MAX;

use super::filling::{Filling, Layer};
use super::subscription::Subscription;
use super::{LANES, Lane};
use crate::rtp::bwe::Estimator;
use crate::rtp::intake::LAYERS_MAX;
use crate::rtp::layers::{Allocation, Kind, Ladder, Meter};
use crate::rtp::rtcp::{Item, ReportBlock};

/// Bits per second that a path is believed to carry before anything is known: a screen in good quality.
const START_BPS: u64 = 2_500_000;
/// Bits per second that sound is counted with.
const AUDIO_BPS: u64 = 64_000;

#[derive(Debug)]
pub(super) struct Path {
    pub(super) estimator: Estimator,
    allocation: Allocation,
    /// Something was learned since the last decision.
    learned: bool,
}

impl Path {
    pub(super) fn new(now: Instant) -> Self {
        Self { estimator: Estimator::new(now, START_BPS), allocation: Allocation::default(), learned: true }
    }

    /// Takes in what the client says of the path.
    pub(super) fn note(&mut self, now: Instant, item: &Item<'_>) {
        match item {
            Item::TransportFeedback(feedback) => self.estimator.on_feedback(now, feedback.packets()),
            Item::Remb { bps, .. } => self.estimator.on_remb(now, *bps),
            _ => return,
        }
        self.learned = true;
    }

    /// Takes in what a receiver report says of one section.
    pub(super) fn note_block(&mut self, now: Instant, block: &ReportBlock, round_trip: Duration) {
        self.estimator.on_loss(now, block.fraction_lost, round_trip);
        self.learned = true;
    }

    /// The subscription at `index` follows another source.
    pub(super) fn change_source(&mut self, index: usize) {
        self.allocation.change_source(index);
        self.learned = true;
    }

    /// Gives each subscription its target, when something was learned.
    pub(super) fn decide(&mut self, now: Instant, lanes: &[Filling; LANES], subscriptions: &mut [Subscription]) {
        if !std::mem::take(&mut self.learned) {
            return;
        }
        let mut ladders = [Ladder::single(Kind::Audio, AUDIO_BPS); MEDIA_SECTIONS_MAX];
        for (ladder, subscription) in ladders.iter_mut().zip(&*subscriptions).filter(|(_, known)| known.video) {
            let kind = if subscription.lane == Lane::Camera { Kind::Camera } else { Kind::Screen };
            if let Some(filling) = lanes.get(subscription.lane as usize) {
                *ladder = ladder_of(kind, &filling.layers);
            }
        }
        let demands = ladders.get(..subscriptions.len()).unwrap_or_default();
        let estimate = self.estimator.estimate();
        self.allocation.decide(now, estimate, self.estimator.is_overusing(), demands);
        self.estimator.want(self.allocation.wanted());
        for (index, subscription) in subscriptions.iter_mut().enumerate() {
            subscription.aim(self.allocation.target(index));
        }
    }
}

/// The encodings that flow, the smallest first. One that has never flowed has no place.
fn ladder_of(kind: Kind, layers: &[Layer; LAYERS_MAX]) -> Ladder {
    let [small, middle, large] = layers;
    let meters: [&Meter; LAYERS_MAX] = [&small.meter, &middle.meter, &large.meter];
    let count = layers.iter().rposition(|layer| layer.meter.is_ready()).map_or(1, |last| last + 1);
    Ladder::new(kind, meters.get(..count).unwrap_or_default())
}
