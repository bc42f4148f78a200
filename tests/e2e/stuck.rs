//! An agent whose reads stop for half a minute: nobody else waits, the relay's memory stays bounded, and on its return
//! the agent gets the whole page again.

use std::time::Duration;

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::clock;
use tokio::time::timeout;

use crate::house::{BACKENDS, House, say};
use crate::scene::{Pace, Scene};

/// 25 changes of 40 000 bytes each second: past the ring's bound within seconds, and past what sockets hold.
const PACE: Pace = Pace { interval: Duration::from_millis(40), change_bytes: CHANGE_BYTES };
const CHANGE_BYTES: usize = 40_000;
const SNAPSHOT_BYTES: usize = 300_000;
/// The page's log is full, and every buffer has its size, before memory is compared.
const WARM_UP: Duration = Duration::from_secs(8);
const CONTROL: Duration = Duration::from_secs(12);
const STUCK: Duration = Duration::from_secs(30);
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;
const RETURN_MAX: Duration = Duration::from_secs(10);

async fn story(backend: &str, kind: Kind) {
    let mut house = House::open(backend, "");
    let mut scene = Scene::open(&house, kind, 4, SNAPSHOT_BYTES).await;
    scene.go_on(PACE, WARM_UP).await;
    let control = scene.go_on(PACE, CONTROL).await.summary();
    let before = house.resident_bytes();

    let mut stuck = scene.agents.pop().expect("the fourth");
    let beside = scene.go_on(PACE, STUCK).await.summary();
    let after = house.resident_bytes();
    let resyncs = stuck.seat().resyncs();

    let state = scene.page.state();
    let began = clock::now();
    let catching_up = async {
        while stuck.seat().mirror().state() != Some(state) {
            tokio::select! {
                received = stuck.next() => drop(received.expect("a sound stream")),
                received = scene.visitor.next() => {
                    received.expect("a sound stream");
                    scene.photograph().await;
                }
            }
        }
    };
    timeout(RETURN_MAX, catching_up).await.expect("its page equals the visitor's again");
    let back_ms = clock::now().duration_since(began).as_millis();

    let growth = after.saturating_sub(before);
    say(&format!(
        "stuck agent over {kind:?} on {backend}: {CHANGE_BYTES} bytes every {:?} beside it\n  others before: {control}\n  \
         others beside: {beside}\n  relay {} KiB, grown by {} KiB; back and equal after {back_ms} ms",
        PACE.interval,
        after / 1024,
        growth / 1024
    ));
    assert!(stuck.seat().resyncs() > resyncs, "it was never behind; the test has not tested");
    assert!(growth <= GROWTH_BYTES_MAX, "the relay grew by {growth} bytes");
    // A relay that waits for the stuck agent makes the others wait for seconds; the rest is the machine's noise.
    assert!(beside.p99 <= control.p99 * 3 + 30_000, "the others waited: {beside} instead of {control}");
    house.assert_quiet().await;
}

// G-13
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_agent_over_websocket_delays_nobody() {
    story("auto", Kind::WebSocket).await;
}

// G-13. WebTransport runs on the shards, so each backend has its own way of doing it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_agent_over_webtransport_delays_nobody() {
    for backend in BACKENDS {
        story(backend, Kind::WebTransport).await;
    }
}
