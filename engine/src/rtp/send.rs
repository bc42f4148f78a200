//! Egress: one media section towards one subscriber.
//!
//! Owns the section's numbering, its payload types and extension identifiers, the history that answers NACKs, and what
//! sender reports say. Invariants:
//! - A packet is copied once, from the track's ring into the outbox, and protected there; nothing is allocated.
//! - No number of an SSRC is used twice, so no nonce is (RFC 7714 §8.1).
//! - After [`Sender::change_source`] nothing of the former source leaves, repairs included (R015, P17).
//! - Repairs are at most [`REPAIR_PERCENT_MAX`] percent of what is sent, and none is repeated within a round trip.
//!
//! It leaves to [`super::ring`] what is stored, and to the fan-out which packets are sent.
//! RFCs: 3550, 4588 (RTX), 8285.

mod history;
mod line;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanlight_wire::limits::REPAIR_PERCENT_MAX;

use super::bwe::Estimator;
use super::header::{self, ABSOLUTE_SEND_TIME_BYTES, Extension, Fields};
use super::layers::vp8;
use super::red;
use super::ring::{Bootstrap, Ring, Slot};
use super::srtp::Protect;
use crate::codec::Codec;
use crate::datagram::Transport;
use crate::entropy::Entropy;
use crate::outbox::Outbox;
use crate::peer::{Format, Formats, Mid, PayloadType, Section};
use history::History;
use line::Line;

/// Room for any header that [`Sender`] writes: eight short extensions and one of 255 bytes.
const HEADER_BYTES_MAX: usize = 400;
/// Packets that say which section they belong to; a receiver that has not learned it by then reads the answer.
const INTRODUCTIONS: u64 = 64;
/// Bytes of repairs that may leave at once.
const REPAIR_BURST_BYTES: u64 = 128 * 1024;
/// Packets that are sent again for one probe.
const PROBE_PACKETS_MAX: u64 = 16;
/// Shortest time between two repairs of one packet.
const REPAIR_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Where a peer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) transport: Transport,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// What a peer lends to its senders for one visit.
pub(crate) struct Departure<'a> {
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) protect: &'a mut Protect,
    pub(crate) formats: &'a Formats,
    pub(crate) to: Destination,
    pub(crate) now: Instant,
    pub(crate) send_time: [u8; ABSOLUTE_SEND_TIME_BYTES],
    /// Of the next packet, for transport-wide feedback.
    pub(crate) transport_sequence: &'a mut u16,
    /// Hears of every packet, if the path is estimated.
    pub(crate) estimator: Option<&'a mut Estimator>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    Sent,
    /// Its format was not agreed to.
    NoCodec,
    /// Older than the beginning, or sent before.
    Late,
    /// Its picture was left out, or is older than what is remembered.
    Skipped,
    /// Could not be written.
    Failed,
}

/// One media section towards one subscriber.
#[derive(Debug)]
pub(crate) struct Sender {
    section: Section,
    /// Extensions that are written, by ascending identifier; in place, because every packet reads them.
    extensions: [Option<(u8, Extension)>; Extension::ALL.len()],
    /// The last answer of the negotiation, because it is asked for every packet.
    agreed: Option<(Format, Option<Wording>)>,
    line: Line,
    history: History,
    /// Of the next repair, extended.
    rtx_sequence: u64,
    clock_hertz: u32,
    sent_packets: u64,
    sent_bytes: u64,
    repair_bytes: u64,
    /// Closes the gaps that left out pictures leave in VP8's own numbering; only while layers are selected.
    pictures: Option<Box<vp8::Rewriter>>,
}

/// How a format is said to this subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wording {
    payload_type: PayloadType,
    redundancy: Redundancy,
}

/// What becomes of the redundancy beside the sound (RFC 2198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redundancy {
    None,
    /// It passes; its blocks have this payload type here.
    Kept(u8),
    /// It was not agreed to.
    Stripped,
}

/// What a sender report says of a section (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) ssrc: u32,
    pub(crate) timestamp: u32,
    /// Modulo 2³², as the report counts.
    pub(crate) packets: u32,
    pub(crate) bytes: u32,
}

/// A packet as it is to be written.
struct Writing<'a> {
    fields: Fields,
    /// Extended sequence number.
    index: u64,
    /// RFC 4588 §4: the number of the packet that is repaired.
    original: Option<u16>,
    introduces: bool,
    ring: &'a Ring,
    slot: &'a Slot,
    payload: &'a [u8],
    redundancy: Redundancy,
}

