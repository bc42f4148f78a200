//! Where the last keyframe begins, and whether all of it is there.

use std::time::Instant;

use super::Slot;

#[derive(Debug)]
pub(super) struct Keyframe {
    /// Sequence number of its first packet.
    pub(super) first: u64,
    pub(super) timestamp: u32,
    pub(super) received: Instant,
    /// Position of the earliest arrival among its packets and what came after it.
    pub(super) position: u64,
    /// Sequence of its last packet, once seen.
    last: Option<u64>,
    arrived: u64,
    whole: bool,
}

impl Keyframe {
    pub(super) const fn new(first: &Slot, position: u64) -> Self {
        Self {
            first: first.sequence,
            timestamp: first.timestamp,
            received: first.received,
            position,
            last: None,
            arrived: 0,
            whole: false,
        }
    }

    pub(super) const fn count(&mut self, slot: &Slot) {
        if slot.timestamp == self.timestamp && slot.sequence >= self.first {
            self.arrived += 1;
            if slot.marker {
                self.last = Some(slot.sequence);
            }
        }
    }

    /// True once, when the last missing packet is there.
    pub(super) fn complete(&mut self) -> bool {
        let whole = self.last.is_some_and(|last| self.arrived > last.saturating_sub(self.first));
        let before = self.whole;
        self.whole |= whole;
        whole && !before
    }
}
