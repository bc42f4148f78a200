//! A visitor's page at several agents, on every carrier and backend: equal after every storm, and after a page load.

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::clock;
use fanlight_loadtest::latencies::Latencies;
use fanlight_loadtest::mirror::Applied;
use fanlight_loadtest::seat::Received;

use crate::house::{BACKENDS, House, say};
use crate::scene::Scene;

const CHANGES: usize = 200;

async fn story(backend: &str, kind: Kind) {
    let mut house = House::open(backend, "");
    let mut scene = Scene::open(&house, kind, 2, 300_000).await;
    let mut latencies = Latencies::default();
    for nth in 0..CHANGES {
        scene.change(if nth % 50 == 49 { 60_000 } else { 400 }).await;
        for agent in &mut scene.agents {
            loop {
                if let Received::Page(Applied::Diff { at_us }) = agent.next().await.expect("a sound stream") {
                    latencies.note(clock::now_us().saturating_sub(at_us));
                    break;
                }
            }
        }
    }
    scene.assert_equal().await;
    // Another page: another epoch, and nothing of the old one after it.
    scene.page.load_another();
    let snapshot = scene.page.snapshot(clock::now_us());
    scene.visitor.send(snapshot).await.expect("open");
    scene.change(1_000).await;
    scene.assert_equal().await;
    for agent in &scene.agents {
        assert_eq!(agent.seat().mirror().snapshots(), 2, "one for each page");
    }
    let changes = house.until_metric("fanlight_dom_frames_total", "direction=\"out\",kind=\"diff\"", |n| n > 0.0).await;
    assert_eq!(house.metric("fanlight_resyncs_total", "").await, 0.0, "nobody was slow");
    assert!(changes >= (CHANGES * 2) as f64, "{changes} frames of changes went out");
    house.assert_quiet().await;
    say(&format!("page over {kind:?} on {backend}: change → agent {}", latencies.summary()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_websocket() {
    for backend in BACKENDS {
        story(backend, Kind::WebSocket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_webtransport() {
    for backend in BACKENDS {
        story(backend, Kind::WebTransport).await;
    }
}
