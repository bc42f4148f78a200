//! What a home hands to mirrors, and what a mirror keeps of it, without clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanlight_wire::ShardId;
use fanlight_wire::limits::{MIRROR_BATCH_BYTES_MAX, MIRROR_RETRY, RING_PACKETS_MAX};

use super::*;
use crate::codec::Codec;
use crate::handoff::Batch;
use crate::peer::Format;
use crate::rtp::layers::place;
use crate::rtp::ring::Arrival;

const VP8: Format = Format { codec: Codec::Vp8, profile: 0, packetization: 0 };
const OPUS: Format = Format { codec: Codec::Opus, profile: 0, packetization: 0 };
const FIRST: ShardId = ShardId(1);
const SECOND: ShardId = ShardId(2);

/// A home whose agents' lane is filled, and the mirrors' ends.
struct Pair {
    home: Fanout,
    mirror: Fanout,
    now: Instant,
    sequence: u64,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn new() -> Self {
        let mut pair = Self { home: Fanout::default(), mirror: Fanout::mirroring(), now: Instant::now(), sequence: 0 };
        pair.fill(1);
        pair.home.greet_mirror(pair.now, FIRST, true);
        pair
    }

    fn fill(&mut self, epoch: u32) {
        let source =
            Source { who: MemberId(1), mid: "0".into(), audio_mid: Some("1".into()), epoch: FloorEpoch::new(epoch) };
        self.home.set_source(self.now, Lane::Agent, Some(source));
    }

    /// A packet of an encoding, or of the sound.
    fn push(&mut self, layer: Option<usize>, payload: &[u8]) {
        self.sequence += 1;
        let format = if layer.is_some() { VP8 } else { OPUS };
        let arrival = Arrival {
            ssrc: 1 + layer.unwrap_or(9) as u32,
            format,
            sequence: self.sequence,
            timestamp: self.sequence as u32 * 3_000,
            marker: true,
            received: self.now,
            place: place(format.codec, payload, None),
            payload,
            carried: &[7, 1, 2],
        };
        self.home.lane(Lane::Agent).keep(layer, &arrival);
    }

    /// What is ready for each mirror.
    fn batches(&mut self) -> Vec<(ShardId, Arc<Batch>)> {
        self.home.collect_for_mirrors(self.now);
        std::iter::from_fn(|| self.home.poll_mirrors()).collect()
    }

    fn hand_over(&mut self) {
        for (_, batch) in self.batches() {
            self.mirror.take_over(&batch);
        }
    }

    /// Sequence numbers and payloads in a track of the lane, at home and on the mirror.
    fn rings(&self, track: usize) -> [Vec<(u64, Vec<u8>)>; 2] {
        [&self.home, &self.mirror].map(|fanout| {
            let ring = &fanout.lanes[Lane::Agent as usize].tracks()[track].ring;
            let slots = (ring.first()..ring.head()).filter_map(|position| ring.slot(position));
            slots.map(|slot| (slot.sequence, ring.whole(slot).to_vec())).collect()
        })
    }
}

#[test]
fn a_mirrors_rings_are_its_homes() {
    let mut pair = Pair::new();
    for nth in 0..30_u8 {
        pair.push(Some(0), &[&KEY[..], &[nth; 30]].concat());
        pair.push(Some(2), &[&[0x10, 0x01][..], &[nth; 50]].concat());
        pair.push(None, &[nth; 9]);
        if nth % 7 == 0 {
            pair.hand_over();
        }
    }
    pair.hand_over();
    for track in [0, 1, 3] {
        let [home, mirror] = pair.rings(track);
        assert_eq!(mirror, home, "track {track}");
    }
    assert!(pair.mirror.lanes[0].layered, "it knows that there is something to select");
    let [home, mirror] = pair.rings(2);
    assert!(home.ends_with(&mirror) && mirror.len() == 29, "of what has no keyframe, what came since it is there");
    let totals = (pair.home.totals.mirrored_out, pair.mirror.totals.mirrored_in);
    assert_eq!(totals, (89, 89));
    assert!(pair.batches().is_empty(), "nothing is said twice");
}

#[test]
fn mirrors_at_one_place_share_what_is_written_once() {
    let mut pair = Pair::new();
    pair.home.greet_mirror(pair.now, SECOND, true);
    pair.push(Some(0), &KEY);
    let batches = pair.batches();
    let [(to, first), (other, second)] = batches.as_slice() else { panic!("one each: {batches:?}") };
    assert_eq!((*to, *other), (FIRST, SECOND));
    assert!(Arc::ptr_eq(first, second));
    assert_eq!(pair.home.totals.mirrored_out, 2, "it counts for each");
    let memory = Arc::as_ptr(first);
    pair.push(Some(0), &KEY);
    assert_ne!(Arc::as_ptr(&pair.batches()[0].1), memory, "while it is read, its memory is not written");
    drop(batches);
    let used = (0..2).any(|_| {
        pair.push(Some(0), &KEY);
        Arc::as_ptr(&pair.batches()[0].1) == memory
    });
    assert!(used, "and afterwards it is");
}

