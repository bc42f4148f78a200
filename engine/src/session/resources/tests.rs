//! Publishing and watching without a pipe, on virtual time, with WebRTC stacks of somebody else at both ends.

mod mirrors;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use fanlight_wire::limits::{ICE_CONSENT_MAX, PARTICIPANTS_LIFETIME_MAX, PARTICIPANTS_RESERVED};
use fanlight_wire::signal::{SharePhase, ToClient};

use super::*;
use world::{Made, World, role};

const AGENT: Option<MediaSource> = Some(MediaSource::Slot(Slot::Agent));
const VISITOR: Option<MediaSource> = Some(MediaSource::Slot(Slot::Visitor));

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Code {
    result.expect_err("it must be refused").code
}

#[test]
fn who_waits_and_who_comes_later_see_the_published_screen_from_a_keyframe_on() {
    let mut world = World::new();
    let early = world.watches("early", None).expect("allowed");
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 10);
    let late = world.watches("late", AGENT).expect("allowed");
    world.send_frames(publisher.client, 10);
    assert_eq!(world.seen(early.client).len(), 20);
    let seen = world.seen(late.client);
    assert!(seen.len() >= 10 && seen[0].1, "the first thing it sees is a keyframe: {seen:?}");
    for client in [early.client, late.client] {
        let numbers: Vec<u64> = world.seen(client).iter().map(|(number, _)| *number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "numbers without gaps: {numbers:?}");
    }
    assert_eq!(world.counts(), [1, 2]);
    for (made, kind) in [(early, ResourceKind::Whep), (late, ResourceKind::Whep), (publisher, ResourceKind::Whip)] {
        assert_eq!(world.delete(&made, kind), Ok(ResourceOutput::Deleted));
        assert_eq!(code(world.delete(&made, kind)), Code::NotFound);
    }
    assert_eq!(world.counts(), [0, 0]);
    assert_eq!(world.ends(), [Code::Left; 3], "each end is reported once");
}

// A session of a thousand viewers is not walked for each packet.
#[test]
fn packets_alone_settle_nothing() {
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 3);
    for _ in 0..5 {
        assert!(world.is_settled_by_packet(publisher.client), "a packet");
        world.pass(Duration::from_millis(33));
    }
    world.send_frames(publisher.client, 2);
    assert!(world.seen(viewer.client).len() >= 5);
    world.cut_off(viewer.client);
    world.pass(ICE_CONSENT_MAX + RESOURCE_GRACE + Duration::from_secs(1));
    assert_eq!(world.ends(), [Code::Timeout], "what is due beside media is not forgotten");
}

#[test]
fn media_does_not_wait_for_handshakes() {
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let joiner = world.watches("joiner", None).expect("allowed");
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 3);
    let (looks, reached) = world.flood_with_dtls(joiner.client, 20, publisher.client);
    assert_eq!(reached, 2, "both who watch are served with the first look");
    assert!(looks > 20, "then each record gets a look of its own: {looks}");
    assert!(world.seen(viewer.client).len() >= 3);
}

#[test]
fn newcomers_are_served_after_those_who_watch_and_each_take_turns() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed").client;
    let come = |world: &mut World, name: &str| world.watches(name, None).expect("allowed").client;
    let settled = ["a", "b", "c"].map(|name| come(&mut world, name));
    world.send_frames(publisher, 3);
    world.pass(Duration::from_secs(6));
    let newcomers = ["d", "e"].map(|name| come(&mut world, name));
    world.send_frames(publisher, 3);
    let (mut first, mut last) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..3 {
        let served = world.served(publisher);
        assert_eq!(served.len(), 5, "{served:?}");
        assert!(served[..3].iter().all(|client| settled.contains(client)), "{served:?}");
        assert!(served[3..].iter().all(|client| newcomers.contains(client)), "{served:?}");
        first.insert(served[0]);
        last.insert(served[4]);
    }
    assert_eq!((first.len(), last.len()), (3, 2), "nobody is always first, nobody always last");
}

#[test]
fn a_takeover_by_an_agent_ends_the_publishers_resource() {
    // R014, R015
    let mut world = World::new();
    world.visit();
    let ann = world.agent("Ann");
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 3);
    assert_eq!(world.phase_seen_by_visitor(), Some(SharePhase::Live));
    world.share_as_agent(ann);
    assert_eq!((world.ends(), world.counts()), (vec![Code::Busy], [0, 0]));
    assert_eq!(code(world.delete(&publisher, ResourceKind::Whip)), Code::NotFound, "it went with its share");
    let second = world.publishes("mixer", None).expect("allowed");
    world.send_frames(second.client, 3);
    let told = world.signals(ann);
    assert!(told.iter().any(|signal| matches!(signal, ToClient::ShareTakenOver { .. })), "{told:?}");
}

