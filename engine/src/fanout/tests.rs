//! Whole media sessions in memory: str0m clients, this fan-out, virtual time, a wire that can lose and lie.

mod feedback;
mod layers;
mod mirrors;
mod renegotiation;
mod world;

use std::time::Duration;

use fanlight_wire::FloorEpoch;
use fanlight_wire::limits::{FEEDBACK_ITEMS_MAX, ICE_CONSENT_MAX};

use super::*;
use crate::peer::client::Speaks;
use world::{KEY, World};

const VISITOR: usize = 0;
const ANN: usize = 1;
const BEN: usize = 2;

fn tick(world: &mut World) {
    world.run(Duration::from_millis(33));
}

/// Frames of `packets` packets each, a keyframe first; numbered from `sequence`.
fn film(world: &mut World, who: usize, sequence: u64, frames: u64, packets: u64, mark: u8) {
    for frame in 0..frames {
        for part in 0..packets {
            let first = part == 0;
            let payload =
                [if first { 0x10 } else { 0 }, u8::from(!(first && frame == 0)), mark, frame as u8, part as u8];
            let timestamp = 3_000 * (sequence + frame) as u32;
            world.send(who, sequence + frame * packets + part, timestamp, part + 1 == packets, &payload);
        }
        tick(world);
    }
}

fn numbers(world: &World, who: usize) -> Vec<u64> {
    world.received(who).iter().map(|packet| *packet.seq_no).collect()
}

fn marks(world: &World, who: usize) -> Vec<u8> {
    world.received(who).iter().map(|packet| packet.payload[2]).collect()
}

fn assert_continuous(numbers: &[u64]) {
    assert!(!numbers.is_empty(), "nothing arrived");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "not continuous: {numbers:?}");
}

#[test]
fn one_publisher_reaches_two_subscribers_without_a_gap() {
    let mut world = World::connected(1, &[Speaks::Everything; 3]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 100, 20, 7, 0xaa);
    for agent in [ANN, BEN] {
        assert_continuous(&numbers(&world, agent));
        assert_eq!(world.received(agent).len(), 20 * 7);
        assert!(world.received(agent)[0].payload.starts_with(&KEY));
    }
    assert!(world.received(VISITOR).is_empty(), "a publisher does not watch itself");
    let live: Vec<_> = world.events.iter().filter(|e| matches!(e, MediaEvent::FirstKeyframe { .. })).collect();
    assert_eq!(live, [&MediaEvent::FirstKeyframe { lane: Lane::Visitor, epoch: FloorEpoch::new(1) }]);
}

#[test]
fn srtp_is_aes_gcm() {
    let world = World::connected(2, &[Speaks::Everything; 2]);
    let profiles: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| match event {
            MediaEvent::Connected { srtp, .. } => Some(*srtp),
            _ => None,
        })
        .collect();
    assert_eq!(profiles.len(), 2);
    assert!(profiles.iter().all(|profile| profile.starts_with("AEAD_AES_")), "{profiles:?}");
    assert_eq!(world.fanout.totals().srtp_gcm, 2);
}

#[test]
fn a_burst_leaves_as_one_train_per_subscriber() {
    let mut world = World::connected(3, &[Speaks::Everything; 3]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 3, 1, 1);
    world.longest_train.clear();
    for part in 0..10 {
        let head = if part == 0 { 0x10 } else { 0 };
        world.queue(VISITOR, 4 + part, 90_000, part == 9, &[&[head, 0x01], [7; 1_000].as_slice()].concat());
    }
    tick(&mut world);
    for agent in [ANN, BEN] {
        assert_eq!(world.longest_train.get(&world.address(agent)), Some(&10));
    }
}

// R015, P17
#[test]
fn a_takeover_fences_the_old_source_and_continues_the_line() {
    let mut world = World::connected(4, &[Speaks::Everything; 3]);
    world.share(ANN, Lane::Agent, 1);
    film(&mut world, ANN, 50, 10, 4, 0xa1);
    // Packets of the old source are inside the relay when the floor moves, and more are on their way.
    world.inject(ANN, 90, 40_000, true, &[0x10, 0x01, 0xa1, 0, 0]);
    let before = world.received(VISITOR).len();
    world.share(BEN, Lane::Agent, 2);
    world.send(ANN, 91, 43_000, true, &[0x10, 0x00, 0xa1, 0, 0]);
    tick(&mut world);
    assert_eq!(world.received(VISITOR).len(), before, "a packet of the old epoch left after the fence");

    // What the new source sends before its keyframe is not forwarded either.
    world.send(BEN, 6, 500, true, &[0x10, 0x01, 0xbe, 0, 0]);
    film(&mut world, BEN, 7, 10, 4, 0xbe);
    world.send(ANN, 92, 46_000, true, &[0x10, 0x00, 0xa1, 0, 0]);
    tick(&mut world);
    assert_continuous(&numbers(&world, VISITOR));
    let marks = marks(&world, VISITOR);
    assert_eq!((marks.len(), &marks[40..]), (80, [0xbe; 40].as_slice()));
    let packets = world.received(VISITOR);
    assert!(packets.iter().all(|packet| packet.header.ssrc == packets[0].header.ssrc), "same SSRC");
    let steps: Vec<_> = packets.windows(2).map(|p| p[1].header.timestamp.wrapping_sub(p[0].header.timestamp)).collect();
    assert!(steps.iter().all(|step| *step < 90_000), "timestamps go on by the time that passed: {steps:?}");
    assert!(steps[39] > 0, "two sources never share a timestamp");
}

