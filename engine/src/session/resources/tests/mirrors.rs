//! A session on two shards: what a mirror shows, what it never shows, and how both sides come apart and together again.

use std::time::Duration;

use fanlight_wire::limits::{KEYFRAME_REQUEST_INTERVAL, MIRROR_GREETING_INTERVAL, MIRROR_LINGER, MIRROR_SILENT_MAX};
use fanlight_wire::report::Drop;

use super::*;
use crate::entropy::Entropy;

const CAMERA: Option<MediaSource> = Some(MediaSource::Camera);

fn numbers(world: &World, client: usize) -> Vec<u64> {
    world.seen(client).iter().map(|(number, _)| *number).collect()
}

fn assert_continuous(world: &World, client: usize) {
    let numbers = numbers(world, client);
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "numbers without gaps: {numbers:?}");
}

/// Whatever a home has handed out was taken in, or is counted as lost.
fn assert_conserved(world: &mut World) {
    let [home, mirror] = world.both();
    assert_eq!(home.mirrored_out, mirror.mirrored_in + home.mirrored_lost, "{home:?} {mirror:?}");
}

#[test]
fn viewers_on_another_shard_see_what_viewers_at_home_see_for_one_copy() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let near = world.watches("near", AGENT).expect("allowed");
    let far: Vec<Made> = (0..3).map(|_| world.watches_second("far", AGENT).expect("permitted")).collect();
    let [before, _] = world.both();
    world.send_frames(publisher.client, 20);
    let [home, mirror] = world.both();
    assert_eq!(home.mirrored_out - before.mirrored_out, 20, "one copy for three viewers");
    assert_eq!((mirror.mirrors, mirror.sessions, mirror.participants), (1, [0; 3], [0; 4]), "it holds no place");
    assert_eq!((home.viewers(), mirror.viewers()), (1, 3));
    for made in far.iter().chain([&near]) {
        let seen = world.seen(made.client);
        assert!(seen.len() == 20 && seen[0].1, "{seen:?}");
        assert_continuous(&world, made.client);
    }
    assert_conserved(&mut world);
}

#[test]
fn a_late_viewer_on_a_mirror_begins_with_the_last_keyframe() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 10);
    let asked = world.asked_for_keyframes(publisher.client).len();
    let [before, _] = world.both();
    // The first one brings the mirror about, the second one finds its ring.
    for nth in [1, 2] {
        world.watches_second("far", AGENT).expect("permitted");
        let [home, mirror] = world.both();
        assert_eq!(home.mirrored_out, 10, "what came since the last keyframe, once");
        let unwanted = [&home, &mirror].map(|totals| totals.drops[Drop::Unwanted as usize]);
        assert_eq!(unwanted, [before.drops[Drop::Unwanted as usize], 0], "nobody waits for another one");
        assert!(mirror.packets_out >= 10 * nth, "all of it has left: {}", mirror.packets_out);
    }
    assert_eq!(world.asked_for_keyframes(publisher.client).len(), asked, "the publisher has nothing to do with it");
    assert_conserved(&mut world);
}

#[test]
fn keyframe_wishes_of_both_shards_meet() {
    // P20
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let mut viewers = vec![world.watches("near", AGENT).expect("allowed")];
    viewers.extend((0..3).map(|_| world.watches_second("far", AGENT).expect("permitted")));
    world.send_frames(publisher.client, 3);
    world.pass(KEYFRAME_REQUEST_INTERVAL * 3);
    let before = world.asked_for_keyframes(publisher.client).len();
    let far = viewers.last().expect("a viewer").client;
    world.loses_a_picture(far);
    world.pass(Duration::from_millis(20));
    assert_eq!(world.asked_for_keyframes(publisher.client).len(), before + 1, "a wish on the mirror reaches it");
    for _ in 0..20 {
        viewers.iter().for_each(|viewer| world.loses_a_picture(viewer.client));
        world.pass(Duration::from_millis(100));
    }
    let asked = world.asked_for_keyframes(publisher.client)[before..].to_vec();
    assert!(asked.len() >= 3, "wishes are repeated until they are granted");
    let apart = asked.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(apart.into_iter().all(|apart| apart >= KEYFRAME_REQUEST_INTERVAL - Duration::from_millis(1)), "{asked:?}");
    let [home, mirror] = world.both();
    assert!(mirror.keyframe_requests_in > 0 && mirror.keyframe_requests_out == 0, "{mirror:?}");
    assert!(home.keyframe_requests_out >= asked.len() as u64);
}