#[test]
fn packets_of_another_filling_are_stale() {
    // R015, P17
    let mut pair = Pair::new();
    pair.push(Some(0), &KEY);
    pair.hand_over();
    pair.push(Some(0), &KEY);
    let late = pair.batches();
    pair.fill(2);
    pair.hand_over();
    for (_, batch) in late {
        pair.mirror.take_over(&batch);
    }
    assert_eq!(pair.rings(0)[1], [], "what came too late is not kept");
    assert_eq!(pair.mirror.totals.drops[Drop::StaleEpoch as usize], 1);
    pair.push(Some(0), &KEY);
    pair.hand_over();
    let [home, mirror] = pair.rings(0);
    assert_eq!((home.len(), home == mirror), (1, true));
    pair.home.set_source(pair.now, Lane::Agent, None);
    pair.hand_over();
    assert!(pair.mirror.lanes[0].source.is_none() && pair.rings(0)[1].is_empty(), "an empty lane is empty there, too");
}

#[test]
fn a_track_that_begins_anew_does_so_on_the_mirror() {
    let mut pair = Pair::new();
    pair.push(Some(0), &KEY);
    pair.hand_over();
    let before = pair.mirror.lanes[0].layers[0].track.generation;
    pair.sequence += 100_000;
    pair.push(Some(0), &KEY);
    pair.hand_over();
    let [home, mirror] = pair.rings(0);
    assert_eq!((home.len(), home == mirror), (1, true));
    assert_ne!(pair.mirror.lanes[0].layers[0].track.generation, before, "its viewers begin anew");
}

#[test]
fn a_large_backlog_goes_in_several_batches() {
    let mut pair = Pair::new();
    pair.push(Some(0), &KEY);
    for nth in 0..200_u8 {
        pair.push(Some(0), &[&[0x10, 0x01][..], &[nth; 1_000]].concat());
    }
    let batches = pair.batches();
    assert!(batches.len() >= 3, "{}", batches.len());
    assert!(batches.iter().all(|(_, batch)| batch.bytes.len() < MIRROR_BATCH_BYTES_MAX + 1_100));
    assert_eq!(
        batches.iter().filter(|(_, batch)| batch.is_whole).count(),
        1,
        "only the first says what fills the lanes"
    );
    batches.iter().for_each(|(_, batch)| pair.mirror.take_over(batch));
    let [home, mirror] = pair.rings(0);
    assert_eq!(home, mirror);
}

#[test]
fn what_has_left_the_ring_is_counted_and_what_fills_the_lanes_is_said_again() {
    let mut pair = Pair::new();
    pair.push(Some(0), &KEY);
    pair.hand_over();
    pair.fill(2);
    let missed = pair.batches();
    pair.home.mirror_missed(pair.now, FIRST, &missed[0].1);
    assert!(pair.batches().is_empty(), "not before the queue has had time");
    assert_eq!(pair.home.mirrors_deadline().at, Some(pair.now + MIRROR_RETRY));
    pair.now += MIRROR_RETRY;
    pair.hand_over();
    assert_eq!(pair.mirror.lanes[0].filling, pair.home.lanes[0].filling);

    for _ in 0..RING_PACKETS_MAX + 10 {
        pair.push(Some(0), &[0x10, 0x01]);
    }
    pair.hand_over();
    assert_eq!(pair.home.totals.mirrored_lost, 10);
    assert_eq!(pair.mirror.totals.mirrored_in, RING_PACKETS_MAX as u64 + 1, "and the first of all");
}

#[test]
fn wishes_on_a_mirror_are_one_and_count_only_for_what_is_shown() {
    // P20
    let mut pair = Pair::new();
    pair.push(Some(0), &KEY);
    pair.hand_over();
    pair.mirror.request_keyframes(pair.now);
    assert_eq!(pair.mirror.poll_wish(), None, "the keyframe has come with the packets");
    for _ in 0..5 {
        pair.mirror.lane(Lane::Agent).wish(0);
        pair.mirror.request_keyframes(pair.now);
    }
    let wish = pair.mirror.poll_wish().expect("one");
    assert_eq!(pair.mirror.poll_wish(), None, "only one");
    let is_open =
        |home: &Fanout| home.lanes[0].deadline().at.is_some() || home.lanes[0].layers[0].wish.is_due(pair.now);
    assert!(!is_open(&pair.home));
    pair.home.wish_from_mirror(&wish);
    assert!(is_open(&pair.home));

    pair.fill(2);
    pair.push(Some(0), &KEY);
    pair.home.wish_from_mirror(&wish);
    assert!(!pair.home.lanes[0].layers[0].wish.is_due(pair.now + Duration::from_secs(9)), "that share is over");
}
