//! Stories of the page: it reaches every agent, in order, and nobody before consent.

use std::time::Duration;

use fanlight_loadtest::page::Page;
use fanlight_tests::{Who, World};
use fanlight_wire::Code;
use fanlight_wire::limits::SNAPSHOT_REQUEST_INTERVAL;
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
    let asks = world.actor(visitor).seat.asks.clone();
    assert_eq!(asks.len(), 1, "one question");
    assert_eq!(world.actor(visitor).seat.stage(), Some(Stage::Waiting));
    assert_eq!(world.actor(visitor).snapshots_taken, 0, "the page is not even photographed");
    world.tell(visitor, &asks[0].clone().agree());
    world.until("the page", |world| world.actor(agent).seat.mirror().state().is_some());
    edit(&mut world, visitor, 5);
    world.check();
}

#[test]
fn whoever_waits_for_consent_sees_and_does_nothing() {
    // R116. Another agent is admitted; everything flows, but not to the one who waits. Its seat judges every frame.
    let (mut world, visitor, agents) = visit(9, 1);
    world.actor_mut(visitor).agrees = false;
    let waiting = world.agent("waiting");
    world.run(Duration::from_millis(50));
    world.connect_media(visitor);
    world.connect_media(agents[0]);
    world.actor_mut(visitor).agrees = true;
    world.tell(agents[0], &ToRelay::ShareInvite);
    for _ in 0..50 {
        world.edit(visitor, 100);
        world.point(visitor);
        world.point(waiting);
        world.run(Duration::from_millis(20));
    }
    assert!(world.actor(agents[0]).frames_seen() > 0, "the admitted one sees the screen");
    assert!(world.actor(agents[0]).pointers_seen > 0, "and the pointer");
    world.tell(waiting, &ToRelay::Resync);
    world.offer_media(waiting);
    world.run(Duration::from_secs(1));
    let waiting = world.actor(waiting);
    assert_eq!((waiting.seat.mirror().snapshots(), waiting.frames_seen(), waiting.pointers_seen), (0, 0, 0));
    assert!(!waiting.has_media() && !waiting.seat.denials.is_empty(), "its wishes are refused");
    assert_eq!(world.actor(visitor).pointers_seen, 0, "its pointer is not shown");
    world.check();
}

#[test]
fn a_late_agent_costs_the_visitor_nothing() {
    let (mut world, visitor, _) = visit(3, 1);
    edit(&mut world, visitor, 100);
    let late = world.agent("late");
    world.until("the page", |world| world.actor(late).seat.mirror().state().is_some());
    edit(&mut world, visitor, 10);
    world.check();
    assert_eq!(world.actor(visitor).snapshots_taken, 1, "no snapshot for a late agent");
    assert_eq!(world.actor(late).seat.mirror().snapshots(), 1);
}

#[test]
fn an_agent_that_reads_nothing_delays_nobody_and_comes_back() {
    let (mut world, visitor, agents) = visit(4, 2);
    world.actor_mut(agents[0]).stuck = true;
    for number in 0..600 {
        world.edit(visitor, 3_000);
        world.run(Duration::from_millis(50));
        if number % 50 == 0 {
            world.run(Duration::from_millis(20));
            let (page, copy) = (world.actor(visitor), world.actor(agents[1]));
            assert_eq!(copy.seat.mirror().state(), page.page.as_ref().map(Page::state), "at once");
        }
    }
    let taken = world.actor(visitor).snapshots_taken;
    world.unstick(agents[0]);
    edit(&mut world, visitor, 20);
    world.check();
    let back = &world.actor(agents[0]).seat;
    assert!(back.resyncs() >= 1, "it was given a fresh copy");
    assert!(taken <= 4, "{taken} snapshots in thirty seconds");
}

#[test]
fn a_page_load_keeps_the_session_and_begins_a_new_epoch() {
    let (mut world, visitor, agents) = visit(5, 2);
    edit(&mut world, visitor, 20);
    for _ in 0..3 {
        world.load_another_page(visitor);
        world.until("the new page", |world| {
            let page = world.actor(visitor).page.as_ref().map(Page::state);
            page.is_some() && agents.iter().all(|agent| world.actor(*agent).seat.mirror().state() == page)
        });
        edit(&mut world, visitor, 10);
        world.check();
    }
    let place = world.actor(visitor).seat.place().expect("welcomed");
    assert!(place.resumed);
}

#[test]
fn an_agents_broken_carrier_costs_one_snapshot_from_the_cache() {
    let (mut world, visitor, agents) = visit(6, 2);
    for round in 0..5 {
        edit(&mut world, visitor, 10);
        world.cut(agents[0]);
        edit(&mut world, visitor, 10);
        world.resume(agents[0]);
        world.until("the page again", |world| world.actor(agents[0]).seat.mirror().state().is_some());
        edit(&mut world, visitor, 10);
        world.check();
        assert_eq!(world.actor(agents[0]).seat.place().map(|place| place.resumed), Some(true), "round {round}");
    }
    assert_eq!(world.actor(visitor).snapshots_taken, 1);
}

