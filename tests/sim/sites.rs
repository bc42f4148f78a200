//! Allowed sites in a running session: nothing of a share is forwarded before the first good statement, nor after a bad
//! or missing one; other surfaces are refused; the session goes on.

use std::time::Duration;

use fanlight_tests::{Who, World};
use fanlight_wire::Code;
use fanlight_wire::address::{Address, Pattern};
use fanlight_wire::command::Narrowing;
use fanlight_wire::limits::{STATEMENT_INTERVAL, STATEMENT_MAX};
use fanlight_wire::policy::{Policy, Role, Surface};
use fanlight_wire::signal::{SharePhase, Slot, Stage, ToRelay};
use fanlight_wire::sites::{Assurance, Assurances, Sites};

use crate::screen::meeting;

const BOOKMARK: &str = "https://www.good.example/a_b";

fn sites(allowed: &str) -> Sites {
    let allowed = Pattern::parse(allowed).expect("a pattern");
    Sites::new(vec![allowed], vec![Address::parse(BOOKMARK).expect("an address")], Assurances::default())
}

fn policy() -> Policy {
    let agent_surfaces = vec![Surface::Browser, Surface::Window];
    Policy { sites: sites("https://www.good.example/*"), agent_surfaces, ..Policy::default() }
}

fn phase(world: &World, who: Who) -> SharePhase {
    world.actor(who).seat.share(Slot::Agent).map_or(SharePhase::Empty, |share| share.phase)
}

fn state(world: &mut World, who: Who, url: &str) {
    world.tell(who, &ToRelay::ShareStatement { url: Some(url.to_owned()), assurance: Assurance::Stated });
}

/// Goes on saying it for that long.
fn keep_stating(world: &mut World, who: Who, url: &str, time: Duration) {
    let end = world.age() + time;
    while world.age() < end {
        state(world, who, url);
        world.run(STATEMENT_INTERVAL);
    }
}

fn denied(world: &World, who: Who) -> Option<Code> {
    world.actor(who).seat.denials.iter().filter(|(re, _)| re == "share.start").map(|(_, code)| *code).next_back()
}

/// A share of the bookmark's window that the visitor sees.
fn shared(world: &mut World) -> (Who, Who) {
    let (visitor, agents) = meeting(world, 1);
    world.share(agents[0], None);
    world.until("the share to be held", |world| phase(world, visitor) == SharePhase::Held);
    state(world, agents[0], BOOKMARK);
    world.until("the share to go live", |world| phase(world, visitor) == SharePhase::Live);
    keep_stating(world, agents[0], BOOKMARK, Duration::from_secs(1));
    assert!(world.actor(visitor).frames_seen() > 10);
    (visitor, agents[0])
}

/// After a cut: told why, nothing seen any more, and the session is on.
fn is_cut(world: &mut World, visitor: Who, agent: Who, code: Code) {
    world.until("the slot to be empty", |world| phase(world, visitor) == SharePhase::Empty);
    world.run(Duration::from_millis(100));
    assert_eq!(denied(world, agent), Some(code));
    let seen = world.actor(visitor).frames_seen();
    world.run(Duration::from_secs(2));
    assert_eq!(world.actor(visitor).frames_seen(), seen, "no picture after the cut");
    assert_eq!(world.actor(agent).seat.stage(), Some(Stage::Active), "the session goes on");
}

#[test]
fn nothing_is_forwarded_before_the_first_good_statement() {
    // R004, R013
    let mut world = World::with_policy(51, policy());
    let (visitor, agents) = meeting(&mut world, 1);
    world.share(agents[0], None);
    world.until("the share to be held", |world| phase(world, visitor) == SharePhase::Held);
    world.run(STATEMENT_MAX / 2);
    assert_eq!((phase(&world, visitor), world.actor(visitor).frames_seen()), (SharePhase::Held, 0));
    state(&mut world, agents[0], BOOKMARK);
    world.until("the share to go live", |world| phase(world, visitor) == SharePhase::Live);
    keep_stating(&mut world, agents[0], BOOKMARK, Duration::from_secs(5));
    assert!(world.actor(visitor).frames_seen() > 60, "statements that go on keep it going");
    world.check();
}

