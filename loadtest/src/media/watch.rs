//! What a receiver has seen of one media section, and the oracles of forwarding: one unbroken numbering, and shares that
//! follow each other without mixing.

use std::collections::BTreeMap;

use super::vp8::Mark;

/// Packets that may be late before one counts as lost.
const WINDOW: u64 = 1_024;

/// Where the packets of one share lie in the receiver's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: u64,
    pub last: u64,
    /// Was the first packet, in order of the numbering, the beginning of a keyframe?
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
    shares: BTreeMap<u32, Span>,
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
        let starts = mark.key && mark.index == 0;
        let span = self.shares.entry(mark.share).or_insert(Span { first: number, last: number, from_key: starts });
        if number < span.first {
            (span.first, span.from_key) = (number, starts);
        }
        span.last = span.last.max(number);
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

    pub const fn shares(&self) -> &BTreeMap<u32, Span> {
        &self.shares
    }

    /// The shares in the order in which they were seen, or the two that were mixed.
    ///
    /// # Errors
    /// Two shares whose packets overlap in the numbering.
    pub fn order(&self) -> Result<Vec<u32>, (u32, u32)> {
        let mut spans: Vec<_> = self.shares.iter().map(|(share, span)| (span.first, span.last, *share)).collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            if let [(_, last, before), (first, _, after)] = pair
                && first <= last
            {
                return Err((*before, *after));
            }
        }
        Ok(spans.into_iter().map(|(_, _, share)| share).collect())
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
    fn mixed_shares_are_seen() {
        let mut watch = Watch::default();
        watch.note(1, 1, &packet(1, 0, true), 0);
        watch.note(2, 2, &packet(2, 0, true), 0);
        assert_eq!(watch.order(), Ok(vec![1, 2]));
        watch.note(3, 1, &packet(1, 1, false), 0);
        assert_eq!(watch.order(), Err((1, 2)));
        assert_eq!(watch.backwards(), 1);
    }
}
