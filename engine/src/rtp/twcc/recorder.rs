//! Noting what arrives from one publisher, and saying so every 50 to 100 ms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fanlight_wire::limits;

use super::{REFERENCE_TICKS, Symbol, TICK_US};
use crate::rtp::rtcp;

/// The first packet after a report is reported so much later; twice as fast under load.
const INTERVAL: Duration = Duration::from_millis(100);
const BUSY_INTERVAL: Duration = Duration::from_millis(50);
/// Packets waiting to be reported from which on it is load.
const BUSY_PACKETS: u32 = 20;
/// A packet that comes so late is reported all the same; then it is forgotten that it was missing.
const REMEMBERED: Duration = Duration::from_millis(500);
/// Differences in one feedback packet, so that it fits a datagram with its chunks (300 bytes at most) and reports.
const DELTA_BYTES_MAX: usize = 560;
const WINDOW: usize = limits::FEEDBACK_WINDOW_PACKETS;
/// No packet of this number arrived.
const MISSING: i64 = i64::MIN;

/// What arrived on one transport. Not yet reported packets, and the reported ones of the last half second in case that
/// an earlier one turns up late: then they are reported again with it.
#[derive(Debug, Default)]
pub struct Recorder {
    /// When packets arrived, in ticks since `epoch`, from `first` on; the last one is never missing.
    arrivals: VecDeque<i64>,
    epoch: Option<Instant>,
    first: u64,
    /// The first packet that the next feedback speaks of.
    next: u64,
    /// Arrival of the oldest packet not yet reported.
    since: Option<Instant>,
    waiting: u32,
    number: u8,
}

impl Recorder {
    /// A packet with this transport-wide sequence number has arrived.
    pub fn note(&mut self, sequence: u16, arrival: Instant) {
        let epoch = *self.epoch.get_or_insert(arrival);
        let ticks = (arrival.saturating_duration_since(epoch).as_micros() as i64) / TICK_US;
        if !self.place(sequence, ticks) {
            return;
        }
        self.waiting += 1;
        self.since.get_or_insert(arrival);
        while self.arrivals.len() > WINDOW {
            self.forget_first();
        }
    }

    /// When [`Self::build`] will have something to say.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.since? + if self.waiting < BUSY_PACKETS { INTERVAL } else { BUSY_INTERVAL })
    }

    /// Appends one feedback packet if one is due; call again, with another buffer, until it says no. `media_ssrc` is
    /// any source of the transport.
    pub fn build(&mut self, now: Instant, sender_ssrc: u32, media_ssrc: u32, out: &mut Vec<u8>) -> bool {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        let unreported = (self.next - self.first) as usize;
        let mut symbols = [Symbol::Missing; WINDOW];
        let (count, reference) = describe(self.arrivals.iter().copied().skip(unreported), &mut symbols);
        let at = rtcp::begin_transport_wide(out);
        out.extend(sender_ssrc.to_be_bytes());
        out.extend(media_ssrc.to_be_bytes());
        out.extend((self.next as u16).to_be_bytes());
        out.extend((count as u16).to_be_bytes());
        let [.., high, middle, low] = reference.to_be_bytes();
        out.extend([high, middle, low, self.number]);
        append_chunks(out, symbols.get(..count).unwrap_or_default());
        append_deltas(out, reference, self.arrivals.iter().copied().skip(unreported).take(count));
        rtcp::end(out, at);
        self.number = self.number.wrapping_add(1);
        self.next += count as u64;
        if self.next == self.first + self.arrivals.len() as u64 {
            (self.since, self.waiting) = (None, 0);
            self.forget_old(now);
        }
        true
    }

    /// False for a packet that is already noted or too old.
    fn place(&mut self, sequence: u16, ticks: i64) -> bool {
        if self.arrivals.is_empty() {
            return self.begin(sequence, ticks);
        }
        let newest = self.first + self.arrivals.len() as u64 - 1;
        let ahead = i64::from(sequence.wrapping_sub(newest as u16).cast_signed());
        if ahead.unsigned_abs() > WINDOW as u64 {
            return self.begin(sequence, ticks);
        }
        let at = newest.wrapping_add_signed(ahead);
        if ahead > 0 {
            self.arrivals.extend(std::iter::repeat_n(MISSING, ahead as usize - 1));
            self.arrivals.push_back(ticks);
            return true;
        }
        let known = at.checked_sub(self.first).and_then(|index| self.arrivals.get_mut(index as usize));
        let Some(arrival) = known.filter(|arrival| **arrival == MISSING) else { return false };
        *arrival = ticks;
        self.next = self.next.min(at);
        true
    }

    /// What was noted before is forgotten: nobody waits for what lies a whole window back.
    fn begin(&mut self, sequence: u16, ticks: i64) -> bool {
        self.arrivals.clear();
        // Beyond the first cycle, so that packets before the first one have a place.
        self.first = (1 << 16) | u64::from(sequence);
        self.next = self.first;
        self.arrivals.push_back(ticks);
        true
    }

    fn forget_first(&mut self) {
        self.arrivals.pop_front();
        self.first += 1;
        self.next = self.next.max(self.first);
    }

    /// The newest stays: gaps are counted from it.
    fn forget_old(&mut self, now: Instant) {
        let elapsed = self.epoch.map_or(Duration::ZERO, |epoch| now.saturating_duration_since(epoch));
        let oldest = (elapsed.saturating_sub(REMEMBERED).as_micros() as i64) / TICK_US;
        while self.arrivals.len() > 1 && self.arrivals.front().is_some_and(|ticks| *ticks < oldest) {
            self.forget_first();
        }
    }
}