// R015: a repair is a packet too.
#[test]
fn no_repair_of_the_old_source_leaves_after_the_fence() {
    let mut world = World::connected(5, &[Speaks::Everything; 3]);
    world.share(ANN, Lane::Agent, 1);
    film(&mut world, ANN, 50, 5, 2, 0xa1);
    let visitor = world.address(VISITOR);
    world.lose_next_to(visitor, 2);
    // No time passes until the floor moves, so the visitor asks for the two lost packets only afterwards.
    for part in 0..4 {
        world.send(ANN, 60 + part, 90_000, part == 3, &[0x10, 0x01, 0xa1, 9, part as u8]);
    }
    assert_eq!(world.received(VISITOR).len(), 12, "two of four were lost");
    world.share(BEN, Lane::Agent, 2);
    let fenced_at = world.received(VISITOR).len();
    world.run(Duration::from_secs(2));
    film(&mut world, BEN, 7, 5, 2, 0xbe);
    assert!(marks(&world, VISITOR)[fenced_at..].iter().all(|mark| *mark == 0xbe));
    assert_eq!(marks(&world, VISITOR)[fenced_at..].len(), 10);
}

#[test]
fn a_late_subscriber_starts_at_the_last_keyframe_without_asking_for_one() {
    let mut world = World::connected(6, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 100, 10, 3, 0xaa);
    let asked = world.clients[VISITOR].keyframe_requests.len();
    world.add(Speaks::Everything);
    world.connect(BEN);
    assert_eq!(world.received(BEN).len(), 30, "served from the relay's ring");
    film(&mut world, VISITOR, 130, 1, 3, 0xab);
    assert_continuous(&numbers(&world, BEN));
    assert!(world.received(BEN)[0].payload.starts_with(&KEY));
    assert_eq!(world.clients[VISITOR].keyframe_requests.len(), asked, "it cost the publisher nothing");
}

#[test]
fn a_late_subscriber_of_a_long_film_gets_a_fresh_keyframe() {
    let mut world = World::connected(7, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 100, 30, 20, 0xaa);
    let asked = world.clients[VISITOR].keyframe_requests.len();
    world.add(Speaks::Everything);
    world.connect(BEN);
    assert!(world.received(BEN).is_empty());
    film(&mut world, VISITOR, 700, 5, 20, 0xab);
    assert_eq!(marks(&world, BEN), [0xab; 100]);
    assert!(world.clients[VISITOR].keyframe_requests.len() > asked);
}

#[test]
fn losses_on_either_side_are_repaired() {
    let mut world = World::connected(8, &[Speaks::Everything; 3]);
    world.share(VISITOR, Lane::Visitor, 1);
    world.loss_percent = 5;
    film(&mut world, VISITOR, 100, 60, 6, 0xaa);
    world.loss_percent = 0;
    film(&mut world, VISITOR, 460, 3, 6, 0xab);
    world.run(Duration::from_secs(1));
    for agent in [ANN, BEN] {
        let mut numbers = numbers(&world, agent);
        numbers.sort_unstable();
        assert_continuous(&numbers);
        assert_eq!(numbers.len(), 63 * 6, "every packet arrived once");
    }
}

// P20
#[test]
fn keyframe_wishes_of_many_become_at_most_two_requests_per_second() {
    let mut world = World::connected(9, &[Speaks::Everything; 6]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 100, 5, 3, 0xaa);
    world.run(Duration::from_secs(1));
    world.clients[VISITOR].keyframe_requests.clear();
    let wishes = world.fanout.totals().keyframe_requests_in;
    for _ in 0..30 {
        (ANN..=5).for_each(|agent| world.wish(agent));
        world.run(Duration::from_millis(100));
    }
    let asked = &world.clients[VISITOR].keyframe_requests;
    assert!(world.fanout.totals().keyframe_requests_in >= wishes + 100, "the wishes arrived");
    assert!((5..=7).contains(&asked.len()), "{} requests in three seconds", asked.len());
    let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(500)), "{gaps:?}");
}

