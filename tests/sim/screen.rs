//! Stories of media: a screen reaches the other side, takes over, survives loss, and nothing old comes back.

use std::time::Duration;

use fanlight_loadtest::media::Path;
use fanlight_tests::{Route, Who, World};
use fanlight_wire::signal::{SharePhase, Slot, TAKEN_OVER, ToRelay};
use str0m_netem::{NetemConfig, Probability, RandomLoss};

/// A visitor and agents, all admitted, all with media.
pub(crate) fn meeting(world: &mut World, agents: usize) -> (Who, Vec<Who>) {
    let visitor = world.visitor();
    let agents: Vec<Who> = (0..agents).map(|number| world.agent(&format!("agent{number}"))).collect();
    world.until("everybody to be let in", |world| {
        agents.iter().all(|agent| world.actor(*agent).seat.mirror().state().is_some())
    });
    for who in world.everybody() {
        world.connect_media(who);
    }
    (visitor, agents)
}

fn is_live(world: &World, watcher: Who, slot: Slot, holder: Who) -> bool {
    let holder = world.actor(holder).seat.id();
    let share = world.actor(watcher).seat.share(slot);
    share.is_some_and(|share| share.phase == SharePhase::Live && share.holder == Some(holder))
}

#[test]
fn an_agents_screen_reaches_the_visitor() {
    let mut world = World::new(11);
    let (visitor, agents) = meeting(&mut world, 2);
    world.share(agents[0], None);
    world.until("the share to go live", |world| is_live(world, visitor, Slot::Agent, agents[0]));
    world.run(Duration::from_secs(2));
    let seen = world.actor(visitor).frames_seen();
    assert!(seen >= 35, "{seen} frames in two seconds at twenty a second");
    assert_eq!(world.actor(agents[1]).frames_seen(), 0, "agents do not see each other's share");
    let watch = world.actor_mut(visitor).peer().watch().expect("media arrived");
    assert_eq!((watch.lost(), watch.repeated()), (0, 0));
    world.check();
}

#[test]
fn the_visitors_screen_reaches_every_agent_on_both_paths() {
    for path in [Path::Udp, Path::Tcp] {
        let mut world = World::new(12);
        world.route.path = path;
        let (visitor, agents) = meeting(&mut world, 2);
        world.tell(agents[0], &ToRelay::ShareInvite);
        world.until("the share to go live", |world| is_live(world, agents[1], Slot::Visitor, visitor));
        world.run(Duration::from_secs(2));
        for agent in &agents {
            let seen = world.actor(*agent).frames_seen();
            assert!(seen >= 35, "{path:?}: {seen} frames in two seconds at twenty a second");
        }
        world.check();
    }
}

#[test]
fn both_slots_are_live_at_once_and_each_owner_stops_its_own() {
    // R040, R042, R049
    let mut world = World::new(15);
    let (visitor, agents) = meeting(&mut world, 1);
    let agent = agents[0];
    world.share(agent, None);
    world.until("the agent's share to go live", |world| is_live(world, visitor, Slot::Agent, agent));
    world.tell(agent, &ToRelay::ShareInvite);
    world.until("the visitor's on top of it", |world| is_live(world, agent, Slot::Visitor, visitor));
    assert!(is_live(&world, visitor, Slot::Agent, agent), "the agent's own goes on");
    world.stop_share(agent);
    world.until("the agent's slot to be empty", |world| !is_live(world, visitor, Slot::Agent, agent));
    assert!(is_live(&world, agent, Slot::Visitor, visitor), "the visitor's goes on");
    world.stop_share(visitor);
    world.until("the visitor's slot to be empty", |world| !is_live(world, agent, Slot::Visitor, visitor));
    world.check();
}

#[test]
fn a_second_agent_takes_over_and_nothing_comes_back() {
    // R014, R015, P17.
    let mut world = World::new(13);
    let (visitor, agents) = meeting(&mut world, 2);
    // The first one is told and does not stop: the relay's fence must do.
    world.actor_mut(agents[0]).honest = false;
    let first = world.share(agents[0], None);
    world.until("the first share", |world| is_live(world, visitor, Slot::Agent, agents[0]));
    world.run(Duration::from_secs(1));
    let second = world.share(agents[1], None);
    world.until("the second share", |world| is_live(world, visitor, Slot::Agent, agents[1]));
    assert_eq!(world.actor(agents[0]).seat.taken_over, [TAKEN_OVER]);
    assert!(world.actor(agents[1]).seat.taken_over.is_empty());
    world.run(Duration::from_secs(1));
    world.stop_share(agents[1]);
    world.run(Duration::from_millis(200));
    let seen = world.actor(visitor).frames_seen();
    world.run(Duration::from_secs(2));
    assert_eq!(world.actor(visitor).frames_seen(), seen, "the slot stays empty");
    let share = world.actor(visitor).seat.share(Slot::Agent).expect("a slot");
    assert_eq!((share.phase, share.holder), (SharePhase::Empty, None));
    let watch = world.actor_mut(visitor).peer().watch().expect("media arrived");
    assert_eq!(watch.runs().map(|run| run.share).collect::<Vec<_>>(), [first, second]);
    assert!(watch.runs().all(|run| run.from_key), "each share begins with a keyframe");
    assert_eq!(watch.lost(), 0, "one numbering across the takeover");
    world.check();
}