impl Sender {
    pub(crate) fn new(section: &Section, entropy: &mut Entropy) -> Self {
        let line = Line::new(entropy);
        let mut sender = Self {
            section: section.clone(),
            extensions: [None; Extension::ALL.len()],
            agreed: None,
            line,
            history: History::default(),
            rtx_sequence: u64::from(u16::from_le_bytes(entropy.array()) >> 2),
            clock_hertz: 0,
            sent_packets: 0,
            sent_bytes: 0,
            repair_bytes: REPAIR_BURST_BYTES,
            pictures: None,
        };
        sender.renegotiate(section);
        sender
    }

    pub(crate) const fn mid(&self) -> Mid {
        self.section.mid
    }

    pub(crate) const fn ssrc(&self) -> u32 {
        self.section.ssrc
    }

    /// The newest number that was given, extended.
    #[cfg(test)]
    pub(crate) const fn newest(&self) -> u64 {
        self.line.newest()
    }

    /// Takes over what was negotiated anew. The numbering goes on.
    pub(crate) fn renegotiate(&mut self, section: &Section) {
        self.section = section.clone();
        self.agreed = None;
        let own = [Extension::Mid, Extension::AbsoluteSendTime, Extension::TransportSequence];
        let written = |extension: &Extension| extension.is_carried() || own.contains(extension);
        let named = |extension| section.extensions.id(extension).map(|id| (id, extension));
        self.extensions = Extension::ALL.map(|extension| Some(extension).filter(written).and_then(named));
        self.extensions.sort_unstable_by_key(|place| place.map_or(u8::MAX, |(id, _)| id));
    }

    /// Nothing of what was sent may leave again.
    pub(crate) fn change_source(&mut self) {
        self.history.clear();
    }

    /// Begins with another encoding or source, or anew with the same.
    pub(crate) fn open(&mut self, first: &Bootstrap, clock_hertz: u32) {
        self.clock_hertz = clock_hertz;
        self.history.clear();
        self.line.open(first, clock_hertz);
        if let Some(pictures) = &mut self.pictures {
            pictures.change_source();
        }
    }

    /// Pictures may be left out from now on: VP8's own numbers have to be closed up.
    pub(crate) fn number_pictures(&mut self) {
        self.pictures.get_or_insert_default();
    }

    /// Leaves a packet out without leaving a gap.
    pub(crate) fn omit(&mut self, ring: &Ring, slot: &Slot) {
        self.line.omit(slot.sequence);
        if let Some(pictures) = self.pictures.as_mut().filter(|_| slot.format.codec == Codec::Vp8) {
            pictures.skip(ring.payload(slot));
        }
    }

    /// Sends the packet at `position`; `marker` when it ends its picture because the rest is left out.
    pub(crate) fn send(
        &mut self,
        ring: &Ring,
        position: u64,
        slot: &Slot,
        marker: bool,
        departure: &mut Departure<'_>,
    ) -> Sending {
        let Some(wording) = self.wording(slot.format, departure.formats) else {
            return Sending::NoCodec;
        };
        let payload = match wording.redundancy {
            Redundancy::Stripped => red::primary(ring.payload(slot)),
            Redundancy::None | Redundancy::Kept(_) => Some(ring.payload(slot)),
        };
        let Some(payload) = payload else { return Sending::Failed };
        let Some(named) = self.line.name(slot.sequence, slot.timestamp, slot.received) else {
            return Sending::Late;
        };
        let fields = Fields {
            payload_type: wording.payload_type.main,
            marker: slot.marker || marker,
            sequence: named.sequence as u16,
            timestamp: named.timestamp,
            ssrc: self.section.ssrc,
            padded: false,
        };
        let introduces = self.sent_packets < INTRODUCTIONS;
        let (index, redundancy) = (named.sequence, wording.redundancy);
        let writing = Writing { fields, index, original: None, introduces, ring, slot, payload, redundancy };
        let bytes = match self.write(&writing, departure) {
            Ok(bytes) => bytes,
            Err(why) => return why,
        };
        if self.section.video {
            self.history.note(named.sequence, position, ring.first());
        }
        self.sent_packets += 1;
        self.sent_bytes += payload.len() as u64;
        self.repair_bytes = (self.repair_bytes + bytes * REPAIR_PERCENT_MAX / 100).min(REPAIR_BURST_BYTES);
        Sending::Sent
    }

