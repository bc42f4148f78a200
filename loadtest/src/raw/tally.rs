//! What a subscriber has received, counted from the clear headers: every number that is missing, that came twice, or late.

use super::rtp::Header;

/// Numbers that are remembered behind the highest: later ones do not count any more.
const WINDOW: u64 = 4_096;

/// One SSRC as a receiver sees it.
#[derive(Debug, Clone)]
pub struct Stream {
    pub ssrc: u32,
    pub payload_type: u8,
    /// Extended numbers.
    pub highest: u64,
    first: u64,
    arrived: Vec<u64>,
    pub received: u64,
    pub repeated: u64,
    pub reordered: u64,
    /// Numbers given up, and numbers expected, when this was last asked for.
    reported: (u64, u64),
    repaired: u64,
}

/// What a number turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The next one, or one with `missing` numbers before it that have not come.
    New {
        extended: u64,
        missing: u64,
    },
    /// One that had been missing.
    Late {
        extended: u64,
    },
    Repeated,
}

impl Stream {
    pub fn new(header: &Header) -> Self {
        // A number above zero leaves room for what is older than the first.
        let first = 1 << 16 | u64::from(header.sequence);
        Self {
            ssrc: header.ssrc,
            payload_type: header.payload_type,
            highest: first - 1,
            first,
            arrived: vec![0; (WINDOW / 64) as usize],
            received: 0,
            repeated: 0,
            reordered: 0,
            reported: (0, 0),
            repaired: 0,
        }
    }

    /// The extended number of a sequence number near the highest.
    pub fn extend(&self, sequence: u16) -> u64 {
        let delta = sequence.wrapping_sub(self.highest as u16).cast_signed();
        self.highest.saturating_add_signed(delta.into())
    }

    /// Notes an arrival.
    pub fn note(&mut self, sequence: u16) -> Number {
        let extended = self.extend(sequence);
        if extended > self.highest {
            let missing = extended - self.highest - 1;
            for number in (self.highest + 1..extended).take(WINDOW as usize) {
                self.mark(number, false);
            }
            self.mark(extended, true);
            self.highest = extended;
            self.received += 1;
            return Number::New { extended, missing };
        }
        if extended < self.first || extended + WINDOW <= self.highest || self.marked(extended) {
            self.repeated += 1;
            return Number::Repeated;
        }
        self.mark(extended, true);
        self.received += 1;
        self.reordered += 1;
        Number::Late { extended }
    }

    /// A number that a repair packet has brought.
    pub fn repair(&mut self, sequence: u16) -> bool {
        let extended = self.extend(sequence);
        if extended < self.first
            || extended > self.highest
            || extended + WINDOW <= self.highest
            || self.marked(extended)
        {
            return false;
        }
        self.mark(extended, true);
        self.received += 1;
        self.repaired += 1;
        true
    }

    fn mark(&mut self, number: u64, here: bool) {
        let at = number % WINDOW;
        if let Some(word) = self.arrived.get_mut((at / 64) as usize) {
            let bit = 1 << (at % 64);
            *word = if here { *word | bit } else { *word & !bit };
        }
    }

    fn marked(&self, number: u64) -> bool {
        let at = number % WINDOW;
        self.arrived.get((at / 64) as usize).is_some_and(|word| word & 1 << (at % 64) != 0)
    }

    /// Numbers from the first to the highest.
    pub const fn expected(&self) -> u64 {
        self.highest + 1 - self.first
    }

    /// Numbers that have not come.
    pub const fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    pub const fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Fraction lost since this was last asked, in 1/256 (RFC 3550 §6.4.1).
    pub fn fraction(&mut self) -> u8 {
        let (lost, expected) = (self.lost(), self.expected());
        let (had_lost, had_expected) = std::mem::replace(&mut self.reported, (lost, expected));
        let (lost, expected) = (lost.saturating_sub(had_lost), expected.saturating_sub(had_expected).max(1));
        u8::try_from(lost * 256 / expected).unwrap_or(u8::MAX)
    }

    /// Forgets what was counted, not where the numbering is.
    pub fn restart(&mut self) {
        self.first = self.highest + 1;
        (self.received, self.repeated, self.reordered, self.repaired) = (0, 0, 0, 0);
        self.reported = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::rtp;

    fn stream(first: u16) -> Stream {
        Stream::new(&rtp::header(96, false, first, 0, 7))
    }

    #[test]
    fn losses_repeats_and_late_ones_are_told_apart_over_a_rollover() {
        let mut stream = stream(65_533);
        let told: Vec<Number> = [65_533, 65_534, 1, 65_535, 65_535, 2].map(|number| stream.note(number)).to_vec();
        let base = 1 << 16 | 65_533;
        let expected = [
            Number::New { extended: base, missing: 0 },
            Number::New { extended: base + 1, missing: 0 },
            Number::New { extended: base + 4, missing: 2 },
            Number::Late { extended: base + 2 },
            Number::Repeated,
            Number::New { extended: base + 5, missing: 0 },
        ];
        assert_eq!(told, expected);
        assert_eq!((stream.expected(), stream.lost(), stream.repeated, stream.reordered), (6, 1, 1, 1));
        assert!(stream.repair(0) && !stream.repair(0));
        assert_eq!((stream.lost(), stream.repaired()), (0, 1));
        stream.restart();
        stream.note(3);
        assert_eq!((stream.expected(), stream.lost(), stream.received), (1, 0, 1));
    }
}