/// Symbols of the packets that fit into one feedback; how many these are, and their reference time.
fn describe(arrivals: impl Iterator<Item = i64>, symbols: &mut [Symbol; WINDOW]) -> (usize, i64) {
    let (mut reference, mut before, mut bytes, mut count) = (0, None, 0, 0);
    for (arrival, symbol) in arrivals.zip(symbols) {
        if arrival != MISSING {
            let before = *before.get_or_insert_with(|| {
                reference = arrival.div_euclid(REFERENCE_TICKS);
                reference * REFERENCE_TICKS
            });
            *symbol = match arrival - before {
                0..=0xff => Symbol::Small,
                delta if i16::try_from(delta).is_ok() => Symbol::Large,
                _ => break,
            };
            bytes += symbol.bytes();
        }
        if bytes > DELTA_BYTES_MAX {
            *symbol = Symbol::Missing;
            break;
        }
        if arrival != MISSING {
            before = Some(arrival);
        }
        count += 1;
    }
    (count, reference)
}

fn append_deltas(out: &mut Vec<u8>, reference: i64, arrivals: impl Iterator<Item = i64>) {
    let mut before = reference * REFERENCE_TICKS;
    for arrival in arrivals.filter(|arrival| *arrival != MISSING) {
        let delta = arrival - before;
        before = arrival;
        match u8::try_from(delta) {
            Ok(small) => out.push(small),
            Err(_) => out.extend((delta as i16).to_be_bytes()),
        }
    }
}

/// Long runs as runs, else fourteen bits while nothing is large, else seven pairs of bits. Runs of large differences are
/// rare, and there are readers (str0m 0.25) that take half the bytes for them: they go as pairs too.
fn append_chunks(out: &mut Vec<u8>, mut symbols: &[Symbol]) {
    while let Some(first) = symbols.first() {
        let run = symbols.iter().take_while(|symbol| *symbol == first).count();
        let simple = symbols.iter().take(14).all(|symbol| *symbol != Symbol::Large);
        let vector = symbols.len().min(if simple { 14 } else { 7 });
        let as_run = run >= vector && *first != Symbol::Large;
        let (now, later) = symbols.split_at_checked(if as_run { run } else { vector }).unwrap_or((symbols, &[]));
        symbols = later;
        let bits = |width: usize| {
            now.iter().enumerate().fold(0, |sum, (at, symbol)| sum | ((*symbol as u16) << (14 - width * (at + 1))))
        };
        let chunk = match (as_run, simple) {
            (true, _) => ((*first as u16) << 13) | run as u16,
            (false, true) => 0x8000 | bits(1),
            (false, false) => 0xc000 | bits(2),
        };
        out.extend(chunk.to_be_bytes());
    }
}
