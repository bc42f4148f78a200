//! Receiving one source: numbering, statistics, what is missing, what the sender said about its clocks.
//!
//! Owns, per SSRC, the extended sequence number (RFC 3550 A.1), loss and jitter (A.3, A.8), report blocks (§6.4.1), and
//! through [`missing`] the wishes for retransmission (RFC 4585); [`original`] turns a retransmission back (RFC 4588 §4).
//! Invariant: of each sequence number one packet at most is let through, whether it came itself or was repaired, and
//! none that is older than the window. Fed only with authenticated packets; which of a transport's sources repairs which
//! is left to the caller.

mod missing;
mod round_trip;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use round_trip::RoundTrip;

use self::missing::Missing;
use super::read::u16_at;
use super::rtcp::{Ntp, ReportBlock, to_middle_units};

/// Packets behind the newest one that may still come.
const WINDOW: u64 = 1_024;
/// A source that leaps so far has begun anew; what lies between was never sent (RFC 3550 A.1, MAX_DROPOUT).
const LEAP: u64 = 3_000;
/// Numbering begins one cycle up, so that packets before the first one have numbers.
const FIRST_CYCLE: u64 = 1 << 16;

/// What a packet is to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The newest so far.
    Newest(u64),
    /// It fills a gap: overtaken, or repaired.
    Late(u64),
    /// It was there already.
    Duplicate,
    /// So old that nobody can tell.
    Stale,
}

impl Arrival {
    /// The extended sequence number of a packet that goes on to the track.
    pub const fn sequence(self) -> Option<u64> {
        match self {
            Self::Newest(sequence) | Self::Late(sequence) => Some(sequence),
            Self::Duplicate | Self::Stale => None,
        }
    }
}

/// What happened so far, as totals.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All that came itself, duplicates too.
    pub received: u64,
    /// Filled gaps by being retransmitted.
    pub repaired: u64,
    /// Filled gaps by being overtaken only.
    pub late: u64,
    /// Came again, by themselves or retransmitted, or too late.
    pub surplus: u64,
    /// Wishes for a retransmission.
    pub wished: u64,
    /// Gaps that nobody filled in time.
    pub abandoned: u64,
}

/// One source as it is received.
#[derive(Debug)]
pub struct Reception {
    clock_hz: u32,
    /// `None` before the first packet.
    span: Option<Span>,
    /// One bit for each of the last [`WINDOW`] numbers.
    seen: [u64; WINDOW as usize / 64],
    /// `None` for a source that repairs nothing.
    missing: Option<Missing>,
    sender: Option<SenderClock>,
    counts: Counts,
}

/// Statistics since the source began.
#[derive(Debug)]
struct Span {
    first: u64,
    highest: u64,
    received: u64,
    /// At the report before.
    expected_before: u64,
    received_before: u64,
    began: Instant,
    /// Difference of both clocks in ticks (A.8), modulo 2³².
    transit: u32,
    /// In 1/16 ticks.
    jitter: u32,
}

/// What the last sender report said, and when.
#[derive(Debug, Clone, Copy)]
struct SenderClock {
    ntp: Ntp,
    timestamp: u32,
    arrival: Instant,
}

impl Reception {
    /// `clock_hz`: ticks per second of the source's timestamps. `repairs`: its sender answers wishes for retransmission.
    pub fn new(clock_hz: u32, repairs: bool) -> Self {
        let missing = repairs.then(Missing::default);
        Self { clock_hz, span: None, seen: [0; _], missing, sender: None, counts: Counts::default() }
    }