#[test]
fn a_share_of_which_nothing_is_said_is_cut() {
    // R052
    let mut world = World::with_policy(52, policy());
    let (visitor, agent) = shared(&mut world);
    let silent = world.age();
    world.until("the slot to be empty", |world| phase(world, visitor) == SharePhase::Empty);
    assert!(world.age() - silent <= STATEMENT_MAX + Duration::from_millis(200), "{:?}", world.age() - silent);
    is_cut(&mut world, visitor, agent, Code::Site);
}

#[test]
fn another_page_is_cut_at_once_and_an_approved_one_may_follow() {
    // R052, R053
    let mut world = World::with_policy(53, policy());
    let (visitor, agent) = shared(&mut world);
    let before = world.age();
    state(&mut world, agent, "https://evil.example/");
    world.until("the slot to be empty", |world| phase(world, visitor) == SharePhase::Empty);
    assert!(world.age() - before < Duration::from_millis(200));
    is_cut(&mut world, visitor, agent, Code::Site);
    world.share(agent, None);
    world.until("the share to be held", |world| phase(world, visitor) == SharePhase::Held);
    state(&mut world, agent, BOOKMARK);
    world.until("the share to go live", |world| phase(world, visitor) == SharePhase::Live);
}

#[test]
fn a_share_that_says_itself_that_it_is_not_allowed_takes_the_slot_from_nobody() {
    // R011, R020
    let mut world = World::with_policy(54, policy());
    let (visitor, agents) = meeting(&mut world, 2);
    world.share(agents[0], None);
    world.until("the share to be held", |world| phase(world, visitor) == SharePhase::Held);
    state(&mut world, agents[0], BOOKMARK);
    world.until("the share to go live", |world| phase(world, visitor) == SharePhase::Live);
    for (surface, url, code) in [
        (Surface::Window, "https://www.good.example/not-a-bookmark", Code::Site),
        (Surface::Monitor, BOOKMARK, Code::Surface),
    ] {
        let mid = world.actor_mut(agents[1]).peer().own_mid();
        let start = ToRelay::ShareStart {
            mid,
            surface: Some(surface),
            audio_mid: None,
            grant: None,
            url: Some(url.to_owned()),
            assurance: Some(Assurance::Stated),
        };
        world.tell(agents[1], &start);
        state(&mut world, agents[0], BOOKMARK);
        world.run(Duration::from_millis(200));
        assert_eq!(denied(&world, agents[1]), Some(code));
        assert_eq!(phase(&world, visitor), SharePhase::Live, "the first one goes on");
    }
    assert!(world.actor(agents[0]).seat.taken_over.is_empty());
}

#[test]
fn sites_that_are_enforced_end_what_they_do_not_cover() {
    // R004, R054: publishing changes nothing here; enforce narrows.
    let enforced = |allowed: &str| {
        let mut world = World::with_policy(55, policy());
        let (visitor, agent) = shared(&mut world);
        let policy = Policy { version: 9, sites: sites(allowed), ..Policy::default() };
        world.enforce(Narrowing { policy, agents: Role::Agent.ceiling(), subjects: Vec::new() });
        keep_stating(&mut world, agent, BOOKMARK, Duration::from_secs(2));
        (phase(&world, visitor), denied(&world, agent))
    };
    assert_eq!(enforced("https://www.good.example/*"), (SharePhase::Live, None));
    assert_eq!(enforced("https://www.good.example/other/*"), (SharePhase::Empty, Some(Code::Policy)));
}

#[test]
fn a_share_without_statements_ends_when_sites_are_enforced() {
    let mut world = World::new(56);
    let (visitor, agents) = meeting(&mut world, 1);
    world.share(agents[0], None);
    world.until("the share to go live", |world| phase(world, visitor) == SharePhase::Live);
    let policy = Policy { version: 9, ..policy() };
    world.enforce(Narrowing { policy, agents: Role::Agent.ceiling(), subjects: Vec::new() });
    is_cut(&mut world, visitor, agents[0], Code::Policy);
}