    /// Sends again what left as `lost`. False when that is not possible, not allowed, or was done less than a round trip
    /// ago.
    pub(crate) fn repair(
        &mut self,
        ring: &Ring,
        lost: u16,
        round_trip: Duration,
        departure: &mut Departure<'_>,
    ) -> bool {
        let pause = round_trip.max(REPAIR_PAUSE_MIN);
        self.send_again(ring, lost, Some(pause), departure)
    }

    /// Without a `pause` it counts as no repair: what is lost of a probe may still be asked for.
    fn send_again(&mut self, ring: &Ring, lost: u16, pause: Option<Duration>, departure: &mut Departure<'_>) -> bool {
        let Some(number) = self.line.extend(lost) else { return false };
        let position = self.history.find(number, ring.head());
        let Some((_, slot)) = position.and_then(|position| Some((position, ring.slot(position)?))) else {
            return false;
        };
        let wording = self.agreed.and_then(|(format, agreed)| agreed.filter(|_| format == slot.format));
        let rtx = self.section.rtx.zip(wording.and_then(|wording| wording.payload_type.rtx));
        let Some((ssrc, rtx_payload_type)) = rtx else { return false };
        let payload = ring.payload(slot);
        let bytes = payload.len() as u64;
        if self.repair_bytes < bytes {
            return false;
        }
        if pause.is_some_and(|pause| !self.history.admits_repair(number, departure.now, pause)) {
            return false;
        }
        let index = self.rtx_sequence;
        self.rtx_sequence += 1;
        let fields = Fields {
            payload_type: rtx_payload_type,
            marker: slot.marker,
            sequence: index as u16,
            timestamp: self.line.timestamp_of(slot.timestamp),
            ssrc,
            padded: false,
        };
        let redundancy = Redundancy::None;
        let writing =
            Writing { fields, index, original: Some(lost), introduces: true, ring, slot, payload, redundancy };
        let written = self.write(&writing, departure).is_ok();
        self.repair_bytes -= bytes;
        written
    }

    /// Sends about `bytes` of what was sent last once more, to learn what the path carries.
    pub(crate) fn probe(&mut self, ring: &Ring, mut bytes: usize, departure: &mut Departure<'_>) {
        let newest = self.line.newest();
        for behind in 0..PROBE_PACKETS_MAX {
            let before = departure.bytes;
            if bytes == 0 || !self.send_again(ring, newest.wrapping_sub(behind) as u16, None, departure) {
                return;
            }
            bytes = bytes.saturating_sub((departure.bytes - before) as usize);
        }
    }

    /// What to report at `now`; nothing before anything was sent. `clock` is what the source's own sender said last of
    /// its timestamps, and when: only that keeps sound and picture together.
    pub(crate) fn report(&self, now: Instant, clock: Option<(Instant, u32)>) -> Option<Report> {
        let by_arrival = self.line.timestamp_at(now, self.clock_hertz)?;
        let by_sender = clock.map(|(at, timestamp)| {
            let passed = line::ticks(now.saturating_duration_since(at), self.clock_hertz);
            self.line.timestamp_of(timestamp.wrapping_add(passed))
        });
        Some(Report {
            ssrc: self.section.ssrc,
            timestamp: by_sender.unwrap_or(by_arrival),
            packets: self.sent_packets as u32,
            bytes: self.sent_bytes as u32,
        })
    }

    /// How this format is said here; looked up when it changes.
    fn wording(&mut self, format: Format, formats: &Formats) -> Option<Wording> {
        if let Some((known, wording)) = self.agreed
            && known == format
        {
            return wording;
        }
        let called = |codec| formats.payload_type(self.section.mid, Format { codec, ..format });
        let wording = match format.codec {
            Codec::Red => called(Codec::Opus).map(|opus| match called(Codec::Red) {
                Some(payload_type) => Wording { payload_type, redundancy: Redundancy::Kept(opus.main) },
                None => Wording { payload_type: opus, redundancy: Redundancy::Stripped },
            }),
            codec => called(codec).map(|payload_type| Wording { payload_type, redundancy: Redundancy::None }),
        };
        self.agreed = Some((format, wording));
        wording
    }