    /// A packet came by itself.
    pub fn arrived(&mut self, now: Instant, sequence: u16, timestamp: u32) -> Arrival {
        self.counts.received += 1;
        let Some(span) = &mut self.span else { return self.begin(now, FIRST_CYCLE | u64::from(sequence), timestamp) };
        let number = extended(span.highest, sequence);
        if number > span.highest + LEAP {
            return self.begin(now, number, timestamp);
        }
        span.received += 1;
        span.measure(now, self.clock_hz, timestamp);
        let arrival = self.let_through(now, number);
        match arrival {
            Arrival::Late(number) => {
                self.counts.late += 1;
                self.fill(now, number, false);
            }
            Arrival::Duplicate | Arrival::Stale => self.counts.surplus += 1,
            Arrival::Newest(_) => {}
        }
        arrival
    }

    /// A packet came as a retransmission ([`original`]). It does not change what is reported about the source: that
    /// describes its path (RFC 4588 §6.3 reports retransmissions by their own).
    pub fn repaired(&mut self, now: Instant, sequence: u16) -> Arrival {
        // Before the source itself nothing can be numbered; nothing was asked for either.
        let Some(span) = &self.span else { return Arrival::Stale };
        let number = extended(span.highest, sequence);
        let arrival = if number > span.highest + LEAP { Arrival::Stale } else { self.let_through(now, number) };
        match arrival.sequence() {
            Some(number) => {
                self.counts.repaired += 1;
                self.fill(now, number, true);
            }
            None => self.counts.surplus += 1,
        }
        arrival
    }

    /// Appends the sequence numbers to ask for now, in ascending order.
    pub fn wishes(&mut self, now: Instant, lost: &mut Vec<u16>) {
        if let Some(missing) = &mut self.missing {
            let before = lost.len();
            self.counts.abandoned += missing.due(now, lost);
            self.counts.wished += (lost.len() - before) as u64;
        }
    }

    /// Were packets given up since the last call? Then only a keyframe helps.
    pub fn take_keyframe_wish(&mut self) -> bool {
        self.missing.as_mut().is_some_and(Missing::take_keyframe_wish)
    }