#[test]
fn a_subscriber_without_the_codec_is_told_once_and_the_others_watch() {
    let mut world = World::connected(10, &[Speaks::Vp8Only, Speaks::H264Only, Speaks::Everything]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 100, 5, 3, 0xaa);
    let told: Vec<_> = world.events.iter().filter(|e| matches!(e, MediaEvent::NoCodec { .. })).collect();
    assert_eq!(told, [&MediaEvent::NoCodec { who: MemberId(ANN as u32 + 1), lane: Lane::Visitor }]);
    assert_eq!((world.received(ANN).len(), world.received(BEN).len()), (0, 15));
}

#[test]
fn every_packet_goes_out_to_every_subscription_or_is_counted_as_dropped() {
    let mut world = World::connected(18, &[Speaks::Vp8Only, Speaks::Everything, Speaks::H264Only, Speaks::Everything]);
    let drops = |world: &World| world.fanout.totals().drops.iter().sum::<u64>();
    let before = drops(&world);
    world.share(VISITOR, Lane::Visitor, 1);
    // What precedes the first keyframe is for nobody, and one of three subscribers lacks the codec.
    for number in 0..4 {
        world.send(VISITOR, 90 + number, 1, number == 3, &[0x10, 0x01, 0xdd, 0, 0]);
    }
    film(&mut world, VISITOR, 100, 20, 5, 0xaa);
    let (sent, out) = (4 + 20 * 5, [ANN, BEN, 3].map(|who| world.received(who).len()));
    assert_eq!(out, [100, 0, 100]);
    assert_eq!(3 * sent, out.iter().sum::<usize>() as u64 + drops(&world) - before);
}

// G-20
#[test]
fn an_attackers_client_hello_is_never_answered_and_the_call_succeeds() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.add(Speaks::Everything);
        world.attack_with_hellos = true;
        world.offer(VISITOR);
        world.connect(VISITOR);
        assert!(world.clients[VISITOR].connected, "the call failed");
        assert_eq!(world.bytes_to_attacker, 0);
        assert!(world.demux.drops().unproven >= 300, "the attack took place");
    }
}

// G-25
#[test]
fn media_from_another_address_is_not_forwarded_and_moves_nothing() {
    let mut world = World::connected(11, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 100, 5, 3, 0xaa);
    // The attacker has the visitor's own encrypted packets, unseen by the relay, and sends them from elsewhere.
    world.divert_from = Some(VISITOR);
    let before = world.received(ANN).len();
    film(&mut world, VISITOR, 115, 5, 3, 0xee);
    assert_eq!(world.received(ANN).len(), before);
    assert!(world.demux.drops().unproven >= 15);
    world.divert_from = None;
    film(&mut world, VISITOR, 130, 5, 3, 0xab);
    // What the relay then misses it asks of the visitor itself, who repairs it from the right address.
    assert_eq!(marks(&world, ANN)[before..].iter().filter(|mark| **mark == 0xab).count(), 15);
    assert_eq!(world.bytes_to_attacker, 0, "the relay still sends to the visitor only");
}

// G-24
#[test]
fn media_stops_when_a_subscriber_no_longer_consents() {
    let mut world = World::connected(12, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 2, 0xaa);
    world.deaf = Some(ANN);
    for second in 0..25 {
        let silent = world.bytes_beyond_stun_to(ANN);
        film(&mut world, VISITOR, 100 + second * 60, 30, 2, 0xab);
        if second > ICE_CONSENT_MAX.as_secs() {
            assert_eq!(world.bytes_beyond_stun_to(ANN), silent, "second {second}");
        }
    }
    assert!(world.events.contains(&MediaEvent::Disconnected { who: MemberId(ANN as u32 + 1) }));
    assert!(world.fanout.is_connected(MemberId(VISITOR as u32 + 1)), "nobody else is touched");
}

#[test]
fn a_fresh_peer_connection_replaces_and_the_same_one_renegotiates() {
    let mut world = World::connected(13, &[Speaks::Everything; 2]);
    let who = MemberId(ANN as u32 + 1);
    let again = world.clients[ANN].offer_again();
    assert!(!world.fanout.is_fresh(who, &again));
    world.give_offer(ANN, &again);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 2, 0xaa);
    assert_eq!(world.received(ANN).len(), 10, "it goes on after renegotiation");

    world.replace_client(ANN);
    world.offer(ANN);
    world.connect(ANN);
    film(&mut world, VISITOR, 11, 5, 2, 0xab);
    assert_eq!(marks(&world, ANN)[20..], [0xab; 10], "after the first ten and the ring's ten, the new ones");
    assert!(world.fanout.can_publish(who, &world.clients[ANN].share.expect("offered").to_string()));
}

