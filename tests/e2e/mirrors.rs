//! An audience that is too large for one shard: half of it is served by another, and nobody can tell.

use std::time::Duration;

use fanlight_loadtest::clock;
use fanlight_loadtest::raw::crowd::{Pace, gather};
use fanlight_loadtest::raw::door::Door;
use fanlight_loadtest::raw::source::{Load, Pattern};
use fanlight_loadtest::raw::swarm::Swarm;
use fanlight_loadtest::raw::watcher::Manner;

use crate::house::{BACKENDS, House, say};
use crate::interop::Target;

const VIEWERS: usize = 8;
const LOAD: Load = Load { pattern: Pattern::Groups, packets_per_second: 200, packet_bytes: 1_000 };
/// A publisher is asked for a keyframe no more often (`limits::KEYFRAME_REQUEST_INTERVAL`), measured where it arrives.
const APART_US: u64 = 450_000;

/// What a publisher and its viewers have seen.
#[derive(Debug)]
struct Seen {
    frames: Vec<u64>,
    lost: u64,
    wishes: Vec<u64>,
    doors: Vec<Door>,
}

/// Eight viewers come in two waves, watch, and report.
fn watch(publish: &Door, subscribe: &Door) -> Seen {
    let mut swarm = Swarm::new().expect("an epoll");
    let pace = Pace { workers: 2, per_second: 0 };
    gather(&mut swarm, 1, pace, |_| publish.publish(LOAD, true)).expect("a publisher");
    for _ in 0..2 {
        let manner = Manner { sample: 1, feedback: true, nack: true, ..Manner::default() };
        gather(&mut swarm, VIEWERS / 2, pace, |_| subscribe.watch(manner)).expect("viewers");
        swarm.run(clock::now() + Duration::from_secs(2), None).expect("it runs");
    }
    let frames = swarm.watchers().map(|watcher| watcher.viewing.frames).collect();
    let lost = swarm.watchers().map(|watcher| watcher.counts().1).sum();
    let wishes = swarm.sources().flat_map(|source| source.wishes().to_vec()).collect();
    let doors = swarm.members().filter_map(|member| member.resource.clone()).collect();
    Seen { frames, lost, wishes, doors }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_audience_is_served_by_two_shards() {
    // P20
    for backend in BACKENDS {
        let mut house = House::open(backend, "[limits]\nviewers_per_shard = 3\n");
        let Target { whip, whep, publish, subscribe } = Target::of(&house).await;
        let (publish, subscribe) =
            (Door { url: whip, token: Some(publish) }, Door { url: whep, token: Some(subscribe) });
        let seen = tokio::task::spawn_blocking(move || watch(&publish, &subscribe)).await.expect("no panic");

        assert_eq!(seen.frames.len(), VIEWERS);
        // The second wave came two seconds later: at twenty frames a second it has seen forty, less what joining took.
        assert!(seen.frames.iter().all(|frames| *frames >= 30), "{:?}", seen.frames);
        assert_eq!(seen.lost, 0);
        assert!(
            seen.wishes.windows(2).all(|pair| pair[1] - pair[0] >= APART_US),
            "one request for both shards: {:?}",
            seen.wishes
        );

        let mirrors = house.until_metric("fanlight_mirrors", "", |count| count == 1.0).await;
        let viewers = house.until_metric("fanlight_media_resources", "whep", |count| count == VIEWERS as f64).await;
        let [out, lost, taken] = mirrored(&house).await;
        assert!(taken > 100.0 && lost == 0.0 && out == taken, "{out} out, {lost} lost, {taken} in");

        for door in seen.doors {
            let status = tokio::task::spawn_blocking(move || door.leave()).await.expect("no panic");
            assert_eq!(status.expect("an answer"), 200, "each is found where it is");
        }
        house.until_metric("fanlight_media_resources", "", |count| count == 0.0).await;
        house.until_metric("fanlight_mirrors", "", |count| count == 0.0).await;
        house.assert_quiet().await;
        say(&format!("{viewers} viewers, {mirrors} mirror, {taken} packets mirrored on {backend}"));
    }
}

/// Counts of mirrored packets once they have come to rest.
async fn mirrored(house: &House) -> [f64; 3] {
    let ways = ["out", "lost", "in"];
    let mut before = [-1.0; 3];
    loop {
        let mut now = [0.0; 3];
        for (value, way) in now.iter_mut().zip(ways) {
            *value = house.metric("fanlight_mirrored_packets_total", &format!("\"{way}\"")).await;
        }
        if now == before {
            return now;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}