#[test]
fn a_takeover_holds_on_a_mirror() {
    // R014, R015, P17
    let mut world = World::new();
    world.visit();
    let ann = world.agent("Ann");
    let publisher = world.publishes("mixer", None).expect("allowed");
    let far = world.watches_second("far", AGENT).expect("permitted");
    world.send_frames(publisher.client, 5);
    assert_eq!(world.seen(far.client).len(), 5);
    world.share_as_agent(ann);
    // The publisher goes on sending; only the agent's frames arrive, from a keyframe on, in one numbering.
    world.send_frames(publisher.client, 5);
    let seen = world.seen(far.client);
    assert!(seen.len() == 8 && seen[5].1 && !seen[6].1, "{seen:?}");
    assert_continuous(&world, far.client);
    assert_conserved(&mut world);
}

#[test]
fn packets_on_their_way_die_at_the_fence() {
    // R015
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let far = world.watches_second("far", AGENT).expect("permitted");
    world.send_frames(publisher.client, 5);
    world.hold = true;
    world.send_frames(publisher.client, 5);
    assert_eq!(world.delete(&publisher, ResourceKind::Whip), Ok(ResourceOutput::Deleted));
    assert_eq!(world.seen(far.client).len(), 5);
    world.let_go();
    // Everything arrives in one turn: what came before the end of the share is in the ring no more when viewers are served.
    assert_eq!(world.seen(far.client).len(), 5, "nothing of a share leaves after its end has arrived");
    let late = world.watches_second("late", AGENT).expect("permitted");
    assert_eq!(world.seen(late.client), [], "and a newcomer finds nothing of it");
    assert_conserved(&mut world);
}

#[test]
fn a_mirror_shows_the_visitor_only_while_it_agrees() {
    // R009, R116
    let mut world = World::new();
    world.visit();
    assert_eq!(world.permit("early", CAMERA).expect_err("nobody has agreed").code, Code::Consent);
    let ann = world.agent("Ann");
    let camera = world.publishes("camera", CAMERA).expect("allowed");
    let screen = world.publishes("mixer", None).expect("allowed");
    let watches = world.watches_second("camera wall", CAMERA).expect("permitted");
    let other = world.watches_second("screen wall", AGENT).expect("permitted");
    let old = world.permit("slow", CAMERA).expect("permitted");
    world.send_frames(camera.client, 4);
    assert_eq!(world.seen(watches.client).len(), 4);

    world.pause(true);
    assert_eq!(world.permit("paused", CAMERA).expect_err("the visitor has paused").code, Code::State);
    let seen = world.seen(watches.client).len();
    world.send_frames(camera.client, 4);
    assert_eq!(world.seen(watches.client).len(), seen, "nothing flows in a pause");
    world.pause(false);

    world.ends();
    world.leave(ann);
    assert!(world.ends().contains(&Code::Consent), "whoever watched the visitor has to come again");
    assert_eq!(world.both()[1].viewers(), 1, "the other one shows nothing of the visitor");
    let refused = world.enters_second("slow", old).map(|made| made.subject);
    assert_eq!(refused.expect_err("its permit is void").code, Code::Consent);
    world.send_frames(screen.client, 2);
    assert!(world.seen(other.client).is_empty() || numbers(&world, other.client).len() <= 2);
    world.send_frames(camera.client, 4);
    assert_eq!(world.seen(watches.client).len(), seen);
    assert_conserved(&mut world);
}

#[test]
fn a_permit_that_was_overtaken_lasts_until_the_mirror_hears() {
    // R116
    let mut world = World::new();
    world.visit();
    let ann = world.agent("Ann");
    let camera = world.publishes("camera", CAMERA).expect("allowed");
    let old = world.permit("slow", CAMERA).expect("permitted");
    world.leave(ann);
    world.ends();
    // The shard knows nothing of the session yet: the home's first word closes what an old permit let in.
    let _closed_at_once = world.enters_second("slow", old);
    world.pass(Duration::from_millis(50));
    assert_eq!((world.both()[1].viewers(), world.ends().contains(&Code::Consent)), (0, true));
    world.send_frames(camera.client, 2);
    assert_conserved(&mut world);
}

