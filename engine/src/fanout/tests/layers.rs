//! What a subscriber with a thin path gets of a source with layers.

use super::*;

const PACKET_BYTES: usize = 1_000;

/// A VP8 packet that says its picture, its temporal layer and the base picture before it (RFC 7741 §4.2).
fn packet(picture: u16, base: u8, layer: u8, first: bool, key: bool) -> Vec<u8> {
    let [high, low] = picture.to_be_bytes();
    let start = if first { 0x10 } else { 0 };
    let mut packet = vec![0x80 | start, 0xe0, 0x80 | high, low, base, (layer << 6) | 0x20, u8::from(!key)];
    packet.resize(PACKET_BYTES, layer);
    packet
}

/// Frames of two packets in three temporal layers (0 2 1 2 …), one every 33 ms, from `picture` on.
fn film_in_layers(world: &mut World, pictures: std::ops::Range<u16>) {
    for picture in pictures {
        let layer = [0, 2, 1, 2][usize::from(picture % 4)];
        for part in 0..2 {
            let payload = packet(picture, (picture / 4) as u8, layer, part == 0, picture == 0);
            let sequence = 1_000 + 2 * u64::from(picture) + part;
            world.send(VISITOR, sequence, 3_000 * u32::from(picture), part == 1, &payload);
        }
        tick(world);
    }
}

fn picture_of(payload: &[u8]) -> u16 {
    u16::from_be_bytes([payload[2] & 0x7f, payload[3]])
}

#[test]
fn layers_are_given_up_without_a_gap_and_only_where_the_path_is_thin() {
    let mut world = World::connected(40, &[Speaks::Everything; 3]);
    world.share(VISITOR, Lane::Visitor, 1);
    film_in_layers(&mut world, 0..120);
    for agent in [ANN, BEN] {
        assert_continuous(&numbers(&world, agent));
        assert_eq!(world.received(agent).len(), 240, "everything, while nothing is known against it");
    }
    let thin = MemberId(ANN as u32 + 1);
    for second in 0..8 {
        let now = world.now();
        let path = world.fanout.members.get_mut(&thin).expect("Ann").path.as_mut().expect("a choice");
        path.estimator.on_remb(now, 160_000);
        film_in_layers(&mut world, 120 + second * 30..150 + second * 30);
    }
    assert_eq!(world.received(BEN).len(), 720, "the others are not thinned");
    let packets = world.received(ANN);
    assert_continuous(&numbers(&world, ANN));
    let tail: Vec<_> = packets.iter().rev().take(40).collect();
    assert!(tail.iter().all(|packet| packet.payload[5] >> 6 == 0), "only the lowest layer is left");
    let mut pictures: Vec<u16> = packets.iter().map(|packet| picture_of(&packet.payload)).collect();
    pictures.dedup();
    assert!(pictures.windows(2).all(|pair| pair[1] == pair[0] + 1), "no picture seems to be missing: {pictures:?}");
}

#[test]
fn a_path_on_which_nothing_may_leave_wakes_nobody() {
    let mut world = World::connected(41, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film_in_layers(&mut world, 0..120);
    let ann = MemberId(ANN as u32 + 1);
    let now = world.now();
    let member = world.fanout.members.get_mut(&ann).expect("Ann");
    let newest = member.peer.transport_sequence().wrapping_sub(1);
    member.path.as_mut().expect("a choice").estimator.on_feedback(now, [(newest, Some(0))]);
    world.deaf = Some(ANN);
    world.run(ICE_CONSENT_MAX * 2);
    assert!(!world.fanout.is_connected(ann));
    let now = world.now();
    let member = world.fanout.members.get_mut(&ann).expect("Ann");
    let estimator = &mut member.path.as_mut().expect("a choice").estimator;
    estimator.want(Some(100_000_000));
    assert!(estimator.deadline().is_some_and(|at| at <= now), "it would probe");
    assert!(!member.has_output(now));
    assert!(member.deadline().at.is_none_or(|at| at > now), "{:?}", member.deadline());
}
