//! Places, selection, ladders and allocation by hand; the encoder's model against the selector is in [`model`].

mod model;

use proptest::prelude::*;

use super::*;

fn read(codec: Codec, payload: &[u8]) -> (u8, u8, u8) {
    let place = place(codec, payload, None);
    (place.spatial, place.temporal, place.opens)
}

#[test]
fn vp8_tells_its_temporal_layer_and_where_it_begins_anew() {
    let sync = place(Codec::Vp8, &[0x90, 0xe0, 0x81, 0x23, 0x05, 0x60, 0x01], None);
    assert_eq!((sync.temporal, sync.opens, sync.switch_up, sync.begins_frame), (1, 1, true, true));
    let plain = place(Codec::Vp8, &[0x80, 0x20, 0x80, 0x01], None);
    assert_eq!((plain.temporal, plain.switch_up, plain.begins_frame), (2, false, false));
    assert_eq!(read(Codec::Vp8, &[0x10, 0x00]), (0, 0, 3), "after a keyframe everything may flow");
    assert_eq!(place(Codec::Vp8, &[0x90, 0xe0, 0x81], None), Place::default(), "cut short");
}

#[test]
fn vp9_tells_both_layers() {
    // I, P, L, B; picture id of 15 bits; T = 1, U, S = 2, D.
    let place = place(Codec::Vp9, &[0xe8, 0x81, 0x02, 0b0011_0101, 0x07], None);
    assert_eq!((place.spatial, place.temporal, place.opens), (2, 1, 3));
    assert!(place.begins_frame && !place.ends_frame && !place.independent && !place.keyframe);
    assert_eq!(read(Codec::Vp9, &[0xa4, 0x01, 0xec]), (2, 3, 3), "what is higher counts as the highest");
}

#[test]
fn a_keyframe_is_independent_and_opens_everything() {
    for (codec, payload) in [(Codec::Vp8, &[0x10, 0x00][..]), (Codec::Vp9, &[0x88, 0x01]), (Codec::H264, &[0x65, 0x88])]
    {
        let place = place(codec, payload, None);
        assert!(place.keyframe && place.independent && place.opens == 3, "{codec:?} {place:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_have_a_place(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..48), 1..8),
        descriptors in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)), 1..8),
    ) {
        for codec in [Codec::Opus, Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
            let (mut placer, mut rewriter, mut selector) = (Placer::default(), vp8::Rewriter::default(), Selector::default());
            for (at, (payload, descriptor)) in payloads.iter().zip(descriptors.iter().cycle()).enumerate() {
                let place = placer.place(codec, payload, descriptor.as_deref());
                prop_assert!(usize::from(place.spatial) < SPATIAL_MAX && usize::from(place.temporal) < TEMPORAL_MAX);
                prop_assert!(place.opens >= place.temporal && usize::from(place.opens) < TEMPORAL_MAX);
                selector.forward(0, at as u32 * 3_000, &place);
                let mut copy = payload.clone();
                rewriter.rewrite(&mut copy);
                prop_assert_eq!(copy.len(), payload.len());
            }
        }
    }
}

fn step(selector: &mut Selector, number: u32, temporal: u8, switch_up: bool) -> bool {
    let place = Place { temporal, opens: temporal, switch_up, ..Place::default() };
    selector.forward(0, number * 3_000, &place) == (Verdict::Forward { marker: false })
}

#[test]
fn temporal_layers_fall_at_once_and_rise_one_by_one_where_they_begin_anew() {
    let mut selector = Selector::default();
    let key = Place { keyframe: true, independent: true, opens: 3, ..Place::default() };
    assert_eq!(selector.forward(0, 0, &Place::default()), Verdict::WantKeyframe(0));
    assert_eq!(selector.forward(0, 0, &key), Verdict::Forward { marker: false });
    assert!(step(&mut selector, 1, 2, false), "a keyframe lets everything in");
    selector.aim(Target { temporal: 0, ..Target::ALL });
    assert!(step(&mut selector, 1, 2, false), "the rest of a picture that was begun");
    assert!(!step(&mut selector, 2, 1, true));
    assert!(step(&mut selector, 4, 0, false));
    selector.aim(Target::ALL);
    assert!(!step(&mut selector, 5, 2, true), "layer 1 has to come first");
    assert!(!step(&mut selector, 6, 1, false));
    assert!(step(&mut selector, 7, 1, true));
    assert!(step(&mut selector, 8, 2, true));
    assert!(step(&mut selector, 3, 0, false), "late, but of the base layer");
    assert!(!step(&mut selector, 3, 1, false));
}

