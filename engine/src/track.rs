//! One published source: its recent packets, stored once for all subscribers, and where its last keyframe begins.
//!
//! Invariant: [`Track::since_keyframe`] begins with the first packet of a keyframe, so whatever starts there can be
//! decoded. A keyframe is *whole* when every packet from its first to its marker has arrived, in any order.

use std::collections::VecDeque;

use crate::peer::Packet;

/// Packets kept. A keyframe of a full-size screen has a few hundred.
const RING_PACKETS: usize = 1_024;
/// A subscriber who joins late is served from the ring when it holds no more than this since the keyframe; replaying
/// more would cost more than a fresh keyframe.
const REPLAY_PACKETS_MAX: usize = 400;

/// A jump beyond this would make a receiver misjudge SRTP's rollover counter (RFC 3711 §3.3.1).
const JUMP_MAX: u64 = 8_192;

/// Whether a source goes on counting where it was.
#[derive(Debug, Default)]
pub(crate) struct Continuity(Option<(u32, u64)>);

impl Continuity {
    /// False when the source has begun anew: another SSRC, or a jump no receiver could follow.
    pub(crate) fn continues(&mut self, packet: &Packet) -> bool {
        let (ssrc, newest) = self.0.unwrap_or((packet.ssrc, packet.sequence));
        let continues = ssrc == packet.ssrc && packet.sequence <= newest + JUMP_MAX;
        let newest = if continues { newest.max(packet.sequence) } else { packet.sequence };
        self.0 = Some((packet.ssrc, newest));
        continues
    }
}

#[derive(Debug, Default)]
pub(crate) struct Track {
    ring: VecDeque<Packet>,
    keyframe: Option<Keyframe>,
}

#[derive(Debug)]
struct Keyframe {
    first: u64,
    timestamp: u32,
    /// Sequence of its last packet, once seen.
    last: Option<u64>,
    arrived: u64,
    whole: bool,
}

impl Track {
    /// Stores a packet. True when it completes a keyframe.
    pub(crate) fn push(&mut self, packet: &Packet) -> bool {
        self.ring.push_back(packet.clone());
        if packet.format.codec.begins_keyframe(&packet.payload) {
            self.begin(packet);
        } else if let Some(keyframe) = &mut self.keyframe {
            keyframe.count(packet);
        }
        if self.ring.len() > RING_PACKETS
            && let Some(gone) = self.ring.pop_front()
            && self.keyframe.as_ref().is_some_and(|keyframe| keyframe.first == gone.sequence && keyframe.whole)
        {
            self.keyframe = None;
        }
        self.keyframe.as_mut().is_some_and(Keyframe::complete)
    }

    /// The packets from the last keyframe on, in order, if a subscriber should start with them.
    pub(crate) fn since_keyframe(&self) -> Option<Vec<&Packet>> {
        let first = self.keyframe.as_ref()?.first;
        let mut packets: Vec<_> = self.ring.iter().filter(|packet| packet.sequence >= first).collect();
        packets.sort_unstable_by_key(|packet| packet.sequence);
        let begins = packets.first().is_some_and(|packet| packet.sequence == first);
        (begins && packets.len() <= REPLAY_PACKETS_MAX).then_some(packets)
    }

    fn begin(&mut self, packet: &Packet) {
        match &mut self.keyframe {
            // Parameter sets and slices of one picture each look like a beginning; the earliest is it.
            Some(keyframe) if keyframe.timestamp == packet.timestamp && packet.sequence >= keyframe.first => {
                return keyframe.count(packet);
            }
            Some(keyframe) if keyframe.timestamp != packet.timestamp && packet.sequence < keyframe.first => return,
            _ => {}
        }
        let mut keyframe =
            Keyframe { first: packet.sequence, timestamp: packet.timestamp, last: None, arrived: 0, whole: false };
        self.ring.iter().for_each(|stored| keyframe.count(stored));
        self.keyframe = Some(keyframe);
    }
}

impl Keyframe {
    fn count(&mut self, packet: &Packet) {
        if packet.timestamp == self.timestamp && packet.sequence >= self.first {
            self.arrived += 1;
            if packet.marker {
                self.last = Some(packet.sequence);
            }
        }
    }

    /// True once, when the last missing packet is there.
    fn complete(&mut self) -> bool {
        let whole = self.last.is_some_and(|last| self.arrived > last.saturating_sub(self.first));
        let before = self.whole;
        self.whole |= whole;
        whole && !before
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::codec::Codec;
    use crate::peer::{Carried, Format};

    const KEY: [u8; 2] = [0x10, 0x00];
    const MORE: [u8; 2] = [0x00, 0x00];
    const DELTA: [u8; 2] = [0x10, 0x01];

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn packet(sequence: u64, timestamp: u32, marker: bool, payload: [u8; 2]) -> Packet {
        Packet {
            ssrc: 1,
            format: Format { codec: Codec::Vp8, profile: 0, packetization: 0 },
            sequence,
            timestamp,
            marker,
            payload: Arc::from(payload),
            carried: Carried::default(),
            received: Instant::now(),
        }
    }

    fn push(track: &mut Track, packets: &[Packet]) -> Vec<bool> {
        packets.iter().map(|packet| track.push(packet)).collect()
    }

    fn sequences(track: &Track) -> Option<Vec<u64>> {
        track.since_keyframe().map(|packets| packets.iter().map(|packet| packet.sequence).collect())
    }

    #[test]
    fn a_keyframe_is_whole_when_its_last_hole_is_filled_and_only_once() {
        let mut track = Track::default();
        let arrivals = [
            packet(9, 0, true, DELTA),
            packet(12, 30, true, MORE),
            packet(10, 30, false, KEY),
            packet(11, 30, false, MORE),
            packet(13, 60, true, DELTA),
        ];
        assert_eq!(push(&mut track, &arrivals), [false, false, false, true, false]);
        assert_eq!(sequences(&track), Some(vec![10, 11, 12, 13]));
    }

    #[test]
    fn a_late_packet_of_an_older_keyframe_changes_nothing() {
        let mut track = Track::default();
        push(&mut track, &[packet(20, 90, true, KEY), packet(10, 30, false, KEY)]);
        assert_eq!(sequences(&track), Some(vec![20]));
    }

    #[test]
    fn a_source_that_begins_anew_is_noticed() {
        let mut continuity = Continuity::default();
        let mut told = |ssrc, sequence| {
            let packet = Packet { ssrc, ..packet(sequence, 0, true, DELTA) };
            continuity.continues(&packet)
        };
        assert!(told(1, 500) && told(1, 400) && told(1, 501 + JUMP_MAX - 1));
        assert!(!told(2, 3) && told(2, 4));
        assert!(!told(2, 60_000) && told(2, 60_001));
    }

    #[test]
    fn what_is_too_long_to_replay_is_not_offered() {
        let mut track = Track::default();
        track.push(&packet(0, 0, true, KEY));
        for sequence in 1..=REPLAY_PACKETS_MAX as u64 {
            track.push(&packet(sequence, 30, true, DELTA));
        }
        assert_eq!(sequences(&track), None);
        track.push(&packet(900, 60, true, KEY));
        assert_eq!(sequences(&track), Some(vec![900]));
    }
}
