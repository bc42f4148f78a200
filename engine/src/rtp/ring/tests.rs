//! What is kept, for how long, and where newcomers begin.

use std::time::Duration;

use fanlight_wire::limits::{REPLAY_PACKETS_MAX, RING_REPAIR_AGE};

use super::*;
use crate::codec::Codec;
use crate::rtp::layers::place;

const KEY: [u8; 2] = [0x10, 0x00];
const MORE: [u8; 2] = [0x00, 0x00];
const DELTA: [u8; 2] = [0x10, 0x01];
const VP8: Format = Format { codec: Codec::Vp8, profile: 0, packetization: 0 };

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

struct Fed {
    ring: Ring,
    base: Instant,
}

impl Fed {
    fn new() -> Self {
        let mut ring = Ring::default();
        ring.serve(100);
        Self { ring, base: base() }
    }

    fn push(&mut self, ms: u64, sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) -> Stored {
        let received = self.base + Duration::from_millis(ms);
        let place = place(VP8.codec, payload, None);
        let arrival =
            Arrival { ssrc: 1, format: VP8, sequence, timestamp, marker, received, place, payload, carried: &[] };
        self.ring.push(&arrival)
    }

    fn replayed(&self) -> Option<Vec<u64>> {
        let first = self.ring.bootstrap()?;
        let slots = (first.position..self.ring.head()).filter_map(|position| self.ring.slot(position));
        Some(slots.map(|slot| slot.sequence).filter(|sequence| *sequence >= first.sequence).collect())
    }
}

#[test]
fn a_keyframe_is_whole_when_its_last_hole_is_filled_and_only_once() {
    let mut fed = Fed::new();
    let arrivals = [(9, 0, true, DELTA), (12, 30, true, MORE), (10, 30, false, KEY), (11, 30, false, MORE)];
    let mut completed: Vec<_> =
        arrivals.iter().map(|(s, t, m, p)| fed.push(0, *s, *t, *m, p).completes_keyframe).collect();
    completed.push(fed.push(0, 13, 60, true, &DELTA).completes_keyframe);
    assert_eq!(completed, [false, false, false, true, false]);
    assert_eq!(fed.replayed(), Some(vec![12, 10, 11, 13]), "all of it, in the order of arrival");
}

#[test]
fn a_late_packet_of_an_older_keyframe_changes_nothing() {
    let mut fed = Fed::new();
    fed.push(0, 20, 90, true, &KEY);
    fed.push(0, 10, 30, false, &KEY);
    assert_eq!(fed.ring.bootstrap().map(|first| first.sequence), Some(20));
}

#[test]
fn what_is_too_long_to_replay_is_not_offered() {
    let mut fed = Fed::new();
    fed.push(0, 0, 0, true, &KEY);
    for sequence in 1..=REPLAY_PACKETS_MAX as u64 {
        fed.push(0, sequence, 30, true, &DELTA);
    }
    assert_eq!(fed.replayed(), None, "too many packets");
    fed.push(0, 900, 60, true, &KEY);
    assert_eq!(fed.replayed(), Some(vec![900]));
    fed.push(2_001, 901, 90, true, &DELTA);
    assert_eq!(fed.replayed(), None, "too long ago");
}

#[test]
fn a_source_that_begins_anew_is_noticed() {
    let mut fed = Fed::new();
    assert!(!fed.push(0, 500, 0, true, &KEY).anew && !fed.push(0, 400, 0, true, &DELTA).anew);
    assert!(!fed.push(0, 500 + SOURCE_JUMP_MAX, 0, true, &DELTA).anew);
    let head = fed.ring.head();
    assert!(fed.push(0, 502 + 2 * SOURCE_JUMP_MAX, 0, true, &DELTA).anew, "no receiver could follow");
    assert_eq!((fed.ring.first(), fed.ring.head()), (head, head + 1), "positions go on, packets do not");
    fed.ring.begin_anew();
    assert!(!fed.push(0, 1, 0, true, &DELTA).anew, "the first of another source is no surprise");
}

