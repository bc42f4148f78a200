//! What peers and we say about paths, and what is sent again.

use super::*;
use crate::rtp::twcc::Recorder;
use path::Path;

const ANN_ID: MemberId = MemberId(ANN as u32 + 1);

/// The offer without transport-wide feedback, as a client makes it that only reads REMB.
fn only_remb(offer: &str) -> String {
    let wide = |line: &&str| !line.contains("transport-cc") && !line.contains("transport-wide-cc");
    offer.split_inclusive('\n').filter(wide).collect()
}

#[test]
fn a_publisher_that_reads_nothing_else_is_told_by_remb() {
    let mut world = World::connected(50, &[Speaks::Everything; 2]);
    let offer = world.clients[VISITOR].offer_again();
    let answer = world.give_offer(VISITOR, &only_remb(&offer));
    assert!(answer.contains("goog-remb") && !answer.contains("transport-wide-cc"), "{answer}");
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 100, 4, 0xaa);
    let told = &world.clients[VISITOR].remb;
    assert!((2..=4).contains(&told.len()), "once a second: {told:?}");
    assert!(told.iter().all(|bps| *bps >= 2_400_000), "nothing is in its way: {told:?}");
    assert_eq!(world.received(ANN).len(), 400);
}

#[test]
fn a_publisher_that_reads_transport_wide_feedback_is_not_told_by_remb() {
    let mut world = World::connected(51, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 100, 4, 0xaa);
    assert!(world.clients[VISITOR].remb.is_empty());
}

// What is lost of a probe is asked for like anything else: a probe is no repair.
#[test]
fn a_probed_packet_can_still_be_repaired_once_per_round_trip() {
    let mut world = World::connected(52, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 4, 0xaa);
    let (now, Fanout { members, lanes, .. }) = (world.now(), &mut world.fanout);
    let Member { peer, subscriptions, .. } = &mut **members.get_mut(&ANN_ID).expect("Ann");
    let filling = &lanes[Lane::Visitor as usize];
    let subscription = subscriptions.iter_mut().find(|subscription| subscription.video).expect("a picture");
    let mut outbox = Outbox::default();
    let mut departure = peer.departure(now, &mut outbox).expect("connected");
    let newest = subscription.sender.newest() as u16;
    subscription.probe(filling, 5, &mut departure);
    assert_eq!(departure.packets, 1, "the newest is the probe");
    let round_trip = Duration::from_millis(50);
    let again = [0, 0].map(|_| subscription.repair(filling, newest, round_trip, &mut departure));
    assert_eq!((again, departure.packets), ([true, false], 2));
}

#[test]
fn no_more_feedback_than_a_browser_sends_is_looked_at() {
    let mut world = World::connected(53, &[Speaks::Everything; 2]);
    let now = world.now();
    let member = world.fanout.members.get_mut(&ANN_ID).expect("Ann");
    member.path = Some(Box::new(Path::new(now)));
    let mut compound = Vec::new();
    for number in 0..2 * FEEDBACK_ITEMS_MAX as u16 {
        let mut recorder = Recorder::default();
        recorder.note(number, now);
        assert!(recorder.build(now + Duration::from_secs(1), 1, 2, &mut compound));
    }
    member.note(now, &compound, &mut Asked::default());
    let estimator = &member.path.as_ref().expect("a path").estimator;
    assert_eq!(estimator.next_reported(), Some(FEEDBACK_ITEMS_MAX as u16), "the first ones");
}

/// Two blocks of sound, three and two bytes, whose type is `opus`.
fn twice(opus: u8) -> Vec<u8> {
    vec![0x80 | opus, 0x0f, 0x00, 3, opus, 1, 2, 3, 8, 9]
}

/// A payload type and a payload.
type Heard = (u8, Vec<u8>);

/// The visitor speaks; what arrives at each listener.
fn spoken(listeners: &[Speaks], red: bool) -> (World, Vec<Vec<Heard>>) {
    let mut speak = vec![Speaks::Red];
    speak.extend(listeners);
    let mut world = World::connected(54, &speak);
    let share = world.clients[VISITOR].share.expect("offered").to_string();
    let sound = world.clients[VISITOR].share_sound.expect("offered").to_string();
    let source = Source {
        who: MemberId(VISITOR as u32 + 1),
        mid: share,
        audio_mid: Some(sound.clone()),
        epoch: FloorEpoch::new(1),
    };
    let now = world.now();
    world.fanout.set_source(now, Lane::Visitor, Some(source));
    let (opus, _) = world.clients[VISITOR].opus();
    for sequence in 1..=3 {
        let payload = if red { twice(opus) } else { vec![8, 9] };
        world.clients[VISITOR].speak(&sound, sequence, red, &payload);
        world.run(Duration::from_millis(20));
    }
    let heard = |client: usize| {
        let packets = world.received(client).iter();
        packets.map(|packet| (*packet.header.payload_type, packet.payload.to_vec())).collect()
    };
    let heard = (1..speak.len()).map(heard).collect();
    (world, heard)
}

// RFC 2198
#[test]
fn redundancy_of_sound_passes_to_who_agreed_to_it_and_is_stripped_for_others() {
    let (world, heard) = spoken(&[Speaks::Red, Speaks::Everything], true);
    let ((opus, red), (plain, none)) = (world.clients[ANN].opus(), world.clients[BEN].opus());
    assert_eq!(none, None);
    assert_eq!(heard[0], vec![(red.expect("agreed"), twice(opus)); 3]);
    assert_eq!(heard[1], vec![(plain, vec![8, 9]); 3]);
}

#[test]
fn plain_sound_stays_plain() {
    let (world, heard) = spoken(&[Speaks::Red], false);
    assert_eq!(heard[0], vec![(world.clients[ANN].opus().0, vec![8, 9]); 3]);
}

// A report by itself is a train by itself, and trains are what sending costs.
#[test]
fn a_report_leaves_as_the_end_of_a_train() {
    let mut world = World::connected(55, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    let mut shapes = std::collections::BTreeSet::new();
    for sequence in 1..=60 {
        let begins = [0x10, u8::from(sequence > 1)];
        let payload = [&begins[..], &[7; 1_000]].concat();
        world.inject(VISITOR, sequence, 3_000 * sequence as u32, true, &payload);
        let (mut outbox, now) = (Outbox::default(), world.now());
        while world.fanout.poll(now, &mut outbox, &mut 1) {}
        let to_ann = outbox.trains().iter().filter(|train| train.destination == world.address(ANN));
        shapes.extend(to_ann.map(|train| {
            let large = outbox.segments(train).map(|segment| segment.len() > 1_000);
            large.collect::<Vec<bool>>()
        }));
        tick(&mut world);
    }
    let expected = [vec![true], vec![true, false]];
    assert_eq!(shapes.into_iter().collect::<Vec<_>>(), expected, "a picture, now and then with a report behind it");
}
