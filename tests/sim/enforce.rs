//! *Enforce* during a live share: it ends at once, with its reason, and what may go on goes on.

use std::time::Duration;

use fanlight_tests::World;
use fanlight_wire::Code;
use fanlight_wire::command::Narrowing;
use fanlight_wire::policy::{Policy, Role, Surface};
use fanlight_wire::signal::{SharePhase, Slot};

use crate::screen::meeting;

fn phase(world: &World, who: fanlight_tests::Who) -> Option<SharePhase> {
    world.actor(who).seat.share(Slot::Agent).map(|share| share.phase)
}

fn enforce(world: &mut World, surfaces: &[Surface]) {
    let policy = Policy { version: 9, agent_surfaces: surfaces.to_vec(), ..Policy::default() };
    world.enforce(Narrowing { policy, agents: Role::Agent.ceiling(), subjects: Vec::new() });
}

#[test]
fn a_share_that_is_no_longer_allowed_ends_within_a_second() {
    let mut world = World::new(41);
    let (visitor, agents) = meeting(&mut world, 2);
    world.share(agents[0], None);
    world.until("the share to go live", |world| phase(world, visitor) == Some(SharePhase::Live));
    let before = world.age();
    enforce(&mut world, &[]);
    world.until("the share to end", |world| phase(world, visitor) == Some(SharePhase::Empty));
    assert!(world.age() - before <= Duration::from_secs(1));
    let told = world.actor(agents[0]).seat.denials.clone();
    assert!(told.iter().any(|(re, code)| re == "share.start" && *code == Code::Policy), "{told:?}");
    world.run(Duration::from_secs(1));
    let seen = world.actor(visitor).frames_seen();
    world.run(Duration::from_secs(2));
    assert_eq!(world.actor(visitor).frames_seen(), seen, "no picture after the end");
    // The page is asked for anew within the budget of snapshots.
    world.run(Duration::from_secs(6));
    world.check();
}

#[test]
fn a_share_that_is_still_allowed_goes_on() {
    let mut world = World::new(42);
    let (visitor, agents) = meeting(&mut world, 1);
    world.share(agents[0], None);
    world.until("the share to go live", |world| phase(world, visitor) == Some(SharePhase::Live));
    enforce(&mut world, &Surface::ALL);
    let seen = world.actor(visitor).frames_seen();
    world.run(Duration::from_secs(2));
    assert_eq!(phase(&world, visitor), Some(SharePhase::Live));
    assert!(world.actor(visitor).frames_seen() > seen + 20);
    // The page is asked for anew within the budget of snapshots.
    world.run(Duration::from_secs(6));
    world.check();
}