#[test]
fn lost_packets_are_counted_and_the_next_keyframe_heals() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let far = world.watches_second("far", AGENT).expect("permitted");
    world.send_frames(publisher.client, 5);
    world.lose = 3;
    world.send_frames(publisher.client, 6);
    assert_eq!(world.lose, 0);
    let [home, _] = world.both();
    assert_eq!(home.mirrored_lost, 3);
    let asked = world.asked_for_keyframes(publisher.client).len();
    world.pass(KEYFRAME_REQUEST_INTERVAL);
    assert!(world.asked_for_keyframes(publisher.client).len() > asked, "the home itself asks for a fresh start");
    world.send_frames(publisher.client, 5);
    assert!(world.seen(far.client).len() >= 10 + 3, "{:?}", world.seen(far.client));
    assert_conserved(&mut world);
}

#[test]
fn a_lost_fence_is_said_again() {
    // R015, P17
    let mut world = World::new();
    world.visit();
    let ann = world.agent("Ann");
    let publisher = world.publishes("mixer", None).expect("allowed");
    let far = world.watches_second("far", AGENT).expect("permitted");
    world.send_frames(publisher.client, 5);
    world.lose = 2;
    world.share_as_agent(ann);
    world.pass(Duration::from_millis(50));
    assert_eq!(world.lose, 0);
    let seen = world.seen(far.client);
    assert!(seen.len() > 5 && seen[5].1, "the new share begins with a keyframe: {seen:?}");
    let before = seen.len();
    world.lose = 1;
    world.end();
    assert_eq!(world.both()[1].mirrors, 1, "the end was lost");
    world.pass(MIRROR_GREETING_INTERVAL * 2);
    assert_eq!((world.both()[1].mirrors, world.second.session_count()), (0, 0), "a greeting finds it out");
    assert_eq!(world.seen(far.client).len(), before);
}

#[test]
fn the_end_of_a_session_ends_its_mirrors() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.watches_second("far", AGENT).expect("permitted");
    world.watches_second("farther", AGENT).expect("permitted");
    world.send_frames(publisher.client, 3);
    world.ends();
    world.end();
    assert_eq!(world.second.session_count(), 0);
    assert_eq!(world.ends(), [Code::Ended; 3], "the publisher's and both viewers' ends are reported");
    assert_conserved(&mut world);
}

#[test]
fn what_enforce_takes_away_is_seen_no_longer_on_a_mirror() {
    // R152
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let screen = role(Role::Agent, Capabilities::SUB_SCREEN);
    let agent = world.watches_second_with("Ann", screen, AGENT).expect("permitted");
    let wall = world.watches_second("wall", AGENT).expect("permitted");
    world.send_frames(publisher.client, 3);
    world.narrow(Role::Agent.ceiling().narrowed_to(Capabilities::SUB_CAMERA));
    world.send_frames(publisher.client, 3);
    assert_eq!([agent.client, wall.client].map(|client| world.seen(client).len()), [3, 6], "agents may see no screen");
    assert_eq!(world.ends(), [Code::Policy]);
    let again = world.watches_second_with("Ann", screen, AGENT);
    assert_eq!(code(again), Code::Capability, "its token is no wider");
    assert_conserved(&mut world);
}

#[test]
fn a_revoked_token_ends_its_media_on_a_mirror_at_once() {
    // G-54
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let permit = world.permit("viewer", AGENT).expect("permitted");
    let [viewer, other] = ["viewer", "other"].map(|name| world.watches_second(name, AGENT).expect("permitted"));
    world.send_frames(publisher.client, 3);
    world.revoke(Role::Upstream, "viewer");
    world.send_frames(publisher.client, 3);
    assert_eq!([&viewer, &other].map(|made| world.seen(made.client).len()), [3, 6], "not one packet after it");
    assert_eq!(world.ends(), [Code::Ticket]);
    assert_eq!(code(world.enters_second("viewer", permit)), Code::Ticket, "nor by what its home said before");
    assert_conserved(&mut world);
}

