//! Screens in both directions, over UDP and over TCP (RFC 6544), on both backends: unbroken numbering, nothing foreign,
//! AES-GCM on both ends.

use std::time::Duration;

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::client::Client;
use fanlight_loadtest::clock;
use fanlight_loadtest::latencies::Latencies;
use fanlight_loadtest::media::{Path, Publication, Watch};
use fanlight_loadtest::sockets::LOOPBACK;
use fanlight_wire::signal::{SharePhase, Slot};
use tokio::time::sleep;

use crate::house::{BACKENDS, House, say};
use crate::scene::Scene;

/// A share as a browser would send one.
pub(crate) const fn screen(share: u32) -> Publication {
    Publication { share, frames_per_second: 30, packets_per_frame: 4, packet_bytes: 1_100 }
}

const FRAMES: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `client` has `count` whole frames of the other side's share.
async fn frames(client: &Client, count: u64) {
    let until = clock::now() + PATIENCE;
    loop {
        let seen = look(client, |watch| watch.frames().0).unwrap_or_default();
        if seen >= count {
            return;
        }
        assert!(clock::now() < until, "{seen} of {count} frames arrived");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What `client` has received, once it has received anything.
pub(crate) fn look<T>(client: &Client, act: impl FnOnce(&mut Watch) -> T) -> Option<T> {
    client.media()?.with(|peer| peer.watch_mut().map(act))
}

fn assert_whole(client: &Client, share: u32, latencies: &mut Latencies) {
    let (runs, rest, late) = look(client, |watch| {
        let runs: Vec<_> = watch.runs().copied().collect();
        (runs, (watch.lost(), watch.backwards(), watch.foreign()), watch.take_latencies())
    })
    .expect("it has seen packets");
    assert_eq!(rest, (0, 0, 0), "lost, backwards in time, foreign");
    let [run] = runs.as_slice() else { panic!("one share, one run: {runs:?}") };
    assert!(run.share == share && run.from_key, "it begins with a keyframe: {run:?}");
    latencies.merge(late);
}

async fn story(backend: &str, path: Path) {
    let mut house = House::open(backend, "");
    let mut scene = Scene::open(&house, Kind::WebSocket, 2, 20_000).await;
    scene.visitor.connect_media(path, LOOPBACK).await.expect("media of the visitor");
    for agent in &mut scene.agents {
        agent.connect_media(path, LOOPBACK).await.expect("media of an agent");
    }
    let gcm = house.until_metric("fanlight_srtp_handshakes_total", "aes_gcm", |count| count >= 3.0).await;
    assert_eq!((gcm, house.metric("fanlight_srtp_handshakes_total", "other").await), (3.0, 0.0));
    let mut latencies = Latencies::default();

    scene.invite_visitor().await;
    scene.visitor.media().expect("connected").publish(screen(1));
    for agent in &mut scene.agents {
        agent.see_share(Slot::Visitor, |share| share.phase == SharePhase::Live).await.expect("a live share");
        frames(agent, FRAMES).await;
        assert_whole(agent, 1, &mut latencies);
    }

    let sharer = scene.agents.first_mut().expect("an agent");
    sharer.start_share(None).await.expect("open");
    let own = sharer.seat().id();
    sharer.see_share(Slot::Agent, |share| share.holder == Some(own)).await.expect("the slot");
    sharer.media().expect("connected").publish(screen(2));
    scene.visitor.see_share(Slot::Agent, |share| share.phase == SharePhase::Live).await.expect("a live share");
    frames(&scene.visitor, FRAMES).await;
    assert_whole(&scene.visitor, 2, &mut latencies);

    house.assert_quiet().await;
    say(&format!("media over {path:?} on {backend}: sender → receiver {}", latencies.summary()));
}

#[tokio::test(flavor = "multi_thread")]
async fn screens_over_udp() {
    for backend in BACKENDS {
        story(backend, Path::Udp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn screens_over_tcp() {
    for backend in BACKENDS {
        story(backend, Path::Tcp).await;
    }
}
