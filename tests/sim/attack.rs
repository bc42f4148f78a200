//! Strangers at the media port. They know the port, may see what passes, and cannot sign: they get no byte and change
//! nothing (promises G-20, G-22, G-25).

use std::net::SocketAddr;
use std::time::Duration;

use fanlight_tests::{Who, World};
use fanlight_wire::report::Drop;
use fanlight_wire::signal::{SharePhase, Slot};

use crate::screen::meeting;

/// Races of a stranger against a real client.
const RACES: u64 = 1_000;
/// Forged datagrams for each millisecond of a handshake.
const FORGED_PER_MS: usize = 10;

fn stranger(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 66, 0, 6], 6_000 + number))
}

const fn is_stun(payload: &[u8]) -> bool {
    matches!(payload, [0..=3, ..])
}

const fn is_dtls(payload: &[u8]) -> bool {
    matches!(payload, [20..=63, ..])
}

const fn is_media(payload: &[u8]) -> bool {
    matches!(payload, [128..=191, ..])
}

/// What passes on the wire while a client connects: its checks and its side of the DTLS handshake.
fn overheard_handshake() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut world = World::new(500);
    world.overheard = Some(Vec::new());
    meeting(&mut world, 1);
    let all = world.overheard.take().expect("was listening");
    let of = |kind: fn(&[u8]) -> bool| -> Vec<Vec<u8>> {
        all.iter().map(|datagram| datagram.payload.clone()).filter(|payload| kind(payload)).collect()
    };
    (of(is_stun), of(is_dtls))
}

/// Datagrams that were dropped because their address had proven nothing.
fn unvalidated(world: &mut World) -> u64 {
    let at = Drop::ALL.iter().position(|reason| *reason == Drop::Unvalidated).expect("a reason");
    world.engine().totals().drops[at]
}

/// Everybody is admitted; media is not set up yet.
fn lobby(seed: u64, agents: usize) -> (World, Vec<Who>) {
    let mut world = World::new(seed);
    world.visitor();
    let agents: Vec<Who> = (0..agents).map(|number| world.agent(&format!("agent{number}"))).collect();
    world.until("everybody to be let in", |world| {
        agents.iter().all(|agent| world.actor(*agent).seat.mirror().state().is_some())
    });
    (world, agents)
}

#[test]
fn a_strangers_client_hello_is_never_answered_and_never_in_the_way() {
    // G-20: the stranger speaks first, a hundred times as often, from many ports.
    let (checks, hellos) = overheard_handshake();
    let mut random = fastrand::Rng::with_seed(501);
    let per_world = 8;
    for seed in 0..RACES / per_world {
        let (mut world, agents) = lobby(600 + seed, per_world as usize);
        for agent in agents {
            world.offer_media(agent);
            let mut waited = 0;
            while !world.actor(agent).has_media() {
                for _ in 0..FORGED_PER_MS {
                    let source = stranger(random.u16(..50));
                    let forged = if random.bool() { &hellos } else { &checks };
                    world.inject(source, &forged[random.usize(..forged.len())]);
                }
                world.run(Duration::from_millis(1));
                waited += 1;
                assert!(waited < 2_000, "seed {}: the real client does not get through", world.seed);
            }
        }
        assert!(world.strays.is_empty(), "seed {}: answered {:?}", world.seed, world.strays);
    }
}

#[test]
fn a_damaged_check_is_met_with_silence() {
    // G-22: no 400, no 401; whoever cannot sign learns nothing, not even that somebody is there.
    let mut world = World::new(502);
    world.overheard = Some(Vec::new());
    meeting(&mut world, 1);
    let checks: Vec<_> = world.overheard.take().expect("was listening").into_iter().map(|d| d.payload).collect();
    let mut random = fastrand::Rng::with_seed(503);
    let (before, mut injected) = (unvalidated(&mut world), 0);
    for check in checks.iter().filter(|payload| is_stun(payload)).take(20) {
        for _ in 0..200 {
            let mut damaged = check.clone();
            // The signature itself: the last attributes are MESSAGE-INTEGRITY (24 bytes) and FINGERPRINT (8 bytes).
            let at = damaged.len() - 8 - 1 - random.usize(..20);
            damaged[at] ^= 1 << random.u32(..8);
            world.inject(stranger(0), &damaged);
            injected += 1;
        }
    }
    world.run(Duration::from_secs(1));
    assert_eq!(unvalidated(&mut world) - before, injected);
    world.check();
}

#[test]
fn media_from_a_stranger_goes_nowhere_and_moves_nothing() {
    // G-25: real, current packets of the sharer, sent again from elsewhere before the originals arrive.
    let mut world = World::new(504);
    let (visitor, agents) = meeting(&mut world, 2);
    world.share(agents[0], None);
    world.until("the share to go live", |world| {
        world.actor(visitor).seat.share(Slot::Agent).is_some_and(|share| share.phase == SharePhase::Live)
    });
    // A stranger who cannot sign gets no further by knocking.
    for check in overheard_handshake().0 {
        world.inject(stranger(1), &check);
    }
    let refused = unvalidated(&mut world);
    let mut forged = 0;
    for _ in 0..100 {
        world.overheard = Some(Vec::new());
        world.run(Duration::from_millis(20));
        for datagram in world.overheard.take().expect("was listening") {
            if is_media(&datagram.payload) {
                world.inject(stranger(1), &datagram.payload);
                forged += 1;
            }
        }
    }
    assert!(forged > 100, "only {forged} packets were forged");
    assert_eq!(unvalidated(&mut world) - refused, forged, "each was dropped, and counted as what it is");
    world.run(Duration::from_millis(500));
    let seen = world.actor(visitor).frames_seen();
    assert!(seen >= 45, "the real ones arrive: {seen} frames");
    let watch = world.actor_mut(visitor).peer().watch().expect("media arrived");
    assert_eq!((watch.lost(), watch.repeated()), (0, 0), "and nothing else does");
    world.check();
}

#[test]
fn noise_at_the_media_port_harms_nobody() {
    let mut world = World::new(505);
    let (visitor, agents) = meeting(&mut world, 1);
    world.share(agents[0], None);
    let mut random = fastrand::Rng::with_seed(506);
    for _ in 0..200 {
        for _ in 0..50 {
            let noise: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
            // From strangers, and from the very address of a participant.
            let from = if random.bool() { stranger(random.u16(..50_000)) } else { world.address(agents[0]) };
            world.inject(from, &noise);
        }
        world.run(Duration::from_millis(10));
    }
    let seen = world.actor(visitor).frames_seen();
    assert!(seen >= 30, "{seen} frames in two seconds");
    world.check();
}
