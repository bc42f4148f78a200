//! Transport-wide feedback: which packets of a transport arrived, and when (draft-holmer-rmcat-transport-wide-cc-01).
//!
//! Owns the format in both directions: [`Feedback`] reads what a subscriber says about what it was sent, [`Recorder`]
//! notes what a publisher sent and says so. Invariant: reading is total over hostile bytes and walks over at most
//! [`limits::FEEDBACK_PACKETS_MAX`] packets; the recorder's window is bounded. What follows from arrivals is left to
//! congestion control.

mod recorder;
#[cfg(test)]
mod tests;

use fanlight_wire::limits;

pub use recorder::Recorder;

use super::read::{u16_at, u24_at, u32_at};

/// Units of arrival times on the wire, in µs.
const TICK_US: i64 = 250;
/// Units of reference times, in ticks: 64 ms.
const REFERENCE_TICKS: i64 = 256;
/// After so long arrival times begin anew (24 bits of 64 ms), in µs.
pub const ARRIVAL_WRAP_US: i64 = (1 << 24) * REFERENCE_TICKS * TICK_US;

/// The payload begins behind both SSRCs and the four fixed fields.
const FIXED_BYTES: usize = 16;

/// What became of a packet; the two bits of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Missing = 0,
    /// The difference is one byte: 0–63.75 ms after the one before.
    Small = 1,
    /// The difference is two bytes with sign: up to ±8.2 s.
    Large = 2,
}

impl Symbol {
    const fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            0 => Some(Self::Missing),
            1 => Some(Self::Small),
            2 => Some(Self::Large),
            // Reserved: the length of its difference is unknown.
            _ => None,
        }
    }

    const fn bytes(self) -> usize {
        self as usize
    }
}

/// One feedback packet, checked as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feedback<'a> {
    pub sender_ssrc: u32,
    pub media_ssrc: u32,
    /// Counts feedback packets, so that a lost one can be noticed.
    pub number: u8,
    base: u16,
    count: u16,
    /// 24 bits, in units of 64 ms.
    reference: u32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// `body` is the RTCP packet behind its first four bytes. `None` when it is cut, uses the reserved symbol or
    /// speaks of too many packets.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (base, count) = (u16_at(body, 8)?, u16_at(body, 10)?);
        if count == 0 || usize::from(count) > limits::FEEDBACK_PACKETS_MAX {
            return None;
        }
        let rest = body.get(FIXED_BYTES..)?;
        let mut symbols = Symbols { chunks: rest, chunk: 0, symbols: 0, left: count };
        let mut delta_bytes = 0;
        for _ in 0..count {
            delta_bytes += symbols.next()?.bytes();
        }
        let (chunks, deltas) = rest.split_at_checked(rest.len() - symbols.chunks.len())?;
        Some(Self {
            sender_ssrc: u32_at(body, 0)?,
            media_ssrc: u32_at(body, 4)?,
            number: *body.get(15)?,
            base,
            count,
            reference: u24_at(body, 12)?,
            chunks,
            deltas: deltas.get(..delta_bytes)?,
        })
    }

    /// Every packet spoken of, in order: its transport-wide sequence number and, if it arrived, when: µs on the
    /// receiver's clock, which begins anywhere and wraps at [`ARRIVAL_WRAP_US`]. Within one feedback the times do not
    /// wrap; they may go back where packets overtook each other.
    pub fn packets(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let symbols = Symbols { chunks: self.chunks, chunk: 0, symbols: 0, left: self.count };
        let (mut sequence, mut deltas) = (self.base, self.deltas);
        let mut ticks = i64::from(self.reference) * REFERENCE_TICKS;
        symbols.map(move |symbol| {
            let at = sequence;
            sequence = sequence.wrapping_add(1);
            let (delta, rest) = deltas.split_at_checked(symbol.bytes()).unwrap_or_default();
            deltas = rest;
            ticks += match *delta {
                [small] => i64::from(small),
                [high, low] => i64::from(i16::from_be_bytes([high, low])),
                _ => return (at, None),
            };
            (at, Some(ticks * TICK_US))
        })
    }

    /// How many packets it speaks of, arrived or not.
    pub const fn count(&self) -> u16 {
        self.count
    }
}

/// Walks over the chunks, one symbol per packet; ends early at a reserved symbol or where the chunks end.
struct Symbols<'a> {
    chunks: &'a [u8],
    chunk: u16,
    /// Not yet yielded of `chunk`.
    symbols: u16,
    left: u16,
}

impl Iterator for Symbols<'_> {
    type Item = Symbol;

    fn next(&mut self) -> Option<Symbol> {
        self.left = self.left.checked_sub(1)?;
        while self.symbols == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk()?;
            (self.chunk, self.chunks) = (u16::from_be_bytes(*chunk), rest);
            self.symbols = match self.chunk >> 14 {
                0 | 1 => self.chunk & 0x1fff,
                2 => 14,
                _ => 7,
            };
        }
        self.symbols -= 1;
        let bits = match self.chunk >> 14 {
            0 | 1 => self.chunk >> 13,
            2 => (self.chunk >> self.symbols) & 1,
            _ => (self.chunk >> (2 * self.symbols)) & 3,
        };
        Symbol::from_bits(bits)
    }
}
