//! What changes in the middle of a call: sections, rights, sources, paths.

use super::*;

// RFC 7714 §8.1: a number that is given again is a nonce that is used twice.
#[test]
fn a_section_that_pauses_keeps_its_numbering() {
    let mut world = World::connected(31, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 2, 0xaa);
    let before = numbers(&world, ANN);
    let ssrc = world.received(ANN)[0].header.ssrc;
    for receives in [false, true] {
        let offer = world.clients[ANN].offer_direction(receives);
        world.give_offer(ANN, &offer);
    }
    film(&mut world, VISITOR, 11, 5, 2, 0xab);
    let after = numbers(&world, ANN);
    let same = world.received(ANN).iter().all(|packet| packet.header.ssrc == ssrc);
    assert!(same, "another source");
    assert_continuous(&after);
    assert!(after.len() > before.len());
}

#[test]
fn only_packets_that_bear_a_number_use_one_up() {
    let mut world = World::connected(32, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 2, 0xaa);
    let ann = MemberId(ANN as u32 + 1);
    let used = |world: &World| world.fanout.members[&ann].peer.transport_sequence();
    assert_eq!(used(&world), 10, "one for each");
    let offer = world.clients[ANN].offer_again();
    let without: String = offer.split_inclusive('\n').filter(|line| !line.contains("transport-wide-cc")).collect();
    world.give_offer(ANN, &without);
    film(&mut world, VISITOR, 11, 5, 2, 0xab);
    assert_eq!((world.received(ANN).len(), used(&world)), (20, 10));
}

// A publisher that changes its source again and again does not use up the room for sources.
#[test]
fn sources_that_no_offer_names_any_more_are_forgotten() {
    let mut world = World::connected(33, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    for round in 0..40 {
        world.clients[VISITOR].change_ssrc();
        let offer = world.clients[VISITOR].offer_direction(round % 2 == 1);
        world.give_offer(VISITOR, &offer);
        film(&mut world, VISITOR, 1, 1, 1, round);
    }
    assert_eq!(marks(&world, ANN), (0..40).collect::<Vec<u8>>());
}

// G-28: nor does one whose offer leaves its sources open, as those with RIDs do.
#[test]
fn sources_that_an_offer_leaves_open_give_way_to_newer_ones() {
    let mut world = World::connected(36, &[Speaks::Everything; 2]);
    let offer = world.clients[VISITOR].offer_again();
    let open: String = offer.split_inclusive('\n').filter(|line| !line.starts_with("a=ssrc")).collect();
    world.give_offer(VISITOR, &open);
    world.share(VISITOR, Lane::Visitor, 1);
    for round in 0..80 {
        world.clients[VISITOR].change_ssrc();
        film(&mut world, VISITOR, 1, 1, 1, round);
    }
    assert_eq!(marks(&world, ANN), (0..80).collect::<Vec<u8>>());
}

#[test]
fn a_view_that_is_taken_away_ends_at_once_and_goes_on_in_its_numbering() {
    let mut world = World::connected(34, &[Speaks::Everything; 3]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 2, 0xaa);
    world.set_views(ANN, None);
    film(&mut world, VISITOR, 11, 5, 2, 0xab);
    assert_eq!((world.received(ANN).len(), world.received(BEN).len()), (10, 20));
    let again = world.clients[ANN].offer_again();
    world.set_views(ANN, Some(Lane::Visitor));
    world.give_offer(ANN, &again);
    film(&mut world, VISITOR, 21, 5, 2, 0xac);
    assert_continuous(&numbers(&world, ANN));
    assert!(marks(&world, ANN).ends_with(&[0xac; 10]));
}

#[test]
fn a_source_with_one_encoding_is_seen_at_once_by_who_had_a_higher_one() {
    let mut world = World::connected(35, &[Speaks::Everything; 2]);
    let ann = MemberId(ANN as u32 + 1);
    let member = world.fanout.members.get_mut(&ann).expect("Ann");
    member.subscriptions.iter_mut().for_each(|subscription| subscription.had_layer(2));
    world.share(VISITOR, Lane::Visitor, 1);
    // A still page: one picture, and nothing to measure.
    film(&mut world, VISITOR, 1, 1, 2, 0xaa);
    assert_eq!(marks(&world, ANN), [0xaa; 2]);
}
