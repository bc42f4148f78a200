//! Ten thousand ways in which agents ask for the slot, stop, leave, break off and lose packets at the same time
//! (R014, R015, P17). After each of them: one holder, every request answered once, every subscriber's numbering in order,
//! and no packet of an old share after the first of a new one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanlight_tests::{Route, Who, World};
use fanlight_wire::signal::{SharePhase, Slot, ToRelay};
use str0m_netem::{NetemConfig, Probability, RandomLoss};

use crate::screen::meeting;

/// Worlds, and interleavings in each: making a world costs as much as fifty of them.
const WORLDS: u64 = 100;
const ROUNDS: u64 = 100;

/// Frames travel faster than media, so that a share is asked for before its first packet arrives.
fn route(random: &mut fastrand::Rng) -> Route {
    let latency = Duration::from_millis(random.u64(1..8));
    let mut media = NetemConfig::new().latency(Duration::from_millis(random.u64(12..30)));
    let keeps_order = random.bool();
    if !keeps_order {
        media = media.jitter(Duration::from_millis(random.u64(1..4)));
    }
    if random.u32(..3) == 0 {
        media = media.loss(RandomLoss::new(Probability::new(random.f32() * 0.1)));
    }
    Route { latency, media, keeps_order, ..Route::default() }
}

/// One thing that one agent does.
fn act(world: &mut World, random: &mut fastrand::Rng, agent: Who) {
    match random.u32(..20) {
        0..=9 => {
            world.share(agent, None);
        }
        10..=12 => world.stop_share(agent),
        // Says that it stops, and goes on sending.
        13 => world.tell(agent, &ToRelay::ShareStop),
        // Stops sending, and says nothing: the slot shows nothing new until somebody else asks.
        14 => world.actor_mut(agent).peer().stop(),
        15..=16 => {
            world.cut(agent);
            world.run(Duration::from_millis(random.u64(..20)));
            world.resume(agent);
        }
        17 => {
            let honest = random.bool();
            world.actor_mut(agent).honest = honest;
        }
        _ => {}
    }
}

/// Leaves for good and comes again as a new participant.
fn leave_and_return(world: &mut World, agent: Who) {
    world.tell(agent, &ToRelay::Leave);
    world.run(Duration::from_millis(60));
    world.join(agent);
    world.until("the agent to be let in again", |world| world.actor(agent).seat.mirror().state().is_some());
    world.connect_media(agent);
}

fn agree_on_the_holder(world: &World, everybody: &[Who]) {
    let seen =
        |who: &Who| world.actor(*who).seat.share(Slot::Agent).map(|share| (share.epoch, share.phase, share.holder));
    let first = seen(&everybody[0]);
    for who in everybody {
        assert_eq!(seen(who), first, "seed {}: {} sees another holder", world.seed, world.actor(*who).name);
    }
}

/// Returns how many requests were granted and how many shares were taken over.
fn live_through(seed: u64) -> (u64, u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(seed);
    world.route = route(&mut random);
    let (visitor, agents) = meeting(&mut world, 3);
    let everybody: Vec<Who> = world.everybody().collect();
    for _ in 0..ROUNDS {
        for _ in 0..random.usize(2..6) {
            let agent = agents[random.usize(..agents.len())];
            act(&mut world, &mut random, agent);
            world.run(Duration::from_millis(random.u64(..40)));
        }
        if random.u32(..25) == 0 {
            leave_and_return(&mut world, agents[random.usize(..agents.len())]);
        }
        world.run(Duration::from_millis(150));
        world.check();
        agree_on_the_holder(&world, &everybody);
    }
    // Everybody says that they stop, and half of them lie: the slot is empty and stays so.
    for agent in &agents {
        if random.bool() {
            world.actor_mut(*agent).peer().stop();
        }
        world.tell(*agent, &ToRelay::ShareStop);
    }
    world.run(Duration::from_millis(500));
    let seen = world.actor(visitor).frames_seen();
    world.run(Duration::from_secs(1));
    assert_eq!(world.actor(visitor).frames_seen(), seen, "seed {seed}: something came back by itself");
    let phase = world.actor(visitor).seat.share(Slot::Agent).map(|share| share.phase);
    assert_eq!(phase, Some(SharePhase::Empty), "seed {seed}");
    assert!(seen > 0, "seed {seed}: nothing was ever seen");
    (world.floors.grants() as u64, world.floors.takeovers())
}

#[test]
fn ten_thousand_interleavings_keep_one_holder_and_mix_nothing() {
    let (next, grants, takeovers) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= WORLDS {
                        return;
                    }
                    let (granted, taken) = live_through(seed);
                    grants.fetch_add(granted, Ordering::Relaxed);
                    takeovers.fetch_add(taken, Ordering::Relaxed);
                }
            });
        }
    });
    let (grants, takeovers) = (grants.into_inner(), takeovers.into_inner());
    println!("{} interleavings, {grants} grants, {takeovers} takeovers", WORLDS * ROUNDS);
    assert!(grants > WORLDS * ROUNDS && takeovers > WORLDS * ROUNDS / 4, "too tame to prove anything");
}
