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
