//! RTCP: reports, feedback and farewells, read in place and appended to buffers.
//!
//! Owns the formats of RFC 3550 §6, RFC 4585 §6 (NACK, PLI), RFC 5104 §4.3.1 (FIR), the REMB draft and, with
//! [`super::twcc`], transport-wide feedback. Reduced-size compounds are welcome (RFC 5506). Invariant: reading is total
//! over hostile bytes and yields at most [`limits::RTCP_ITEMS_MAX`] items; one malformed packet does not spoil its
//! neighbours as long as its length can be believed. What follows from an item is left to the caller.

mod build;
#[cfg(test)]
mod tests;

use std::time::Duration;

use fanlight_wire::limits;

pub(super) use build::{begin_transport_wide, end};
pub use build::{bye, nack, pli, receiver_report, remb, sdes_cname, sender_report};

use super::read::{u16_at, u24_at, u32_at, u64_at};
use super::twcc::Feedback;

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of transport feedback and of payload feedback.
const NACK: u8 = 1;
const TRANSPORT_WIDE: u8 = 15;
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION: u8 = 15;
const REMB: [u8; 4] = *b"REMB";

const BLOCK_BYTES: usize = 24;

/// A moment on somebody's wall clock: seconds in the upper half, their fraction in the lower (RFC 3550 §4).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ntp(pub u64);

impl Ntp {
    /// `elapsed` since the moment that the clock calls zero.
    pub const fn from_elapsed(elapsed: Duration) -> Self {
        Self((elapsed.as_secs() << 32) | (((elapsed.subsec_nanos() as u64) << 32) / 1_000_000_000))
    }

    /// The 32 bits in the middle, by which a report is echoed: units of 1/65 536 s.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A time in units of 1/65 536 s, saturating after 18 hours.
pub(super) fn to_middle_units(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

pub(super) fn from_middle_units(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

/// What a receiver says about one source (RFC 3550 §6.4.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Of the packets since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Since the beginning, 24 bits with sign: duplicates count as received.
    pub cumulative_lost: i32,
    /// Cycles in the upper half, the highest sequence number received in the lower.
    pub highest: u32,
    /// In ticks of the source's clock.
    pub jitter: u32,
    /// [`Ntp::middle`] of the last sender report; 0 before the first.
    pub last_report: u32,
    /// Since then, in 1/65 536 s.
    pub delay: u32,
}

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    SenderReport {
        ssrc: u32,
        ntp: Ntp,
        timestamp: u32,
        packets: u32,
        bytes: u32,
        blocks: Blocks<'a>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: Blocks<'a>,
    },
    Nack {
        media_ssrc: u32,
        lost: Lost<'a>,
    },
    Pli {
        media_ssrc: u32,
    },
    Fir {
        targets: Targets<'a>,
    },
    /// The receiver believes in so many bits per second for all of `sources` together.
    Remb {
        bps: u64,
        sources: Sources<'a>,
    },
    TransportFeedback(Feedback<'a>),
    Bye {
        sources: Sources<'a>,
    },
    /// Well delimited, but of no interest here or malformed within.
    Other {
        packet_type: u8,
    },
}

/// The items of a decrypted datagram, in order; it ends at the first length that cannot be believed.
pub fn parse(compound: &[u8]) -> impl Iterator<Item = Item<'_>> {
    Packets { rest: compound }.take(limits::RTCP_ITEMS_MAX).map(|packet| {
        let packet_type = packet.packet_type;
        packet.read().unwrap_or(Item::Other { packet_type })
    })
}

struct Packets<'a> {
    rest: &'a [u8],
}

struct Packet<'a> {
    packet_type: u8,
    /// The low five bits of the first byte: a count or a format.
    count: u8,
    /// Behind the first four bytes, without padding; `None` when the padding is impossible.
    body: Option<&'a [u8]>,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let [flags, packet_type, ..] = *self.rest.first_chunk::<4>()?;
        let bytes = usize::from(u16_at(self.rest, 2)?) * 4 + 4;
        let (packet, rest) = self.rest.split_at_checked(bytes).filter(|_| flags >> 6 == 2)?;
        self.rest = rest;
        let body = packet.get(4..)?;
        let body = if flags & 0x20 == 0 { Some(body) } else { unpadded(body) };
        Some(Packet { packet_type, count: flags & 0x1f, body })
    }
}

