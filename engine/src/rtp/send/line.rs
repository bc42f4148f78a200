//! How a source's numbers become a subscriber's: a stream that looks as if one sender had made it.
//!
//! Invariants:
//! - Whatever source fills the lane, sequence numbers and timestamps continue (RFC 3550 §5.1). Numbers follow the
//!   source's gaps, so that a loss towards the relay is a loss the subscriber can see and ask for; what is left out on
//!   purpose leaves no gap.
//! - No number is given twice (RFC 7714 §8.1: a repeated nonce reveals the key).

use std::time::{Duration, Instant};

use fanlight_wire::limits::HISTORY_PACKETS;

use crate::entropy::Entropy;
use crate::rtp::ring::Bootstrap;

/// Sequence numbers begin below this, so that no early loss hides a rollover.
const START_BELOW: u16 = 0x4000;
/// Packets left out on purpose that are remembered, for packets that arrive late beside them.
const OMISSIONS: usize = 64;

#[derive(Debug)]
pub(crate) struct Line {
    /// What the first packet of this source is called, on both sides.
    sequence: (u64, u64),
    timestamp: (u32, u32),
    /// Omissions so old that no packet older than them is sent any more, and that newest one's source number.
    folded: (u64, u64),
    /// Source numbers left out on purpose, ascending.
    omitted: Vec<u64>,
    /// The highest source number seen of this source, sent or left out.
    seen: u64,
    /// The newest packet sent.
    newest: u64,
    newest_timestamp: u32,
    newest_at: Option<Instant>,
    /// Which of the last [`HISTORY_PACKETS`] numbers were given, by number modulo.
    given: [u64; HISTORY_PACKETS / 64],
}

/// A packet's names towards the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// Extended: the low sixteen bits stand in the header.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
}

impl Line {
    pub(crate) fn new(entropy: &mut Entropy) -> Self {
        Self {
            sequence: (0, 0),
            timestamp: (0, 0),
            folded: (0, 0),
            omitted: Vec::new(),
            seen: 0,
            newest: u64::from(u16::from_le_bytes(entropy.array()) % START_BELOW),
            newest_timestamp: u32::from_le_bytes(entropy.array()),
            newest_at: None,
            given: [0; HISTORY_PACKETS / 64],
        }
    }

    /// Continues with `first`: the next number, and a timestamp later by the time that has passed.
    pub(crate) fn open(&mut self, first: &Bootstrap, clock_hertz: u32) {
        let passed = self.newest_at.map(|at| first.received.saturating_duration_since(at)).unwrap_or_default();
        // Two sources in the same instant still need different timestamps, or their frames would merge.
        let ticks = ticks(passed, clock_hertz).max(clock_hertz / 100);
        self.sequence = (first.sequence, self.newest + 1);
        self.timestamp = (first.timestamp, self.newest_timestamp.wrapping_add(ticks));
        self.folded = (0, first.sequence);
        self.omitted.clear();
        self.seen = first.sequence.saturating_sub(1);
    }

    /// The names under which a packet of the current source leaves; `None` when it is older than the beginning, too
    /// late, or was sent before.
    pub(crate) fn name(&mut self, sequence: u64, timestamp: u32, received: Instant) -> Option<Named> {
        if sequence < self.folded.1 {
            return None;
        }
        let omitted = self.folded.0 + self.omitted.partition_point(|number| *number < sequence) as u64;
        let named = (self.sequence.1 + sequence.checked_sub(self.sequence.0)?).checked_sub(omitted)?;
        if !self.give(named) {
            return None;
        }
        self.seen = self.seen.max(sequence);
        let timestamp = self.timestamp.1.wrapping_add(timestamp.wrapping_sub(self.timestamp.0));
        if named > self.newest {
            self.newest = named;
            self.newest_timestamp = timestamp;
            self.newest_at = Some(received);
        }
        Some(Named { sequence: named, timestamp })
    }

    /// Leaves a packet out. One that comes late has its number already: the subscriber sees a gap.
    pub(crate) fn omit(&mut self, sequence: u64) {
        if sequence <= self.seen {
            return;
        }
        self.seen = sequence;
        if self.omitted.len() == OMISSIONS {
            let oldest = self.omitted.remove(0);
            self.folded = (self.folded.0 + 1, oldest + 1);
        }
        self.omitted.push(sequence);
    }

    /// The timestamp of the source's packet that was called `named` is not kept: it follows from the packet itself.
    pub(crate) const fn timestamp_of(&self, timestamp: u32) -> u32 {
        self.timestamp.1.wrapping_add(timestamp.wrapping_sub(self.timestamp.0))
    }