#[test]
fn whoever_says_stop_and_goes_on_sending_is_seen_by_nobody() {
    let mut world = World::new(19);
    let (visitor, agents) = meeting(&mut world, 1);
    world.share(agents[0], None);
    world.until("the share to go live", |world| is_live(world, visitor, Slot::Agent, agents[0]));
    world.tell(agents[0], &ToRelay::ShareStop);
    world.run(Duration::from_millis(100));
    let seen = world.actor(visitor).frames_seen();
    world.run(Duration::from_secs(2));
    assert_eq!(world.actor(visitor).frames_seen(), seen);
    world.check();
}

#[test]
fn what_was_lost_of_an_old_share_is_not_repaired_after_a_takeover() {
    // The visitor asks again for packets of the first share when the second one is already on its way.
    for seed in 20..40 {
        let mut world = World::new(seed);
        let (visitor, agents) = meeting(&mut world, 2);
        let lossy = RandomLoss::new(Probability::new(0.2));
        world.change_way_down(visitor, NetemConfig::new().latency(Duration::from_millis(25)).loss(lossy));
        for turn in 0..6 {
            world.share(agents[turn % 2], None);
            world.run(Duration::from_millis(400));
        }
        assert!(world.actor(visitor).frames_seen() > 0);
        world.check();
    }
}

#[test]
fn a_late_agent_sees_a_running_share_from_a_keyframe() {
    let mut world = World::new(14);
    let (visitor, agents) = meeting(&mut world, 1);
    world.tell(agents[0], &ToRelay::ShareInvite);
    world.until("the share to go live", |world| is_live(world, agents[0], Slot::Visitor, visitor));
    world.run(Duration::from_secs(1));
    let late = world.agent("late");
    world.until("the late one to be let in", |world| world.actor(late).seat.mirror().state().is_some());
    assert!(is_live(&world, late, Slot::Visitor, visitor), "it is told what is shared");
    world.connect_media(late);
    world.until("a frame", |world| world.actor(late).frames_seen() > 0);
    let watch = world.actor_mut(late).peer().watch().expect("media arrived");
    assert!(watch.runs().all(|run| run.from_key));
    world.check();
}

#[test]
fn loss_on_both_ways_is_repaired() {
    let mut world = World::new(15);
    let latency = Duration::from_millis(20);
    let lossy = || RandomLoss::new(Probability::new(0.05));
    let (visitor, agents) = meeting(&mut world, 2);
    world.route = Route { media: NetemConfig::new().latency(latency).loss(lossy()), ..Route::default() };
    for who in world.everybody() {
        world.connect_media(who);
    }
    world.share(agents[0], None);
    world.until("the share to go live", |world| is_live(world, visitor, Slot::Agent, agents[0]));
    world.run(Duration::from_secs(10));
    world.actor_mut(agents[0]).peer().stop();
    world.run(Duration::from_secs(2));
    let seen = world.actor(visitor).frames_seen();
    let watch = world.actor_mut(visitor).peer().watch().expect("media arrived");
    // 5 % of 400 packets each way would leave about 40 holes.
    assert!(watch.lost() <= 2, "{} packets of {} lost for good", watch.lost(), watch.packets());
    assert!(seen >= 190, "{seen} whole frames");
    world.check();
}

#[test]
fn a_sharer_whose_carrier_breaks_keeps_its_place_and_whose_media_ends_loses_the_slot() {
    let mut world = World::new(16);
    let (visitor, agents) = meeting(&mut world, 2);
    world.share(agents[0], None);
    world.until("the share to go live", |world| is_live(world, visitor, Slot::Agent, agents[0]));
    world.cut(agents[0]);
    world.run(Duration::from_secs(1));
    world.resume(agents[0]);
    world.until("the resume", |world| world.actor(agents[0]).seat.place().is_some_and(|place| place.resumed));
    assert!(is_live(&world, visitor, Slot::Agent, agents[0]), "signals may break, media goes on");
    world.tell(agents[0], &ToRelay::Leave);
    world.until("the slot to be empty", |world| {
        world.actor(visitor).seat.share(Slot::Agent).is_some_and(|share| share.phase == SharePhase::Empty)
    });
    world.check();
}

#[test]
fn no_picture_in_three_seconds_empties_the_slot() {
    let mut world = World::new(17);
    let (visitor, agents) = meeting(&mut world, 1);
    world.share(agents[0], None);
    world.actor_mut(agents[0]).peer().stop();
    world.run(Duration::from_secs(4));
    let share = world.actor(visitor).seat.share(Slot::Agent).expect("a slot");
    assert_eq!(share.phase, SharePhase::Empty);
    assert!(world.actor(agents[0]).seat.denials.iter().any(|(re, _)| re == "share.start"), "the asker is told why");
    world.check();
}

#[test]
fn whoever_waits_for_consent_learns_what_was_missed() {
    let mut world = World::new(18);
    let (visitor, agents) = meeting(&mut world, 1);
    world.actor_mut(visitor).agrees = false;
    let late = world.agent("late");
    world.until("the question", |world| !world.actor(visitor).seat.asks.is_empty());
    world.share(agents[0], None);
    world.until("the share to go live", |world| is_live(world, visitor, Slot::Agent, agents[0]));
    let ask = world.actor(visitor).seat.asks[0].clone();
    world.tell(visitor, &ask.agree());
    world.until("the late one to be let in", |world| world.actor(late).seat.mirror().state().is_some());
    assert!(is_live(&world, late, Slot::Agent, agents[0]));
    world.check();
}