#[test]
fn the_marker_moves_to_the_highest_layer_that_passes() {
    let mut selector = Selector::default();
    selector.aim(Target { spatial: 1, ..Target::ALL });
    let mut send = |timestamp, spatial, key: bool| {
        let place = Place {
            spatial,
            ends_frame: true,
            keyframe: key && spatial == 0,
            independent: key,
            opens: if key { 3 } else { 0 },
            ..Place::default()
        };
        selector.forward(0, timestamp, &place)
    };
    let key: Vec<_> = (0..3).map(|spatial| send(0, spatial, true)).collect();
    assert_eq!(key, [Verdict::Forward { marker: false }, Verdict::Forward { marker: true }, Verdict::Drop]);
    let delta: Vec<_> = (0..3).map(|spatial| send(3_000, spatial, false)).collect();
    assert_eq!(delta, key);
    assert_eq!(selector.wish(), None);
    selector.aim(Target::ALL);
    assert_eq!(selector.wish(), Some(0), "a higher spatial layer needs a keyframe");
}

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
fn measured(layers: &[(u8, u8, u64)]) -> Meter {
    let start = std::time::Instant::now();
    let mut meter = Meter::default();
    for (spatial, temporal, kbps) in layers {
        let place = Place { spatial: *spatial, temporal: *temporal, ..Place::default() };
        meter.count(start, &place, (kbps * 1_000 / 16) as usize);
    }
    meter.roll(start + std::time::Duration::from_millis(500));
    meter
}

fn ladder(kind: Kind, meters: &[&Meter]) -> Vec<(u8, u8, u8, u64)> {
    let ladder = Ladder::new(kind, meters);
    let told = |step: &Step| (step.target.simulcast, step.target.spatial, step.target.temporal, step.bps / 1_000);
    ladder.steps().iter().map(told).collect()
}

#[test]
fn screens_keep_their_size_and_cameras_their_motion() {
    let (small, large) = (measured(&[(0, 0, 100), (0, 1, 50)]), measured(&[(0, 0, 400), (0, 1, 200), (0, 2, 400)]));
    assert_eq!(
        ladder(Kind::Screen, &[&small, &large]),
        [(0, 2, 0, 100), (1, 2, 0, 400), (1, 2, 1, 600), (1, 2, 2, 1_000)]
    );
    assert_eq!(
        ladder(Kind::Camera, &[&small, &large]),
        [(0, 2, 0, 100), (0, 2, 1, 150), (1, 2, 1, 600), (1, 2, 2, 1_000)]
    );
    let svc = measured(&[(0, 0, 100), (1, 0, 200), (1, 1, 100)]);
    assert_eq!(ladder(Kind::Camera, &[&svc]), [(0, 0, 0, 100), (0, 1, 0, 300), (0, 1, 1, 400)]);
    assert_eq!(ladder(Kind::Screen, &[&Meter::default()]), [(0, 2, 3, 0)], "nothing is known yet");
}

#[test]
fn a_pause_of_the_small_encoding_leaves_the_large_one() {
    let large = measured(&[(0, 0, 400)]);
    assert_eq!(ladder(Kind::Camera, &[&Meter::default(), &large]), [(1, 2, 0, 400)]);
}

#[test]
fn sound_comes_first_then_every_picture_then_the_best_use() {
    let audio = Ladder::single(Kind::Audio, 40_000);
    let screen = Ladder::new(Kind::Screen, &[&measured(&[(0, 0, 500), (0, 1, 500)])]);
    let camera = Ladder::new(Kind::Camera, &[&measured(&[(0, 0, 100)]), &measured(&[(0, 0, 1_000)])]);
    let given = |estimate| {
        let [_, screen, camera, ..] = allocate(estimate, &[audio, screen, camera]);
        (screen.temporal, camera.simulcast)
    };
    assert_eq!(given(0), (0, 0), "never silence");
    assert_eq!(given(1_100_000), (0, 0));
    assert_eq!(given(1_140_000), (1, 0), "the screen first");
    assert_eq!(given(2_039_999), (1, 0));
    assert_eq!(given(2_040_000), (1, 1));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
fn a_rise_that_failed_rests_longer_each_time() {
    let base = std::time::Instant::now();
    let demands = [Ladder::new(Kind::Camera, &[&measured(&[(0, 0, 400)]), &measured(&[(0, 0, 1_000)])])];
    let mut allocation = Allocation::default();
    let mut changes = Vec::new();
    for step in 0..2_400_u64 {
        let now = base + std::time::Duration::from_millis(step * 100);
        // The path seems wide until the larger picture flows.
        let (estimate, over) = if allocation.target(0).simulcast == 1 { (800_000, true) } else { (1_300_000, false) };
        if allocation.decide(now, estimate, over, &demands) {
            changes.push((step / 10, allocation.target(0).simulcast));
        }
    }
    assert_eq!(allocation.wanted(), None, "while it rests nothing is wanted");
    let rises: Vec<u64> = changes.iter().filter(|(_, to)| *to == 1).map(|(at, _)| *at).collect();
    let gaps: Vec<u64> = rises.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "{gaps:?}");
    assert!(gaps.iter().filter(|gap| **gap < 10).count() <= 1 && gaps.last() >= Some(&79), "{gaps:?}");
}