#[test]
fn a_mirror_without_viewers_goes_and_its_home_stops() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let far = world.watches_second("far", AGENT).expect("permitted");
    world.send_frames(publisher.client, 3);
    world.leaves_second(&far);
    assert_eq!(world.both()[1].mirrors, 1, "one that reconnects finds it");
    world.pass(MIRROR_GREETING_INTERVAL + MIRROR_LINGER * 2);
    assert_eq!(world.second.session_count(), 0);
    let [before, _] = world.both();
    world.send_frames(publisher.client, 3);
    assert_eq!(world.both()[0].mirrored_out, before.mirrored_out);
    assert_conserved(&mut world);
}

#[test]
fn a_shard_that_begins_anew_is_noticed_by_the_other() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.watches_second("far", AGENT).expect("permitted");
    world.begin_anew(1);
    world.send_frames(publisher.client, 1);
    let [before, _] = world.both();
    world.send_frames(publisher.client, 3);
    assert_eq!(world.both()[0].mirrored_out, before.mirrored_out, "nobody is there any more");
    let again = world.watches_second("again", AGENT).expect("permitted");
    world.send_frames(publisher.client, 3);
    assert!(world.seen(again.client).len() >= 3);

    world.begin_anew(0);
    world.pass(MIRROR_GREETING_INTERVAL * 2);
    assert_eq!(world.second.session_count(), 0, "a home that knows nothing of the session says so");
}

#[test]
fn a_silent_mirror_does_not_keep_a_session() {
    let mut world = World::new();
    world.watches_second("far", AGENT).expect("permitted");
    world.begin_anew(1);
    world.keep(MIRROR_SILENT_MAX / 2);
    assert!(world.is_open(), "it is watched, as far as anybody knows");
    world.pass(MIRROR_SILENT_MAX * 2);
    assert!(!world.is_open());
}

/// One step of a random story.
fn step(world: &mut World, entropy: &mut Entropy, cast: &mut Cast) {
    let [choice, amount] = entropy.array::<2>();
    match choice % 10 {
        0 => cast.publishers.push(world.publishes("mixer", None).expect("allowed")),
        1 => cast.near.push(world.watches("near", AGENT).expect("allowed")),
        2 | 3 if cast.far.len() < 6 => cast.far.push(world.watches_second("far", AGENT).expect("permitted")),
        4 if !cast.far.is_empty() => {
            let gone = cast.far.swap_remove(usize::from(amount) % cast.far.len());
            world.leaves_second(&gone);
        }
        5 => (world.lose, cast.lossy) = (usize::from(amount % 4), true),
        6 => {
            if let Some(far) = cast.far.last() {
                world.loses_a_picture(far.client);
            }
        }
        7 => world.pass(Duration::from_millis(u64::from(amount) * 20)),
        _ => {}
    }
    // Old publishers never stop by themselves.
    for publisher in &cast.publishers {
        world.send_frames(publisher.client, 1 + u64::from(amount % 3));
    }
}

#[derive(Default)]
struct Cast {
    publishers: Vec<Made>,
    near: Vec<Made>,
    far: Vec<Made>,
    lossy: bool,
}

#[test]
fn whatever_happens_nothing_old_is_shown_and_every_packet_is_accounted_for() {
    // R014, R015, P17
    let mut watched = 0;
    for seed in 0..12 {
        let (mut world, mut entropy, mut cast) = (World::new(), Entropy::seeded(seed), Cast::default());
        for _ in 0..25 {
            step(&mut world, &mut entropy, &mut cast);
            world.pass(Duration::from_millis(100));
            assert_conserved(&mut world);
            for viewer in cast.far.iter().chain(&cast.near) {
                let from = world.seen_from(viewer.client);
                assert!(from.is_sorted(), "seed {seed}: only the last publisher has the floor: {from:?}");
                if !cast.lossy {
                    assert_continuous(&world, viewer.client);
                }
                watched += from.len();
            }
        }
    }
    assert!(watched > 1_000, "stories in which something is shown: {watched}");
}