#[test]
fn the_last_publisher_has_the_floor() {
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let first = world.publishes("mixer", None).expect("allowed");
    world.send_frames(first.client, 3);
    let second = world.publishes("mixer", None).expect("a tool that was started again");
    world.send_frames(first.client, 3);
    let before = world.seen(viewer.client).len();
    world.send_frames(second.client, 4);
    assert_eq!(world.seen(viewer.client).len(), before + 4);
    assert_eq!((world.ends(), world.counts()), (vec![Code::Busy], [1, 1]));
}

#[test]
fn the_visitors_content_needs_the_visitors_consent() {
    // R116
    let mut world = World::new();
    for source in [VISITOR, Some(MediaSource::Screen), Some(MediaSource::Camera)] {
        assert_eq!(code(world.watches("viewer", source)), Code::Consent, "{source:?}");
    }
    world.visit();
    let ann = world.agent("Ann");
    let viewer = world.watches("viewer", VISITOR).expect("the visitor has agreed");
    let other = world.watches("viewer", AGENT).expect("it shows nothing of the visitor");
    world.leave(ann);
    assert_eq!(world.ends(), [Code::Consent], "nobody is agreed to any more");
    assert_eq!(code(world.delete(&viewer, ResourceKind::Whep)), Code::NotFound);
    assert_eq!(world.delete(&other, ResourceKind::Whep), Ok(ResourceOutput::Deleted));
}

#[test]
fn a_role_and_its_capabilities_bound_what_is_allowed() {
    let mut world = World::new();
    let guest = role(Role::Guest, Role::Guest.ceiling());
    assert_eq!(code(world.offers(ResourceKind::Whip, "guest", guest, None)), Code::Role);
    assert_eq!(code(world.offers(ResourceKind::Whep, "guest", guest, None)), Code::Consent, "a guest sees the visitor");
    let blind = role(Role::Upstream, Capabilities::PUB_SCREEN);
    assert_eq!(code(world.offers(ResourceKind::Whep, "mixer", blind, None)), Code::Capability);
    let silent = role(Role::Upstream, Capabilities::SUB_SCREEN);
    assert_eq!(code(world.offers(ResourceKind::Whip, "mixer", silent, None)), Code::Capability);
    assert_eq!(code(world.offers(ResourceKind::Whip, "mixer", silent, Some(MediaSource::Camera))), Code::Capability);
    assert_eq!(code(world.publishes("mixer", VISITOR)), Code::Role);
    assert_eq!(code(world.publishes("mixer", Some(MediaSource::Camera))), Code::Consent);
    assert_eq!(world.counts(), [0, 0]);
}

#[test]
fn a_tab_only_group_takes_no_screen_of_unknown_kind() {
    // R007, R047
    let mut world = World::with_policy(fanlight_wire::policy::Policy {
        agent_surfaces: vec![fanlight_wire::policy::Surface::Browser],
        ..Default::default()
    });
    assert_eq!(code(world.publishes("mixer", None)), Code::Surface);
}

#[test]
fn a_camera_has_one_publisher_and_ends_when_the_visitor_pauses() {
    let mut world = World::new();
    world.visit();
    let ann = world.agent("Ann");
    let camera = Some(MediaSource::Camera);
    let viewer = world.watches("viewer", camera).expect("allowed");
    let publisher = world.publishes("phone", camera).expect("allowed");
    world.send_frames(publisher.client, 5);
    assert_eq!(world.seen(viewer.client).len(), 5);
    assert_eq!(code(world.publishes("phone", camera)), Code::Busy);
    world.pause(true);
    assert_eq!(world.ends(), [Code::Consent]);
    world.send_frames(publisher.client, 5);
    assert_eq!(world.seen(viewer.client).len(), 5, "nothing flows in a pause");
    world.pause(false);
    let again = world.publishes("phone", camera).expect("allowed");
    world.send_frames(again.client, 5);
    assert_eq!(world.seen(viewer.client).len(), 10, "the same viewer sees what comes after it");
    world.leave(ann);
}

#[test]
fn a_publisher_goes_on_while_the_session_waits_for_people() {
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.visit();
    let ann = world.agent("Ann");
    world.leave(ann);
    world.send_frames(publisher.client, 5);
    assert_eq!((world.seen(viewer.client).len(), world.ends()), (5, vec![]));
}

