//! What a receiver has seen of one media section, and the oracles of forwarding: one unbroken numbering, and shares that
//! follow each other in runs.

use std::collections::BTreeMap;

use super::vp8::Mark;

/// Packets that may be late before one counts as lost.
const WINDOW: u64 = 1_024;

/// Packets of one share that follow each other in the receiver's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub share: u32,
    pub first: u64,
    pub last: u64,
    /// Is its first packet the beginning of a keyframe?
    pub from_key: bool,
}

/// What a receiver has seen of one media section.
#[derive(Debug, Default)]
pub struct Watch {
    first: Option<u64>,
    highest: u64,
    /// Numbers in the window that have arrived.
    arrived: std::collections::BTreeSet<u64>,
    lost: u64,
    repeated: u64,
    packets: u64,
    bytes: u64,
    foreign: u64,
    /// By first number; they do not overlap.
    runs: BTreeMap<u64, Run>,
    /// Each share once per time that its packets began to arrive, repairs included.
    arrivals: Vec<u32>,
    /// Packets still missing of frames that are under way, by share and frame.
    partial: BTreeMap<(u32, u32), u8>,
    frames: u64,
    keyframes: u64,
    timestamp: Option<(u64, u32)>,
    backwards: u64,
    latencies_us: Vec<u32>,
}

impl Watch {
    /// One packet. `number` is the extended sequence number, `now_us` the receiver's clock.
    pub fn note(&mut self, number: u64, timestamp: u32, payload: &[u8], now_us: u64) {
        self.packets += 1;
        self.bytes += payload.len() as u64;
        if !self.note_number(number) {
            return;
        }
        self.note_timestamp(number, timestamp);
        let Some(mark) = Mark::read(payload) else {
            self.foreign += 1;
            return;
        };
        if self.arrivals.last() != Some(&mark.share) {
            self.arrivals.push(mark.share);
        }
        self.note_run(number, mark);
        self.note_frame(mark);
        let late = now_us.saturating_sub(mark.at_us);
        self.latencies_us.push(u32::try_from(late).unwrap_or(u32::MAX));
    }

    fn note_number(&mut self, number: u64) -> bool {
        let first = *self.first.get_or_insert(number);
        if number + WINDOW < self.highest || !self.arrived.insert(number) {
            self.repeated += 1;
            return false;
        }
        self.highest = self.highest.max(number);
        // What leaves the window without having arrived is lost.
        let floor = self.highest.saturating_sub(WINDOW);
        while let Some(oldest) = self.arrived.first().copied().filter(|oldest| *oldest < floor) {
            self.arrived.pop_first();
            let following = self.arrived.first().copied().unwrap_or(self.highest);
            self.lost += following - oldest - 1;
        }
        self.first = Some(first.min(number));
        true
    }

    fn note_timestamp(&mut self, number: u64, timestamp: u32) {
        if let Some((newest, before)) = self.timestamp {
            if number < newest {
                return;
            }
            // RFC 3550 §5.1: modular; half of the space is the past.
            if timestamp.wrapping_sub(before) > u32::MAX / 2 {
                self.backwards += 1;
            }
        }
        self.timestamp = Some((number, timestamp));
    }

    fn note_run(&mut self, number: u64, mark: Mark) {
        let from_key = mark.key && mark.index == 0;
        let run = Run { share: mark.share, first: number, last: number, from_key };
        if let Some((_, before)) = self.runs.range_mut(..number).next_back() {
            if before.share == mark.share {
                before.last = before.last.max(number);
                return;
            }
            if before.last > number {
                // A packet of another share in the middle: what follows it is a run of its own.
                let rest = Run { first: number + 1, from_key: false, ..*before };
                before.last = number - 1;
                self.runs.insert(rest.first, rest);
            }
        }
        let after = self.runs.range(number..).next().map(|(first, run)| (*first, *run));
        if let Some((first, after)) = after.filter(|(_, after)| after.share == mark.share) {
            self.runs.remove(&first);
            self.runs.insert(number, Run { first: number, from_key, ..after });
        } else {
            self.runs.insert(number, run);
        }
    }

    fn note_frame(&mut self, mark: Mark) {
        let missing = self.partial.entry((mark.share, mark.frame)).or_insert(mark.count);
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            self.partial.remove(&(mark.share, mark.frame));
            self.frames += 1;
            self.keyframes += u64::from(mark.key);
        }
        while self.partial.len() > 64 {
            self.partial.pop_first();
        }
    }

    pub const fn packets(&self) -> u64 {
        self.packets
    }

    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that were not made by this library.
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Whole frames, and keyframes among them.
    pub const fn frames(&self) -> (u64, u64) {
        (self.frames, self.keyframes)
    }

    /// Numbers that never arrived, given that none is still on its way.
    pub fn lost(&self) -> u64 {
        let Some(oldest) = self.arrived.first() else { return self.lost };
        self.lost + (self.highest - oldest + 1) - self.arrived.len() as u64
    }

    pub const fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Times at which the RTP time went back.
    pub const fn backwards(&self) -> u64 {
        self.backwards
    }

    /// What was received, in the order of the numbering.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// The shares in the order in which their packets arrived. On a path that keeps the order this is the order in which
    /// they were sent, repairs included.
    pub fn arrivals(&self) -> &[u32] {
        &self.arrivals
    }

    /// Takes what was measured since the last call: microseconds from sending to receiving.
    pub fn take_latencies(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.latencies_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(share: u32, frame: u32, key: bool) -> Vec<u8> {
        Mark { share, frame, key, index: 0, count: 1, at_us: 0 }.to_payload(0)
    }

    #[test]
    fn a_hole_is_a_loss_until_it_is_filled() {
        let mut watch = Watch::default();
        for number in [10, 11, 13] {
            watch.note(number, number as u32, &packet(1, number as u32, false), 5);
        }
        assert_eq!((watch.lost(), watch.frames()), (1, (3, 0)));
        watch.note(12, 12, &packet(1, 12, false), 5);
        watch.note(12, 12, &packet(1, 12, false), 5);
        assert_eq!((watch.lost(), watch.repeated(), watch.packets()), (0, 1, 5));
    }

    #[test]
    fn a_loss_is_remembered_beyond_the_window() {
        let mut watch = Watch::default();
        for number in (0..5_000).filter(|number| number % 1_000 != 7) {
            watch.note(number, 0, &packet(1, 0, false), 0);
        }
        assert_eq!(watch.lost(), 5);
    }

    #[test]
    fn runs_follow_the_numbering_however_packets_arrive() {
        let mut watch = Watch::default();
        for (number, share) in [(1, 1), (4, 1), (6, 2), (5, 2), (3, 1), (2, 3)] {
            watch.note(number, number as u32, &packet(share, number as u32, number == 5), 0);
        }
        let runs: Vec<_> = watch.runs().map(|run| (run.share, run.first, run.last, run.from_key)).collect();
        assert_eq!(watch.arrivals(), [1, 2, 1, 3]);
        assert_eq!(runs, [(1, 1, 1, false), (3, 2, 2, false), (1, 3, 4, false), (2, 5, 6, true)]);
        watch.note(7, 1, &packet(2, 9, false), 0);
        assert_eq!(watch.backwards(), 1);
    }
}