#[test]
fn hiding_more_takes_back_what_was_shown() {
    let (mut world, visitor, agents) = visit(7, 2);
    edit(&mut world, visitor, 30);
    world.actor_mut(agents[1]).stuck = true;
    edit(&mut world, visitor, 30);
    let before = world.actor(visitor).snapshots_taken;
    world.hide_more(visitor);
    world.run(Duration::from_millis(50));
    let early = world.agent("early");
    world.run(Duration::from_millis(200));
    assert_eq!(world.actor(early).seat.mirror().snapshots(), 0, "what was shown before is forgotten at once");
    // Snapshots are asked for at most every five seconds.
    world.run(SNAPSHOT_REQUEST_INTERVAL + Duration::from_secs(1));
    world.unstick(agents[1]);
    edit(&mut world, visitor, 10);
    world.check();
    assert_eq!(world.actor(visitor).snapshots_taken, before + 1, "one snapshot under the new rules");
    let late = world.agent("late");
    world.until("the page", |world| world.actor(late).seat.mirror().state().is_some());
    let mask = world.actor(late).seat.mirror().state().map(|state| state.mask);
    assert_eq!(mask, world.actor(visitor).page.as_ref().map(|page| page.state().mask));
}

#[test]
fn a_used_or_forged_resume_token_opens_nothing() {
    let (mut world, visitor, agents) = visit(8, 1);
    let old = world.actor(agents[0]).seat.resume().to_owned();
    world.cut(agents[0]);
    world.resume(agents[0]);
    world.until("the page again", |world| world.actor(agents[0]).seat.mirror().state().is_some());
    // The client has spoken on its new carrier: the token before is void from here on.
    world.tell(agents[0], &ToRelay::Ping { at: 1.0 });
    world.run(Duration::from_millis(50));
    let newest = world.actor(agents[0]).seat.resume().to_owned();
    let forged = newest.replacen(&format!(".{}.", world.actor(agents[0]).seat.id().0), ".1.", 1);
    for token in [old, forged, String::new(), format!("{newest}.x"), "x".repeat(5_000)] {
        let closed = world.try_resume(&token);
        assert_eq!(closed, Some(Code::Resume.close_code()), "{token:.60}");
    }
    edit(&mut world, visitor, 5);
    world.check();
}

#[test]
fn many_worlds_with_random_histories_end_equal() {
    for seed in 100..160 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut world, visitor, agents) = visit(seed, 3);
        for _ in 0..60 {
            let agent = agents[random.usize(..agents.len())];
            match random.u32(..20) {
                0 => world.cut(agent),
                1 if !world.actor(agent).is_connected() => world.resume(agent),
                2 => world.load_another_page(visitor),
                3 => world.actor_mut(agent).stuck = true,
                4 => world.unstick(agent),
                5 if random.u32(..3) == 0 => world.hide_more(visitor),
                6 => world.tell(agent, &ToRelay::Resync),
                _ => world.edit(visitor, random.usize(..4_000)),
            }
            world.run(Duration::from_millis(random.u64(..200)));
        }
        for agent in &agents {
            world.unstick(*agent);
            if !world.actor(*agent).is_connected() {
                world.resume(*agent);
            }
        }
        // A budgeted snapshot may be five seconds away.
        world.run(Duration::from_secs(12));
        edit(&mut world, visitor, 2);
        assert!(world.actor(visitor).page.is_some(), "seed {seed}: the visitor shows a page");
        world.check();
    }
}

#[test]
fn a_missing_change_is_never_passed_over() {
    let (mut world, visitor, agents) = visit(10, 2);
    edit(&mut world, visitor, 5);
    for _ in 0..3 {
        // A change is made and never sent: what follows fits nobody's copy, and is refused until a snapshot has come.
        let at = world.now_us();
        let page = world.actor_mut(visitor).page.as_mut().expect("a page");
        let before = page.state();
        drop(page.change(10, at));
        edit(&mut world, visitor, 3);
        let refused = world.actor(visitor).seat.denials.iter().any(|(_, code)| *code == Code::Gap);
        assert!(refused, "the visitor is told");
        let seen = world.actor(agents[0]).seat.mirror().state();
        assert!(seen.is_none_or(|seen| seen == before || seen.sequence > before.sequence));
        world.run(SNAPSHOT_REQUEST_INTERVAL + Duration::from_secs(1));
        edit(&mut world, visitor, 5);
        world.check();
    }
}