    /// Writes and protects one packet in the outbox; how many bytes it has.
    fn write(&mut self, writing: &Writing<'_>, departure: &mut Departure<'_>) -> Result<u64, Sending> {
        let mut head = [0; HEADER_BYTES_MAX];
        let (header_bytes, is_numbered) = self.write_header(&mut head, writing, departure).ok_or(Sending::Failed)?;
        let (head, payload) = (head.get(..header_bytes).unwrap_or_default(), writing.payload);
        let original = writing.original.map(u16::to_be_bytes);
        let original = original.as_ref().map(<[u8; 2]>::as_slice).unwrap_or_default();
        let total = head.len() + original.len() + payload.len() + departure.protect.rtp_overhead();
        let Destination { transport, source, destination } = departure.to;
        let packet = departure.outbox.reserve(transport, source, destination, total);
        let mut filled = fill(packet, [head, original, payload]).ok_or(Sending::Failed);
        if let Ok(copy) = &mut filled
            && let Some(pictures) = self.pictures.as_mut().filter(|_| writing.slot.format.codec == Codec::Vp8)
            && !pictures.rewrite(copy)
        {
            filled = Err(Sending::Skipped);
        }
        if let (Ok(copy), Redundancy::Kept(opus)) = (&mut filled, writing.redundancy)
            && !red::rename(copy, opus)
        {
            filled = Err(Sending::Failed);
        }
        let written = filled.map(|_| ()).and_then(|()| {
            departure.protect.rtp(packet, header_bytes, writing.index).map_err(|error| {
                tracing::debug!(%error, "a packet could not be protected");
                Sending::Failed
            })
        });
        if let Err(why) = written {
            // Nothing may leave in the clear.
            departure.outbox.take_back(total);
            return Err(why);
        }
        // Feedback speaks of what bears a number; a number that nothing bears would be a loss to it.
        if is_numbered {
            if let Some(estimator) = &mut departure.estimator {
                estimator.on_sent(departure.now, *departure.transport_sequence, total);
            }
            *departure.transport_sequence = departure.transport_sequence.wrapping_add(1);
        }
        departure.packets += 1;
        departure.bytes += total as u64;
        Ok(total as u64)
    }

    /// The header's length, and whether the packet bears a number for transport-wide feedback.
    fn write_header(&self, head: &mut [u8], writing: &Writing<'_>, departure: &Departure<'_>) -> Option<(usize, bool)> {
        let mut carried: [Option<&[u8]>; Extension::ALL.len()] = [None; Extension::ALL.len()];
        for (extension, value) in writing.ring.carried(writing.slot) {
            if let Some(place) = carried.get_mut(extension as usize) {
                *place = Some(value);
            }
        }
        let transport_sequence = departure.transport_sequence.to_be_bytes();
        let mut values: [(u8, &[u8]); Extension::ALL.len()] = [(0, &[]); Extension::ALL.len()];
        let (mut count, mut is_numbered) = (0, false);
        for (id, extension) in self.extensions.iter().flatten() {
            let value: Option<&[u8]> = match extension {
                Extension::Mid => writing.introduces.then(|| self.section.mid.as_bytes()),
                Extension::AbsoluteSendTime => Some(&departure.send_time),
                Extension::TransportSequence => Some(&transport_sequence),
                carried_one => carried.get(*carried_one as usize).copied().flatten(),
            };
            let Some(value) = value else { continue };
            if !self.section.mixed_extensions && !header::fits_one_byte(*id, value) {
                continue;
            }
            *values.get_mut(count)? = (*id, value);
            count += 1;
            is_numbered |= *extension == Extension::TransportSequence;
        }
        Some((header::write(head, &writing.fields, values.get(..count)?)?, is_numbered))
    }
}

/// Copies the parts behind each other; the last one's copy.
fn fill<'a>(packet: &'a mut [u8], parts: [&[u8]; 3]) -> Option<&'a mut [u8]> {
    let [head, original, payload] = parts;
    let (to, rest) = packet.split_at_mut_checked(head.len())?;
    to.copy_from_slice(head);
    let (to, rest) = rest.split_at_mut_checked(original.len())?;
    to.copy_from_slice(original);
    let copy = rest.get_mut(..payload.len())?;
    copy.copy_from_slice(payload);
    Some(copy)
}
