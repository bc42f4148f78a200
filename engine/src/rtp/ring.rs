//! One encoding of a published source: its recent packets, stored once for all subscribers, and where its last keyframe
//! begins.
//!
//! Packets are named by their *position*: the order in which they arrived. A subscriber is a cursor, a repair a look
//! back. Invariants:
//! - The packets of positions [`Ring::first`] to [`Ring::head`] are there, whole, and no others.
//! - [`Ring::bootstrap`] names the first packet of a keyframe, so whatever starts there can be decoded.
//! - A keyframe is *whole* when every packet from its first to its marker has arrived, in any order.
//! - Memory follows what repairs and newcomers need: at most [`RING_AGE_MAX`], [`RING_PACKETS_MAX`] and
//!   [`RING_BYTES_MAX`], and no more than [`RING_REPAIR_AGE`] once what has come since the last keyframe is too much to be
//!   replayed, or more than the audience is worth ([`Ring::serve`]). What a newcomer may have been given stays for as long
//!   after that: it was sent a moment ago, however old it is.

mod keyframe;
mod store;

use std::collections::VecDeque;
use std::time::Instant;

use fanlight_wire::limits::{
    REPLAY_BYTES_PER_SUBSCRIBER, REPLAY_PACKETS_MAX, RING_AGE_MAX, RING_BYTES_MAX, RING_PACKETS_MAX, RING_REPAIR_AGE,
    SOURCE_JUMP_MAX,
};

use super::header::Extension;
use super::layers::Place;
use crate::peer::Format;
use keyframe::Keyframe;
use store::Store;

/// A received packet, before it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) ssrc: u32,
    pub(crate) format: Format,
    /// Extended sequence number.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) received: Instant,
    pub(crate) place: Place,
    pub(crate) payload: &'a [u8],
    /// Extensions that go with the packet, as [`carry`] wrote them.
    pub(crate) carried: &'a [u8],
}

/// A stored packet without its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) sequence: u64,
    pub(crate) received: Instant,
    pub(crate) timestamp: u32,
    pub(crate) format: Format,
    pub(crate) marker: bool,
    pub(crate) place: Place,
    at: u32,
    payload_bytes: u16,
    carried_bytes: u16,
}

/// Where a subscriber may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    /// Position from which on nothing is missed.
    pub(crate) position: u64,
    /// The first packet of the keyframe; what is older is not for this subscriber.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) received: Instant,
}

/// What a packet meant to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The source has begun to count anew; everything before is gone.
    pub(crate) anew: bool,
    /// A keyframe became whole by it.
    pub(crate) completes_keyframe: bool,
}

/// The recent packets of one encoding.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    slots: VecDeque<Slot>,
    /// Position of the oldest slot.
    first: u64,
    store: Store,
    keyframe: Option<Keyframe>,
    /// The oldest position that a newcomer may have been given, and when that was so last.
    given: Option<(u64, Instant)>,
    /// SSRC and highest sequence number.
    newest: Option<(u32, u64)>,
    /// Bytes that may be kept for newcomers.
    replay_bytes: usize,
}

impl Ring {
    /// Stores a packet.
    pub(crate) fn push(&mut self, arrival: &Arrival<'_>) -> Stored {
        let anew = !self.continues(arrival);
        if anew {
            self.clear();
        }
        self.trim(arrival.received);
        let (payload, carried) = (arrival.payload, arrival.carried);
        let Some(at) = self.store.write(payload, carried) else {
            // Nothing of this size passes the transport.
            return Stored { anew, completes_keyframe: false };
        };
        let slot = Slot {
            sequence: arrival.sequence,
            received: arrival.received,
            timestamp: arrival.timestamp,
            format: arrival.format,
            marker: arrival.marker,
            place: arrival.place,
            at,
            payload_bytes: u16::try_from(payload.len()).unwrap_or_default(),
            carried_bytes: u16::try_from(carried.len()).unwrap_or_default(),
        };
        self.slots.push_back(slot);
        let completes_keyframe = arrival.format.codec.is_video() && self.note_keyframe(&slot);
        Stored { anew, completes_keyframe }
    }

    /// So many subscribers are there: the more, the likelier is a newcomer, and the less does the memory for one weigh.
    pub(crate) fn serve(&mut self, subscribers: usize) {
        self.replay_bytes = subscribers.saturating_mul(REPLAY_BYTES_PER_SUBSCRIBER);
    }

    /// Position after the newest packet.
    pub(crate) fn head(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// The source of what is stored.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.newest.map(|(ssrc, _)| ssrc)
    }