    /// The newest number that was given, extended.
    pub(crate) const fn newest(&self) -> u64 {
        self.newest
    }

    /// The RTP time at `now`, if anything was sent.
    pub(crate) fn timestamp_at(&self, now: Instant, clock_hertz: u32) -> Option<u32> {
        let passed = now.saturating_duration_since(self.newest_at?);
        Some(self.newest_timestamp.wrapping_add(ticks(passed, clock_hertz)))
    }

    /// The extended number that ends in `low`, among the last that can be sent again.
    pub(crate) fn extend(&self, low: u16) -> Option<u64> {
        let behind = (self.newest as u16).wrapping_sub(low);
        let behind = u64::from(behind);
        (behind < HISTORY_PACKETS as u64).then(|| self.newest.checked_sub(behind))?
    }

    /// False when the number was given before, or is too far behind to know.
    fn give(&mut self, number: u64) -> bool {
        let window = HISTORY_PACKETS as u64;
        if number + window <= self.newest {
            return false;
        }
        if number > self.newest {
            // What is skipped has not been given: forget who had those places a window ago.
            let skipped = (number - self.newest).min(window);
            (number + 1 - skipped..=number).for_each(|free| self.mark(free, false));
        }
        let (word, bit) = place(number);
        let given = self.given.get(word).is_some_and(|word| word & bit != 0);
        self.mark(number, true);
        !given
    }

    fn mark(&mut self, number: u64, given: bool) {
        let (word, bit) = place(number);
        if let Some(word) = self.given.get_mut(word) {
            *word = if given { *word | bit } else { *word & !bit };
        }
    }
}

const fn place(number: u64) -> (usize, u64) {
    let at = number % HISTORY_PACKETS as u64;
    ((at / 64) as usize, 1 << (at % 64))
}

/// RTP ticks in a time; timestamps count modulo 2³².
pub(crate) fn ticks(passed: Duration, clock_hertz: u32) -> u32 {
    let ticks = passed.as_micros() * u128::from(clock_hertz) / 1_000_000;
    u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &mut Line, sequence: u64, timestamp: u32, at: Instant) -> Option<(u64, u32)> {
        line.name(sequence, timestamp, at).map(|named| (named.sequence, named.timestamp))
    }

    fn start(sequence: u64, timestamp: u32, received: Instant) -> Bootstrap {
        Bootstrap { position: 0, sequence, timestamp, received }
    }

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn line() -> (Line, Instant) {
        (Line::new(&mut Entropy::seeded(1)), Instant::now())
    }

    #[test]
    fn numbers_continue_over_a_change_of_source() {
        let (mut line, base) = line();
        line.open(&start(70_000, 1_000, base), 90_000);
        let (s, t) = named(&mut line, 70_000, 1_000, base).expect("open");
        assert_eq!(named(&mut line, 70_002, 4_000, base), Some((s + 2, t.wrapping_add(3_000))));
        assert_eq!(named(&mut line, 70_001, 1_000, base), Some((s + 1, t)), "late, but its number");
        assert_eq!(named(&mut line, 69_999, 0, base), None, "older than the beginning");
        let later = base + Duration::from_secs(1);
        line.open(&start(5, 900_000, later), 90_000);
        assert_eq!(named(&mut line, 5, 900_000, later), Some((s + 3, t.wrapping_add(3_000 + 90_000))));
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let (mut line, base) = line();
        line.open(&start(100, 0, base), 90_000);
        let (first, _) = named(&mut line, 100, 0, base).expect("open");
        line.omit(101);
        line.omit(103);
        assert_eq!(named(&mut line, 104, 0, base), Some((first + 2, line.timestamp_of(0))));
        assert_eq!(named(&mut line, 102, 0, base).map(|(s, _)| s), Some(first + 1), "late between two omissions");
        line.omit(90);
        for number in 105..400 {
            line.omit(number);
        }
        assert_eq!(named(&mut line, 400, 0, base).map(|(s, _)| s), Some(first + 3));
        assert_eq!(named(&mut line, 200, 0, base), None, "its number cannot be told any more");
    }

    #[test]
    fn no_number_is_given_twice() {
        let (mut line, base) = line();
        line.open(&start(0, 0, base), 90_000);
        let mut given = std::collections::BTreeSet::new();
        for step in 0..5_000_u64 {
            for sequence in [step * 3, step * 3, step * 3 / 2, step.saturating_sub(7), step * 3 + step % 5] {
                if let Some((number, _)) = named(&mut line, sequence, 0, base) {
                    assert!(given.insert(number), "{number} again");
                }
            }
        }
        assert!(given.len() > 5_000, "{}", given.len());
    }
}