    /// When [`Self::wishes`] will have something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.missing.as_ref()?.deadline()
    }

    /// How long an answered wish takes, as far as is known: measured by repairs, until somebody knows better.
    pub fn round_trip(&self) -> Option<Duration> {
        self.missing.as_ref()?.round_trip()
    }

    /// A measurement from elsewhere, which replaces our own.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        if let Some(missing) = &mut self.missing {
            missing.set_round_trip(round_trip);
        }
    }

    /// The sender has said which time of its wall clock a timestamp stands for.
    pub fn sender_report(&mut self, now: Instant, ntp: Ntp, timestamp: u32) {
        self.sender = Some(SenderClock { ntp, timestamp, arrival: now });
    }

    /// The sender's wall clock at a timestamp; `None` before its first report.
    pub fn wall_clock(&self, timestamp: u32) -> Option<Ntp> {
        let SenderClock { ntp, timestamp: known, .. } = self.sender?;
        let ticks = i64::from(timestamp.wrapping_sub(known).cast_signed());
        let fraction = (i128::from(ticks) << 32).checked_div(i128::from(self.clock_hz))?;
        Some(Ntp(ntp.0.wrapping_add_signed(fraction as i64)))
    }

    /// The timestamp that the sender would give to a frame now; `None` before its first report.
    pub fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let SenderClock { timestamp, arrival, .. } = self.sender?;
        Some(timestamp.wrapping_add(ticks(now.saturating_duration_since(arrival), self.clock_hz)))
    }

    /// What there is to report about the source; `None` before its first packet. Begins a new interval.
    pub fn report(&mut self, now: Instant, ssrc: u32) -> Option<ReportBlock> {
        let span = self.span.as_mut()?;
        let expected = span.highest - span.first + 1;
        let lost = expected.cast_signed() - span.received.cast_signed();
        let expected_now = expected - span.expected_before;
        let lost_now = expected_now.saturating_sub(span.received - span.received_before);
        (span.expected_before, span.received_before) = (expected, span.received);
        let delay = |clock: &SenderClock| to_middle_units(now.saturating_duration_since(clock.arrival));
        Some(ReportBlock {
            ssrc,
            fraction_lost: (lost_now << 8).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: (span.highest - FIRST_CYCLE) as u32,
            jitter: span.jitter >> 4,
            last_report: self.sender.map_or(0, |clock| clock.ntp.middle()),
            delay: self.sender.as_ref().map_or(0, delay),
        })
    }

    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The highest extended sequence number so far.
    pub fn highest(&self) -> Option<u64> {
        self.span.as_ref().map(|span| span.highest)
    }

    /// The source begins, or begins anew where nothing before can be missing.
    fn begin(&mut self, now: Instant, number: u64, timestamp: u32) -> Arrival {
        let transit = 0_u32.wrapping_sub(timestamp);
        self.span = Some(Span {
            first: number,
            highest: number,
            received: 1,
            expected_before: 0,
            received_before: 0,
            began: now,
            transit,
            jitter: 0,
        });
        self.seen.fill(0);
        self.mark(number);
        if let Some(missing) = &mut self.missing {
            missing.forget();
        }
        Arrival::Newest(number)
    }

    fn let_through(&mut self, now: Instant, number: u64) -> Arrival {
        let Some(span) = &mut self.span else { return Arrival::Stale };
        let highest = span.highest;
        if number <= highest {
            if number + WINDOW <= highest {
                return Arrival::Stale;
            }
            span.first = span.first.min(number);
            return if self.mark(number) { Arrival::Late(number) } else { Arrival::Duplicate };
        }
        span.highest = number;
        if number - highest >= WINDOW {
            self.seen.fill(0);
        }
        // The bits of what was skipped are those of a window ago.
        for skipped in (highest + 1..number).rev().take(WINDOW as usize) {
            self.unmark(skipped);
        }
        self.unmark(number);
        self.mark(number);
        if let Some(missing) = &mut self.missing {
            missing.open(now, highest + 1..number);
        }
        Arrival::Newest(number)
    }

    fn fill(&mut self, now: Instant, number: u64, repaired: bool) {
        if let Some(missing) = &mut self.missing {
            missing.fill(now, number, repaired);
        }
    }

    /// False when it was marked already.
    fn mark(&mut self, number: u64) -> bool {
        let (word, bit) = place(number);
        let Some(word) = self.seen.get_mut(word) else { return false };
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    fn unmark(&mut self, number: u64) {
        let (word, bit) = place(number);
        if let Some(word) = self.seen.get_mut(word) {
            *word &= !bit;
        }
    }
}

impl Span {
    /// RFC 3550 A.8.
    fn measure(&mut self, now: Instant, clock_hz: u32, timestamp: u32) {
        let transit = ticks(now.saturating_duration_since(self.began), clock_hz).wrapping_sub(timestamp);
        let difference = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
        self.transit = transit;
        // A leap of the timestamp is no jitter; a minute's worth would take minutes to fade.
        let difference = difference.min(clock_hz);
        self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
    }
}

/// The packet that a retransmission's payload repairs: its sequence number and its payload. `None` for padding, by which
/// senders probe.
pub fn original(payload: &[u8]) -> Option<(u16, &[u8])> {
    let rest = payload.get(2..).filter(|rest| !rest.is_empty())?;
    Some((u16_at(payload, 0)?, rest))
}

const fn place(number: u64) -> (usize, u64) {
    ((number % WINDOW) as usize / 64, 1 << (number % 64))
}

/// The number nearest to `reference` that ends in `sequence`.
const fn extended(reference: u64, sequence: u16) -> u64 {
    reference.wrapping_add_signed(sequence.wrapping_sub(reference as u16).cast_signed() as i64)
}

/// A time in ticks, modulo 2³².
fn ticks(time: Duration, clock_hz: u32) -> u32 {
    let hz = u64::from(clock_hz);
    (time.as_secs().wrapping_mul(hz)).wrapping_add(u64::from(time.subsec_nanos()) * hz / 1_000_000_000) as u32
}
