//! Memory lent by the host for one turn's datagrams: trains of equal segments, ready for UDP GSO.
//!
//! Invariant: every segment of a train has `segment_bytes` bytes, except the last, which may be shorter. A train is
//! never longer than [`TRAIN_SEGMENTS_MAX`] segments or [`TRAIN_BYTES_MAX`] bytes.

use std::net::SocketAddr;
use std::ops::Range;

use fanlight_wire::limits::{TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX};

use crate::datagram::Transport;

/// Memory that is never given back.
const KEPT_BYTES: usize = 1024 * 1024;
/// The part of what was needed that is forgotten per turn: no burst that comes every second allocates anew.
const FORGOTTEN: usize = 4_096;

/// Datagrams for one destination that leave together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Train {
    pub transport: Transport,
    /// The advertised address whose socket it leaves by.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub segment_bytes: usize,
    pub segments: usize,
    /// Where its bytes are; read them with [`Outbox::bytes`].
    pub range: Range<usize>,
}

/// One turn's datagrams. Cleared by the host after submission; its memory is reused.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Keeps its length, so that no byte is zeroed twice; the first `used` are this turn's.
    bytes: Vec<u8>,
    used: usize,
    /// What turns have needed, the largest first to be remembered and slowly forgotten.
    needed: usize,
    trains: Vec<Train>,
}

impl Outbox {
    /// Appends one datagram, to the open train when it continues it.
    ///
    /// Callers write everything for one destination in a row: only the last train is open.
    pub fn push(&mut self, transport: Transport, source: SocketAddr, destination: SocketAddr, payload: &[u8]) {
        self.reserve(transport, source, destination, payload.len()).copy_from_slice(payload);
    }

    /// Appends one datagram of `bytes` bytes, like [`Self::push`], to be written in place. What is not written may
    /// hold bytes of an earlier turn: write all of it.
    pub fn reserve(
        &mut self,
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: usize,
    ) -> &mut [u8] {
        let start = self.used;
        self.used += bytes;
        if self.bytes.len() < self.used {
            self.bytes.resize(self.used.next_power_of_two(), 0);
        }
        self.note(transport, source, destination, start);
        self.bytes.get_mut(start..self.used).unwrap_or_default()
    }

    /// Takes back the datagram of `bytes` bytes that was appended last.
    pub fn take_back(&mut self, bytes: usize) {
        let Some(open) = self.trains.last_mut() else { return };
        self.used = self.used.saturating_sub(bytes);
        open.segments -= 1;
        open.range.end = self.used;
        if open.segments == 0 {
            self.trains.pop();
        }
    }

    fn note(&mut self, transport: Transport, source: SocketAddr, destination: SocketAddr, start: usize) {
        let bytes = self.used - start;
        if let Some(open) = self.trains.last_mut()
            && open.transport == transport
            && open.source == source
            && open.destination == destination
            && open.takes(bytes)
        {
            open.segments += 1;
            open.range.end = self.used;
            return;
        }
        let range = start..self.used;
        self.trains.push(Train { transport, source, destination, segment_bytes: bytes, segments: 1, range });
    }

    pub fn trains(&self) -> &[Train] {
        &self.trains
    }

    /// A train's segments, back to back.
    pub fn bytes(&self, train: &Train) -> &[u8] {
        self.bytes.get(train.range.clone()).unwrap_or_default()
    }

    /// Each datagram of a train by itself.
    pub fn segments<'a>(&'a self, train: &Train) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes(train).chunks(train.segment_bytes.max(1))
    }

    pub const fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// Memory is given back when it is far more than was needed of late.
    pub fn clear(&mut self) {
        self.needed = self.used.max(self.needed - self.needed / FORGOTTEN);
        if self.bytes.len() > KEPT_BYTES && self.bytes.len() / 8 > self.needed {
            self.bytes.truncate(self.needed.next_power_of_two().max(KEPT_BYTES));
            self.bytes.shrink_to_fit();
        }
        self.used = 0;
        self.trains.clear();
    }
}

impl Train {
    /// May a segment of `bytes` follow the last one? Only a full last segment can be followed.
    fn takes(&self, bytes: usize) -> bool {
        let full = self.range.len() == self.segments * self.segment_bytes;
        full && bytes > 0
            && bytes <= self.segment_bytes
            && self.segments < TRAIN_SEGMENTS_MAX
            && self.range.len() + bytes <= TRAIN_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn outbox(datagrams: &[(u16, usize)]) -> Outbox {
        let mut outbox = Outbox::default();
        for (port, bytes) in datagrams {
            outbox.push(Transport::Udp, address(1), address(*port), &vec![7; *bytes]);
        }
        outbox
    }

    #[test]
    fn equal_segments_and_one_shorter_last_share_a_train() {
        let outbox = outbox(&[(9, 1100), (9, 1100), (9, 300), (9, 300)]);
        let shape: Vec<_> = outbox.trains().iter().map(|t| (t.segments, t.segment_bytes, t.range.len())).collect();
        assert_eq!(shape, [(3, 1100, 2500), (1, 300, 300)]);
        assert_eq!(outbox.segments(&outbox.trains()[0]).map(<[u8]>::len).collect::<Vec<_>>(), [1100, 1100, 300]);
    }

    #[test]
    fn a_longer_segment_or_another_destination_begins_a_new_train() {
        let outbox = outbox(&[(9, 300), (9, 1100), (8, 1100), (9, 1100)]);
        assert_eq!(outbox.trains().len(), 4);
    }

    #[test]
    fn memory_for_a_rare_burst_is_given_back_later() {
        let mut outbox = outbox(&vec![(9, 1_200); 20_000]);
        let most = outbox.bytes.capacity();
        for _ in 0..1_000 {
            outbox.clear();
        }
        assert_eq!(outbox.bytes.capacity(), most, "the next burst finds it");
        for _ in 0..20_000 {
            outbox.clear();
        }
        assert!(outbox.bytes.capacity() <= 2 * KEPT_BYTES, "{} bytes", outbox.bytes.capacity());
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut outbox = outbox(&[(9, 1100), (9, 1100), (8, 300)]);
        outbox.take_back(300);
        outbox.take_back(1100);
        outbox.push(Transport::Udp, address(1), address(9), &[1; 700]);
        let shape: Vec<_> = outbox.trains().iter().map(|t| (t.segments, t.range.clone())).collect();
        assert_eq!(shape, [(2, 0..1800)]);
    }

    #[test]
    fn a_train_ends_at_its_limits() {
        let outbox = outbox(&[(9, 1200); 200]);
        for train in outbox.trains() {
            assert!(train.segments <= TRAIN_SEGMENTS_MAX && train.range.len() <= TRAIN_BYTES_MAX, "{train:?}");
        }
        assert_eq!(outbox.trains().iter().map(|t| t.segments).sum::<usize>(), 200);
    }
}
