//! One subscriber's view of a slot on one media section: a stream that looks as if one sender had made it.
//!
//! Invariant: whatever source fills the slot, SSRC, sequence numbers and timestamps continue (RFC 3550 §5.1). Numbers
//! follow the source's gaps, so that a loss towards the relay is a loss the subscriber can see and ask for. The first
//! packet of every source is the first of a keyframe.
//!
//! The payload is untouched. A VP8 picture id therefore jumps when the source changes; decoders accept that at a
//! keyframe, where the source changes (RFC 7741 §4.2 requires continuity only within one encoding).

use std::time::{Duration, Instant};

use crate::entropy::Entropy;
use crate::peer::{Format, Mid, Outgoing, Packet, PayloadType};

/// Sequence numbers begin below this, so that no early loss hides a rollover.
const START_BELOW: u16 = 0x4000;

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) mid: Mid,
    open: bool,
    told_no_codec: bool,
    /// The last answer of the negotiation, because it is asked for every packet.
    agreed: Option<(Format, Option<PayloadType>)>,
    line: Line,
}

/// How the source's numbers become the subscriber's.
#[derive(Debug)]
struct Line {
    /// What the first packet of this source is called, on both sides.
    sequence: (u64, u64),
    timestamp: (u32, u32),
    /// The newest packet sent.
    newest: u64,
    newest_timestamp: u32,
    newest_at: Option<Instant>,
}

impl Subscription {
    pub(crate) fn new(mid: Mid, entropy: &mut Entropy) -> Self {
        let start = u64::from(u16::from_le_bytes(entropy.array()) % START_BELOW);
        let line = Line {
            sequence: (0, 0),
            timestamp: (0, 0),
            newest: start,
            newest_timestamp: u32::from_le_bytes(entropy.array()),
            newest_at: None,
        };
        Self { mid, open: false, told_no_codec: false, agreed: None, line }
    }

    /// Does it wait for a keyframe?
    pub(crate) const fn is_shut(&self) -> bool {
        !self.open
    }

    /// Nothing more until [`Self::open`].
    pub(crate) const fn shut(&mut self) {
        self.open = false;
    }

    /// The slot is filled by somebody else, or by nobody.
    pub(crate) const fn change_source(&mut self) {
        self.open = false;
        self.told_no_codec = false;
    }

    /// Forgets what was negotiated.
    pub(crate) const fn renegotiated(&mut self) {
        self.agreed = None;
    }

    /// Continues the line with `first`: the next number, and a timestamp later by the time that has passed.
    pub(crate) fn open(&mut self, first: &Packet) {
        let clock = first.format.codec.clock_hertz();
        let passed = self.line.newest_at.map(|at| first.received.saturating_duration_since(at)).unwrap_or_default();
        // Two sources in the same instant still need different timestamps, or their frames would merge.
        let ticks = ticks(passed, clock).max(clock / 100);
        self.line.sequence = (first.sequence, self.line.newest + 1);
        self.line.timestamp = (first.timestamp, self.line.newest_timestamp.wrapping_add(ticks));
        self.open = true;
    }

    /// The header under which a packet of the current source leaves, or `None` when it is older than the beginning.
    pub(crate) fn rewrite(&mut self, packet: &Packet, payload_type: PayloadType) -> Option<Outgoing> {
        if !self.open {
            return None;
        }
        let line = &mut self.line;
        let sequence = line.sequence.1 + packet.sequence.checked_sub(line.sequence.0)?;
        let timestamp = line.timestamp.1.wrapping_add(packet.timestamp.wrapping_sub(line.timestamp.0));
        if sequence > line.newest {
            line.newest = sequence;
            line.newest_timestamp = timestamp;
            line.newest_at = Some(packet.received);
        }
        Some(Outgoing { payload_type, sequence, timestamp })
    }

    /// The payload type for `format`; `ask` is consulted when the format changes.
    pub(crate) fn payload_type(
        &mut self,
        format: Format,
        ask: impl FnOnce(Mid, Format) -> Option<PayloadType>,
    ) -> Option<PayloadType> {
        match self.agreed {
            Some((known, payload_type)) if known == format => payload_type,
            _ => {
                let payload_type = ask(self.mid, format);
                self.agreed = Some((format, payload_type));
                payload_type
            }
        }
    }

    /// True the first time for each source.
    pub(crate) const fn tell_no_codec(&mut self) -> bool {
        !std::mem::replace(&mut self.told_no_codec, true)
    }
}

fn ticks(passed: Duration, clock_hertz: u32) -> u32 {
    let ticks = passed.as_micros() * u128::from(clock_hertz) / 1_000_000;
    // Truncation is meant: timestamps count modulo 2³².
    u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::Codec;
    use crate::peer::Carried;

    fn packet(sequence: u64, timestamp: u32, received: Instant) -> Packet {
        Packet {
            ssrc: 1,
            format: Format { codec: Codec::Vp8, profile: 0, packetization: 0 },
            sequence,
            timestamp,
            marker: true,
            payload: Arc::from([0x10, 0x00]),
            carried: Carried::default(),
            received,
        }
    }

    fn send(subscription: &mut Subscription, packet: &Packet) -> Option<(u64, u32)> {
        subscription.rewrite(packet, PayloadType::test(96)).map(|out| (out.sequence, out.timestamp))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn numbers_continue_over_a_change_of_source() {
        let base = Instant::now();
        let mut subscription = Subscription::new(Mid::from("0"), &mut Entropy::seeded(1));
        let first = packet(70_000, 1_000, base);
        assert_eq!(send(&mut subscription, &first), None, "shut until opened");
        subscription.open(&first);
        let (s, t) = send(&mut subscription, &first).expect("open");
        assert_eq!(send(&mut subscription, &packet(70_002, 4_000, base)), Some((s + 2, t.wrapping_add(3_000))));
        assert_eq!(send(&mut subscription, &packet(70_001, 1_000, base)), Some((s + 1, t)), "late, but its number");
        assert_eq!(send(&mut subscription, &packet(69_999, 0, base)), None, "older than the beginning");

        subscription.change_source();
        let other = packet(5, 900_000, base + Duration::from_secs(1));
        assert_eq!(send(&mut subscription, &other), None);
        subscription.open(&other);
        assert_eq!(send(&mut subscription, &other), Some((s + 3, t.wrapping_add(3_000 + 90_000))));
    }
}