#[test]
fn bytes_survive_every_turn_of_the_ring() {
    let mut fed = Fed::new();
    let mut seed = 7_u64;
    for sequence in 0..20_000_u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = (seed >> 40) as usize % 1_300;
        let payload: Vec<u8> = (0..length).map(|at| (sequence as usize + at) as u8).collect();
        let carried = [7_u8, 2, sequence as u8, 9];
        let received = fed.base + Duration::from_millis(sequence / 3);
        let timestamp = sequence as u32;
        let arrival = Arrival {
            ssrc: 1,
            format: VP8,
            sequence,
            timestamp,
            marker: true,
            received,
            place: Place::default(),
            payload: &payload,
            carried: carried.get(..if sequence % 3 == 0 { 4 } else { 0 }).expect("in range"),
        };
        fed.ring.push(&arrival);
        for position in [fed.ring.first(), fed.ring.head() - 1, fed.ring.head().saturating_sub(40)] {
            let Some(slot) = fed.ring.slot(position) else { continue };
            let stored = fed.ring.payload(slot);
            assert!(stored.iter().enumerate().all(|(at, byte)| *byte == (slot.sequence as usize + at) as u8));
            let carried: Vec<_> = fed.ring.carried(slot).collect();
            let expected = (slot.sequence % 3 == 0).then_some((Extension::PlayoutDelay, [slot.sequence as u8, 9]));
            assert_eq!(carried, expected.iter().map(|(e, v)| (*e, v.as_slice())).collect::<Vec<_>>());
        }
    }
    assert!(fed.ring.slots.len() <= RING_PACKETS_MAX);
}

// A joiner needs what came since a keyframe that can be replayed; without one only repairs are served.
#[test]
fn memory_follows_the_need() {
    let mut fed = Fed::new();
    let payload = [&DELTA[..], &[1; 1_000]].concat();
    for packet in 0..2_000_u64 {
        fed.push(packet * 3, packet, packet as u32, true, &payload);
    }
    let kept = RING_REPAIR_AGE.as_millis() as usize / 3;
    assert!((kept - 1..=kept + 2).contains(&fed.ring.slots.len()), "{} packets", fed.ring.slots.len());
    assert!(fed.ring.store.held() <= 192 * 1024, "{} bytes", fed.ring.store.held());
    for packet in 2_000..2_600_u64 {
        fed.push(packet * 3, packet, packet as u32, true, &DELTA);
    }
    assert!(fed.ring.store.held() <= 8 * 1024, "given back: {} bytes", fed.ring.store.held());
}

// A newcomer on a lossy path asks for some of what it was given a round trip later.
#[test]
fn what_a_newcomer_was_given_can_be_repaired() {
    let mut fed = Fed::new();
    let packets = REPLAY_PACKETS_MAX as u64;
    fed.push(0, 0, 0, true, &KEY);
    for packet in 1..packets {
        fed.push(packet * 3, packet, packet as u32, true, &DELTA);
    }
    assert!(fed.replayed().is_some(), "somebody may begin with the keyframe now");
    let last = (packets..).find(|packet| {
        fed.push(packet * 3, *packet, *packet as u32, true, &DELTA);
        fed.ring.first() > 0
    });
    let kept = (last.expect("it is let go") - packets) * 3;
    assert!((495..=510).contains(&kept), "for {kept} ms after the last who may");
    // The next keyframe takes nothing from those who began with this one.
    let mut fed = Fed::new();
    for packet in 0..packets {
        let payload = if packet % 300 == 0 { KEY } else { DELTA };
        fed.push(packet * 3, packet, packet as u32, true, &payload);
    }
    assert_eq!((fed.ring.first(), fed.replayed().and_then(|all| all.first().copied())), (0, Some(300)));
}

#[test]
fn what_a_source_leaves_behind_is_given_back() {
    let mut fed = Fed::new();
    for packet in 0..400_u64 {
        fed.push(packet, packet, packet as u32, true, &[&DELTA[..], &[1; 1_000]].concat());
    }
    assert!(fed.ring.store.held() > 256 * 1024, "{} bytes", fed.ring.store.held());
    let begins = 3 * SOURCE_JUMP_MAX;
    for packet in 0..3_000_u64 {
        let stored = fed.push(400 + packet * 3, begins + packet, packet as u32, true, &DELTA);
        assert_eq!(stored.anew, packet == 0);
    }
    assert!(fed.ring.store.held() <= 8 * 1024, "of the same source: {} bytes", fed.ring.store.held());
    fed.ring.begin_anew();
    assert_eq!((fed.ring.store.held(), fed.ring.slots.capacity()), (0, 0), "nothing outlives a share");
}

// Acceptance: at most 250 kB per session of one to one. Its newcomer is served by a keyframe of the publisher's.
#[test]
fn a_small_audience_is_worth_few_bytes() {
    let most = |subscribers: usize| {
        let mut fed = Fed::new();
        fed.ring.serve(subscribers);
        fed.push(0, 0, 0, true, &KEY);
        let mut most = 0;
        for packet in 1..190_u64 {
            fed.push(packet * 10, packet, packet as u32, true, &[&DELTA[..], &[1; 1_100]].concat());
            most = most.max(fed.ring.store.held());
        }
        (most / 1024, fed.replayed().is_some())
    };
    assert_eq!([0, 1, 2, 4].map(most), [(72, false), (72, false), (136, false), (216, true)], "kilobytes");
}