fn unpadded(body: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*body.last()?);
    body.get(..body.len().checked_sub(padding)?).filter(|_| padding > 0 && padding.is_multiple_of(4))
}

impl<'a> Packet<'a> {
    fn read(self) -> Option<Item<'a>> {
        let body = self.body?;
        match (self.packet_type, self.count) {
            (SENDER_REPORT, count) => Some(Item::SenderReport {
                ssrc: u32_at(body, 0)?,
                ntp: Ntp(u64_at(body, 4)?),
                timestamp: u32_at(body, 12)?,
                packets: u32_at(body, 16)?,
                bytes: u32_at(body, 20)?,
                blocks: Blocks::new(body.get(24..)?, count)?,
            }),
            (RECEIVER_REPORT, count) => {
                Some(Item::ReceiverReport { ssrc: u32_at(body, 0)?, blocks: Blocks::new(body.get(4..)?, count)? })
            }
            (BYE, count) => Some(Item::Bye { sources: Sources { rest: body.get(..usize::from(count) * 4)? } }),
            (TRANSPORT_FEEDBACK, NACK) => {
                Some(Item::Nack { media_ssrc: u32_at(body, 4)?, lost: Lost { rest: body.get(8..)?, base: 0, mask: 0 } })
            }
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => Feedback::parse(body).map(Item::TransportFeedback),
            (PAYLOAD_FEEDBACK, PLI) => Some(Item::Pli { media_ssrc: u32_at(body, 4)? }),
            (PAYLOAD_FEEDBACK, FIR) => Some(Item::Fir { targets: Targets { rest: body.get(8..)? } }),
            (PAYLOAD_FEEDBACK, APPLICATION) => read_remb(body),
            _ => None,
        }
    }
}

/// The REMB draft, §2.2.
fn read_remb(body: &[u8]) -> Option<Item<'_>> {
    let (count, number) = (usize::from(*body.get(12)?), u24_at(body, 13)?);
    let bps = (u128::from(number & 0x3_ffff)) << (number >> 18);
    let sources = Sources { rest: body.get(16..16 + count * 4)? };
    let bps = u64::try_from(bps).unwrap_or(u64::MAX);
    (body.get(8..12)? == REMB).then_some(Item::Remb { bps, sources })
}

/// Report blocks, at most 31.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    fn new(bytes: &'a [u8], count: u8) -> Option<Self> {
        Some(Self { rest: bytes.get(..usize::from(count) * BLOCK_BYTES)? })
    }
}

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_first_chunk::<BLOCK_BYTES>()?;
        self.rest = rest;
        Some(ReportBlock {
            ssrc: u32_at(block, 0)?,
            fraction_lost: *block.get(4)?,
            // The sign of 24 bits reaches up.
            cumulative_lost: ((u24_at(block, 5)? << 8).cast_signed()) >> 8,
            highest: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            last_report: u32_at(block, 16)?,
            delay: u32_at(block, 20)?,
        })
    }
}

/// Sequence numbers asked for again (RFC 4585 §6.2.1); up to 17 for every four bytes of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost<'a> {
    rest: &'a [u8],
    /// What bit 0 of `mask` stands for.
    base: u16,
    mask: u32,
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask == 0 {
            let (entry, rest) = self.rest.split_first_chunk::<4>()?;
            self.rest = rest;
            self.base = u16_at(entry, 0)?;
            self.mask = 1 | (u32::from(u16_at(entry, 2)?) << 1);
        }
        let bit = self.mask.trailing_zeros();
        self.mask &= self.mask - 1;
        Some(self.base.wrapping_add(bit as u16))
    }
}

/// Sources named by their SSRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources<'a> {
    rest: &'a [u8],
}

impl Iterator for Sources<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*ssrc))
    }
}

/// Sources asked for a keyframe, each with the number of the command: a repeated number is a repeated command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets<'a> {
    rest: &'a [u8],
}

impl Iterator for Targets<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (entry, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some((u32_at(entry, 0)?, *entry.get(4)?))
    }
}