#[test]
fn tcp_and_udp_clients_share_a_session() {
    let mut world = World::connected(14, &[Speaks::OverTcp, Speaks::Everything, Speaks::OverTcp]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 10, 4, 0xaa);
    world.share(ANN, Lane::Agent, 1);
    film(&mut world, ANN, 1, 10, 4, 0xa1);
    for (who, expected) in [(VISITOR, 0xa1), (ANN, 0xaa), (BEN, 0xaa)] {
        assert_eq!(marks(&world, who), [expected; 40]);
        assert_continuous(&numbers(&world, who));
    }
}

#[test]
fn an_ice_restart_keeps_the_call_and_our_own_credentials() {
    let mut world = World::connected(15, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 1, 5, 2, 0xaa);
    for _ in 0..2 {
        let offer = world.clients[ANN].offer_restart();
        assert!(!world.fanout.is_fresh(MemberId(ANN as u32 + 1), &offer));
        let answer = world.give_offer(ANN, &offer);
        assert!(answer.contains("a=ice-ufrag:0a"), "the shard is named: {answer}");
        world.run(Duration::from_secs(2));
    }
    film(&mut world, VISITOR, 11, 5, 2, 0xab);
    assert!(marks(&world, ANN).ends_with(&[0xab; 10]));
    assert_continuous(&numbers(&world, ANN));
    // Consent goes on under the new credentials.
    world.run(ICE_CONSENT_MAX * 2);
    assert!(!world.events.contains(&MediaEvent::Disconnected { who: MemberId(ANN as u32 + 1) }));
}

#[test]
fn an_encoder_that_begins_anew_continues_the_line_at_its_keyframe() {
    let mut world = World::connected(16, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    film(&mut world, VISITOR, 500, 5, 4, 0xaa);
    world.clients[VISITOR].change_ssrc();
    let again = world.clients[VISITOR].offer_again();
    world.give_offer(VISITOR, &again);
    world.send(VISITOR, 2, 7, true, &[0x10, 0x01, 0xdd, 0, 0]);
    film(&mut world, VISITOR, 3, 5, 4, 0xab);
    assert_continuous(&numbers(&world, ANN));
    assert_eq!(marks(&world, ANN), [[0xaa; 20], [0xab; 20]].concat());
}

// G-26
#[test]
fn replayed_packets_are_not_forwarded() {
    let mut world = World::connected(17, &[Speaks::Everything; 2]);
    world.share(VISITOR, Lane::Visitor, 1);
    world.echo = true;
    film(&mut world, VISITOR, 1, 30, 5, 0xaa);
    assert_continuous(&numbers(&world, ANN));
    assert_eq!(world.received(ANN).len(), 150);
}

// G-21
#[test]
fn forged_handshake_records_from_the_right_address_do_not_end_the_call() {
    let mut failed = 0;
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.add(Speaks::Everything);
        world.forge_handshakes = true;
        for _ in 0..100 {
            world.run(Duration::from_millis(50));
        }
        failed += usize::from(!world.clients[VISITOR].connected);
    }
    assert_eq!(failed, 0, "of 20 calls");
}

// G-21, G-26
#[test]
fn damaged_datagrams_from_the_right_address_harm_nobody() {
    for seed in 0..10 {
        let mut world = World::connected(seed, &[Speaks::Everything; 2]);
        (world.mangle, world.forge_handshakes) = (true, true);
        world.share(VISITOR, Lane::Visitor, 1);
        film(&mut world, VISITOR, 1, 30, 5, 0xaa);
        world.run(Duration::from_secs(1));
        assert_continuous(&numbers(&world, ANN));
        assert_eq!(marks(&world, ANN), [0xaa; 150], "every packet, unaltered");
    }
}

// R110, R126
#[test]
fn a_second_picture_is_the_camera_for_those_who_may_see_it() {
    let mut world = World::connected(21, &[Speaks::Everything; 3]);
    world.may_see_camera = vec![ANN];
    for agent in [ANN, BEN] {
        let offer = world.clients[agent].offer_camera_view();
        world.give_offer(agent, &offer);
    }
    world.share(VISITOR, Lane::Camera, 1);
    film(&mut world, VISITOR, 10, 5, 2, 0xca);
    assert_eq!(marks(&world, ANN), [0xca; 10]);
    assert!(world.received(BEN).is_empty(), "without the right nothing of the camera leaves");
    world.switch_off(Lane::Camera);
    film(&mut world, VISITOR, 20, 5, 2, 0xcb);
    assert_eq!(world.received(ANN).len(), 10, "nothing of a camera that is off leaves");
}