#[test]
fn a_resource_that_is_cut_off_goes_away() {
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let staying = world.watches("viewer", None).expect("allowed");
    world.cut_off(viewer.client);
    world.pass(ICE_CONSENT_MAX + RESOURCE_GRACE / 2);
    assert_eq!(world.counts(), [0, 2], "it may come back");
    world.pass(RESOURCE_GRACE);
    assert_eq!((world.counts(), world.ends()), ([0, 1], vec![Code::Timeout]));
    assert_eq!(world.delete(&staying, ResourceKind::Whep), Ok(ResourceOutput::Deleted));

    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 3);
    world.cut_off(publisher.client);
    world.pass(ICE_CONSENT_MAX + RESOURCE_GRACE);
    assert_eq!(world.counts(), [0, 0], "a publisher's share ends, and its resource with it");
}

#[test]
fn a_publisher_that_shows_nothing_gives_way_in_the_end() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.pass(SHARE_START_MAX * 3);
    assert_eq!(world.counts(), [1, 0], "a tool connects first and starts its source afterwards");
    world.pass(PUBLISH_START_MAX);
    assert_eq!(world.counts(), [0, 0]);
    assert_eq!(code(world.delete(&publisher, ResourceKind::Whip)), Code::NotFound);
}

#[test]
fn ice_begins_anew_by_patch_and_media_goes_on() {
    // RFC 9725 §4.3.3
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let viewer = world.watches("viewer", None).expect("allowed");
    world.send_frames(publisher.client, 3);
    let stale = world.patch(&viewer, Condition::Tag("another".into()), "a=candidate:x\r\n");
    assert_eq!(code(stale), Code::Precondition);
    let noted = world.patch(&viewer, Condition::Tag(viewer.tag.clone()), "a=candidate:x\r\n");
    assert_eq!(noted, Ok(ResourceOutput::Noted));
    assert_eq!(code(world.patch(&viewer, Condition::Any, "a=candidate:x\r\n")), Code::Sdp);
    let tag = world.restart(&viewer);
    assert_ne!(tag, viewer.tag);
    world.pass(ICE_CONSENT_MAX * 2);
    world.send_frames(publisher.client, 5);
    assert_eq!(world.seen(viewer.client).len(), 8);
    let old = world.patch(&viewer, Condition::Tag(viewer.tag.clone()), "a=candidate:x\r\n");
    assert_eq!(code(old), Code::Precondition);
}

#[test]
fn only_who_made_a_resource_may_change_it() {
    // G-52
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let stranger = Made { subject: "other".into(), ..viewer.clone() };
    let guess = Made { resource: ResourceId::from_bytes([7; 16]), ..viewer.clone() };
    for wrong in [&stranger, &guess] {
        assert_eq!(code(world.delete(wrong, ResourceKind::Whep)), Code::NotFound);
        assert_eq!(code(world.patch(wrong, Condition::Any, "")), Code::NotFound);
    }
    assert_eq!(code(world.delete(&viewer, ResourceKind::Whip)), Code::NotFound, "by the other protocol's address");
    assert_eq!(world.counts(), [0, 1]);
}

#[test]
fn offers_that_are_no_good_cost_nothing_and_numbers_are_bounded() {
    let mut world = World::new();
    let upstream = role(Role::Upstream, Role::Upstream.ceiling());
    for bad in
        ["", "v=0", "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n"]
    {
        for _ in 0..100 {
            assert_eq!(code(world.ask(ResourceKind::Whip, "mixer", upstream, None, bad)), Code::Sdp);
        }
    }
    for _ in 0..PUBLISHERS_PER_SESSION_MAX {
        world.offers(ResourceKind::Whip, "mixer", upstream, None).expect("room");
    }
    assert_eq!(code(world.offers(ResourceKind::Whip, "mixer", upstream, None)), Code::Full);
}

#[test]
fn the_end_of_a_session_ends_its_resources() {
    let mut world = World::new();
    let publisher = world.publishes("mixer", None).expect("allowed");
    let viewer = world.watches("viewer", None).expect("allowed");
    world.end();
    assert_eq!(world.ends().len(), 2);
    for (made, kind) in [(publisher, ResourceKind::Whip), (viewer, ResourceKind::Whep)] {
        assert_eq!(code(world.delete(&made, kind)), Code::Session);
    }
}

