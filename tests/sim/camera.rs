//! Stories of the visitor's camera: who is told of it, who may show one, and everything that ends it.

use std::time::Duration;

use fanlight_loadtest::media::Publication;
use fanlight_tests::{Who, World};
use fanlight_wire::Code;
use fanlight_wire::limits::SHARE_START_MAX;
use fanlight_wire::signal::{SharePhase, ToRelay};

use crate::screen::meeting;

/// Opens a camera, whose pictures leave on the own section, and says so.
fn start(world: &mut World, who: Who) {
    let camera = Publication { share: 1, frames_per_second: 20, packets_per_frame: 2, packet_bytes: 200 };
    let now = world.now();
    let peer = world.actor_mut(who).peer();
    peer.publish(now, camera);
    let mid = peer.own_mid();
    tell_start(world, who, mid);
}

/// Says so; a visitor names the words that it was shown.
fn tell_start(world: &mut World, who: Who, mid: String) {
    let words = world.actor(who).seat.camera_words.clone();
    world.tell(who, &ToRelay::CameraStart { mid, words });
}

fn phase(world: &World, who: Who) -> Option<SharePhase> {
    world.actor(who).seat.camera().map(|camera| camera.phase)
}

fn all_see(world: &mut World, whom: &[Who], wanted: SharePhase) {
    world.until("the camera to be seen so", |world| whom.iter().all(|who| phase(world, *who) == Some(wanted)));
}

fn refusals(world: &World, who: Who) -> Vec<Code> {
    let denials = world.actor(who).seat.denials.iter();
    denials.filter(|(re, _)| re.starts_with("camera")).map(|(_, code)| *code).collect()
}

// R110, R126
#[test]
fn every_member_is_told_and_a_late_one_when_it_is_let_in() {
    let mut world = World::new(31);
    let (visitor, agents) = meeting(&mut world, 2);
    start(&mut world, visitor);
    all_see(&mut world, &[visitor, agents[0], agents[1]], SharePhase::Live);
    let holder = world.actor(agents[0]).seat.camera().and_then(|camera| camera.holder);
    assert_eq!(holder, Some(world.actor(visitor).seat.id()));
    let late = world.agent("late");
    all_see(&mut world, &[late], SharePhase::Live);
    world.tell(visitor, &ToRelay::CameraStop);
    all_see(&mut world, &[visitor, agents[0], agents[1], late], SharePhase::Empty);
    world.tell(visitor, &ToRelay::CameraStop);
    world.until("the second stop to be answered", |world| refusals(world, visitor) == [Code::State]);
    world.check();
}

#[test]
fn a_pause_ends_it_and_going_on_does_not_bring_it_back() {
    let mut world = World::new(32);
    let (visitor, agents) = meeting(&mut world, 1);
    start(&mut world, visitor);
    all_see(&mut world, &agents, SharePhase::Live);
    world.tell(visitor, &ToRelay::Pause { on: true });
    all_see(&mut world, &agents, SharePhase::Empty);
    start(&mut world, visitor);
    world.until("a camera in a pause to be refused", |world| refusals(world, visitor) == [Code::State]);
    world.tell(visitor, &ToRelay::Pause { on: false });
    world.run(Duration::from_secs(2));
    assert_eq!(phase(&world, agents[0]), Some(SharePhase::Empty));
    start(&mut world, visitor);
    all_see(&mut world, &agents, SharePhase::Live);
    world.check();
}

#[test]
fn agents_show_none_and_a_page_load_or_the_last_agents_leaving_ends_it() {
    let mut world = World::new(33);
    let (visitor, agents) = meeting(&mut world, 2);
    start(&mut world, agents[0]);
    world.until("an agent's camera to be refused", |world| refusals(world, agents[0]) == [Code::Role]);
    start(&mut world, visitor);
    all_see(&mut world, &agents, SharePhase::Live);
    world.connect_media(visitor);
    all_see(&mut world, &agents, SharePhase::Empty);
    start(&mut world, visitor);
    all_see(&mut world, &agents, SharePhase::Live);
    for agent in &agents {
        world.tell(*agent, &ToRelay::Leave);
    }
    all_see(&mut world, &[visitor], SharePhase::Empty);
}

#[test]
fn one_without_a_picture_is_given_up_and_its_owner_is_told_why() {
    let mut world = World::new(34);
    let (visitor, agents) = meeting(&mut world, 1);
    let mid = world.actor_mut(visitor).peer().own_mid();
    tell_start(&mut world, visitor, "nothing of that name".to_owned());
    world.until("the section to be missed", |world| refusals(world, visitor) == [Code::Sdp]);
    tell_start(&mut world, visitor, mid);
    all_see(&mut world, &agents, SharePhase::Waiting);
    world.run(SHARE_START_MAX + Duration::from_secs(1));
    assert_eq!(phase(&world, agents[0]), Some(SharePhase::Empty));
    assert_eq!(refusals(&world, visitor), [Code::Sdp, Code::Timeout]);
}
