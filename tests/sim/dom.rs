//! Stories of the page: it reaches every agent, in order, and nobody before consent.

use std::time::Duration;

use fanlight_tests::{Who, World};
use fanlight_wire::signal::{Stage, ToRelay};

/// A visitor with a page and this many agents who see it.
fn visit(seed: u64, agents: usize) -> (World, Who, Vec<Who>) {
    let mut world = World::new(seed);
    let visitor = world.visitor();
    let agents: Vec<Who> = (0..agents).map(|number| world.agent(&format!("agent{number}"))).collect();
    world.until("everybody to see the page", |world| {
        agents.iter().all(|agent| world.actor(*agent).seat.mirror().state().is_some())
    });
    (world, visitor, agents)
}

/// Small edits, one every 10 ms.
fn edit(world: &mut World, visitor: Who, times: usize) {
    for number in 0..times {
        world.edit(visitor, number * 7 % 300);
        world.run(Duration::from_millis(10));
    }
    world.run(Duration::from_millis(100));
}

#[test]
fn a_page_reaches_every_agent_in_order() {
    let (mut world, visitor, agents) = visit(1, 3);
    edit(&mut world, visitor, 200);
    world.check();
    for agent in agents {
        assert_eq!(world.actor(agent).seat.mirror().diffs(), 200);
    }
    assert_eq!(world.actor(visitor).snapshots_taken, 1);
}

#[test]
fn nothing_flows_before_consent() {
    // R116, R117. The seat itself refuses any byte of a page before consent.
    let mut world = World::new(2);
    let visitor = world.visitor();
    world.run(Duration::from_millis(50));
    world.actor_mut(visitor).agrees = false;
    let agent = world.agent("ann");
    world.run(Duration::from_secs(5));
    let asks: Vec<u32> = world.actor(visitor).seat.asks.iter().copied().collect();
    assert_eq!(asks.len(), 1, "one question");
    assert_eq!(world.actor(visitor).seat.stage(), Some(Stage::Waiting));
    assert_eq!(world.actor(visitor).snapshots_taken, 0, "the page is not even photographed");
    world.tell(visitor, &ToRelay::Consent { ask: asks[0], accept: true });
    world.until("the page", |world| world.actor(agent).seat.mirror().state().is_some());
    edit(&mut world, visitor, 5);
    world.check();
}