#[test]
fn a_session_is_kept_for_viewers_and_as_long_as_was_asked() {
    use fanlight_wire::limits::NEVER_JOINED_MAX;
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    world.pass(NEVER_JOINED_MAX * 2);
    assert!(world.is_open());
    world.delete(&viewer, ResourceKind::Whep).expect("it was there");
    world.pass(NEVER_JOINED_MAX);
    assert!(!world.is_open());

    let mut world = World::new();
    world.keep(NEVER_JOINED_MAX * 3);
    world.pass(NEVER_JOINED_MAX * 2);
    assert!(world.is_open());
    world.pass(NEVER_JOINED_MAX * 2);
    assert!(!world.is_open());
}

#[test]
fn a_publisher_that_comes_again_and_again_leaves_places_for_people() {
    let mut world = World::new();
    let rights = role(Role::Upstream, Role::Upstream.ceiling());
    for _ in 0..PARTICIPANTS_LIFETIME_MAX - PARTICIPANTS_RESERVED {
        let made = world.offers(ResourceKind::Whip, "mixer", rights, None).expect("a place");
        assert_eq!(world.delete(&made, ResourceKind::Whip), Ok(ResourceOutput::Deleted));
    }
    assert_eq!(code(world.offers(ResourceKind::Whip, "mixer", rights, None)), Code::Full);
    world.visit();
    world.agent("Ann");
    world.watches("viewer", None).expect("viewers take no place");
}

#[test]
fn a_session_that_has_just_ended_lets_nobody_in() {
    let mut world = World::new();
    let rights = role(Role::Upstream, Role::Upstream.ceiling());
    assert_eq!(code(world.end_and_watch(rights)), Code::Session);
    assert_eq!(world.counts(), [0, 0]);
}

#[test]
fn what_enforce_takes_away_is_seen_no_longer() {
    let mut world = World::new();
    world.visit();
    let ann = world.agent("Ann");
    let client = world.watch_as_agent(ann);
    let camera = world.publishes("camera", Some(MediaSource::Camera)).expect("allowed");
    world.send_frames(camera.client, 5);
    assert_eq!(world.seen(client).len(), 5);
    world.narrow(Role::Agent.ceiling().narrowed_to(Capabilities::SUB_SCREEN));
    world.send_frames(camera.client, 5);
    assert_eq!(world.seen(client).len(), 5, "not the camera without the right to it");
}

// R152: enforce narrows what runs, however it came.
#[test]
fn a_viewer_by_http_goes_when_its_agents_rights_do() {
    let mut world = World::new();
    world.visit();
    world.agent("Ann");
    let rights = |role: Role| (role, Capabilities::SUB_SCREEN);
    let watch = |world: &mut World, subject: &str, (of, may): (Role, Capabilities), source| {
        world.offers(ResourceKind::Whep, subject, role(of, may), source)
    };
    watch(&mut world, "Ann", rights(Role::Agent), AGENT).expect("allowed");
    watch(&mut world, "wall", rights(Role::Guest), VISITOR).expect("allowed");
    let camera = (Role::Agent, Capabilities::SUB_CAMERA);
    watch(&mut world, "Ann", camera, Some(MediaSource::Camera)).expect("allowed");
    world.narrow(Role::Agent.ceiling().narrowed_to(Capabilities::SUB_CAMERA));
    assert_eq!((world.ends(), world.counts()), (vec![Code::Policy], [0, 2]), "the screen only, of the agent only");
    assert_eq!(code(watch(&mut world, "Ann", rights(Role::Agent), AGENT)), Code::Capability, "its token is no wider");
}

#[test]
fn a_revoked_token_ends_its_media_at_once() {
    // G-54
    let mut world = World::new();
    let viewer = world.watches("viewer", None).expect("allowed");
    let other = world.watches("other", None).expect("allowed");
    let publisher = world.publishes("mixer", None).expect("allowed");
    world.send_frames(publisher.client, 3);
    assert!(!world.seen(viewer.client).is_empty());
    world.revoke(Role::Upstream, "viewer");
    let before = (world.seen(viewer.client).len(), world.seen(other.client).len());
    world.send_frames(publisher.client, 3);
    assert_eq!(world.seen(viewer.client).len(), before.0, "not one packet after it");
    assert!(world.seen(other.client).len() > before.1, "the others see on");
    assert_eq!((world.ends(), world.counts()), (vec![Code::Ticket], [1, 1]));
    assert_eq!(code(world.watches("viewer", None)), Code::Ticket, "nor may it come again with the same right");
}