    /// Position of the oldest packet.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn slot(&self, position: u64) -> Option<&Slot> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.slots.get(index)
    }

    pub(crate) fn payload(&self, slot: &Slot) -> &[u8] {
        self.store.bytes(slot.at, usize::from(slot.payload_bytes))
    }

    /// The extensions that go with a packet.
    pub(crate) fn carried(&self, slot: &Slot) -> impl Iterator<Item = (Extension, &[u8])> {
        let at = slot.at.wrapping_add(u32::from(slot.payload_bytes));
        Carried(self.store.bytes(at, usize::from(slot.carried_bytes)))
    }

    /// The packet's bytes: the payload, and behind it the extensions that go with it.
    pub(crate) fn whole(&self, slot: &Slot) -> &[u8] {
        self.store.bytes(slot.at, usize::from(slot.payload_bytes) + usize::from(slot.carried_bytes))
    }

    /// Where a subscriber should begin, if what has come since the last keyframe is worth replaying.
    pub(crate) fn bootstrap(&self) -> Option<Bootstrap> {
        let keyframe = self.keyframe.as_ref()?;
        let replayable = self.head() - keyframe.position <= REPLAY_PACKETS_MAX as u64
            && self.slots.back()?.received.saturating_duration_since(keyframe.received) <= RING_AGE_MAX;
        replayable.then_some(Bootstrap {
            position: keyframe.position.max(self.first),
            sequence: keyframe.first,
            timestamp: keyframe.timestamp,
            received: keyframe.received,
        })
    }

    /// Where a listener begins who has heard nothing before `position`: sound starts anywhere.
    pub(crate) fn from(&self, position: u64) -> Option<Bootstrap> {
        let position = position.max(self.first);
        let Slot { sequence, timestamp, received, .. } = *self.slot(position)?;
        Some(Bootstrap { position, sequence, timestamp, received })
    }

    /// Another source, whose numbers have nothing to do with the former's.
    pub(crate) fn begin_anew(&mut self) {
        self.clear();
        self.newest = None;
        // Nothing of a share outlives it, and an empty lane costs nothing.
        (self.slots, self.store) = (VecDeque::new(), Store::default());
    }

    /// Forgets every packet; positions go on.
    fn clear(&mut self) {
        self.first = self.head();
        self.slots.clear();
        self.store.clear();
        (self.keyframe, self.given) = (None, None);
    }

    fn continues(&mut self, arrival: &Arrival<'_>) -> bool {
        let (ssrc, newest) = self.newest.unwrap_or((arrival.ssrc, arrival.sequence));
        let continues = ssrc == arrival.ssrc && arrival.sequence <= newest + SOURCE_JUMP_MAX;
        let newest = if continues { newest.max(arrival.sequence) } else { arrival.sequence };
        self.newest = Some((arrival.ssrc, newest));
        continues
    }

    /// Lets go of what nobody needs any more.
    fn trim(&mut self, now: Instant) {
        self.note_given(now);
        let replayable = self.given.map_or(u64::MAX, |(position, _)| position);
        while let Some(oldest) = self.slots.front() {
            let age = now.saturating_duration_since(oldest.received);
            let held = self.store.held();
            let kept =
                if self.first >= replayable && held <= self.replay_bytes { RING_AGE_MAX } else { RING_REPAIR_AGE };
            if age <= kept && self.slots.len() < RING_PACKETS_MAX && held < RING_BYTES_MAX {
                break;
            }
            self.pop();
        }
    }

    /// Notes from where on newcomers are, or have lately been, served.
    fn note_given(&mut self, now: Instant) {
        let begins = self.bootstrap().map(|bootstrap| bootstrap.position);
        let is_over = |(position, at)| Some(position) == begins || now.saturating_duration_since(at) > RING_REPAIR_AGE;
        if self.given.is_none_or(is_over) {
            self.given = begins.map(|position| (position, now));
        }
    }

    fn pop(&mut self) {
        let Some(gone) = self.slots.pop_front() else { return };
        self.store.release(self.slots.front());
        if self.keyframe.as_ref().is_some_and(|keyframe| keyframe.first == gone.sequence) {
            self.keyframe = None;
        }
        self.first += 1;
    }

    /// True when the packet completes a keyframe.
    fn note_keyframe(&mut self, slot: &Slot) -> bool {
        if slot.place.keyframe {
            self.begin_keyframe(slot);
        } else if let Some(keyframe) = &mut self.keyframe {
            keyframe.count(slot);
        }
        self.keyframe.as_mut().is_some_and(Keyframe::complete)
    }

    fn begin_keyframe(&mut self, slot: &Slot) {
        match &mut self.keyframe {
            // Parameter sets and slices of one picture each look like a beginning; the earliest is it.
            Some(keyframe) if keyframe.timestamp == slot.timestamp && slot.sequence >= keyframe.first => {
                return keyframe.count(slot);
            }
            Some(keyframe) if keyframe.timestamp != slot.timestamp && slot.sequence < keyframe.first => return,
            _ => {}
        }
        let belongs = |stored: &Slot| stored.sequence >= slot.sequence;
        let index = self.slots.iter().position(belongs).unwrap_or_default();
        let mut keyframe = Keyframe::new(slot, self.first + index as u64);
        self.slots.iter().for_each(|stored| keyframe.count(stored));
        self.keyframe = Some(keyframe);
    }
}

impl Slot {
    /// The same packet, kept elsewhere.
    pub(crate) fn kept_at(self, at: usize) -> Self {
        Self { at: u32::try_from(at).unwrap_or(u32::MAX), ..self }
    }

    /// The packet as it arrived, read from where it is kept.
    pub(crate) fn arrival<'a>(&self, ssrc: u32, kept: &'a [u8]) -> Option<Arrival<'a>> {
        let (payload, carried) = (usize::from(self.payload_bytes), usize::from(self.carried_bytes));
        let whole = kept.get(self.at as usize..)?.get(..payload + carried)?;
        let (payload, carried) = whole.split_at_checked(payload)?;
        let Self { format, sequence, timestamp, marker, received, place, .. } = *self;
        Some(Arrival { ssrc, format, sequence, timestamp, marker, received, place, payload, carried })
    }
}

/// Appends an extension to what goes with a packet. False, and nothing appended, when it is too long to be carried.
pub(crate) fn carry(to: &mut Vec<u8>, extension: Extension, value: &[u8]) -> bool {
    let Ok(length) = u8::try_from(value.len()) else { return false };
    to.extend([extension as u8, length]);
    to.extend_from_slice(value);
    true
}

/// Reads what [`carry`] wrote.
struct Carried<'a>(&'a [u8]);

impl<'a> Iterator for Carried<'a> {
    type Item = (Extension, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[kind, length], rest) = self.0.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((*Extension::ALL.get(usize::from(kind))?, value))
    }
}

#[cfg(test)]
mod tests;
