//! Hostile input at full rate from strangers and insiders while a session goes on: no panic, no leak, and those who
//! behave notice nothing.
//!
//! `HOSTILE_SECONDS` says for how long on each backend (60 without it).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::latencies::{Latencies, Summary};
use fanlight_loadtest::media::Path;
use fanlight_loadtest::sockets::LOOPBACK;
use fanlight_wire::signal::{SharePhase, Slot};
use tokio::task::JoinSet;

use crate::flood::{self, Corpus, OpenSocket, Tally};
use crate::garble;
use crate::house::{House, say};
use crate::intruders::Insider;
use crate::media::{look, screen};
use crate::scene::{Pace, Scene};

const PACE: Pace = Pace { interval: Duration::from_millis(50), change_bytes: 800 };
const PROGRESS: Duration = Duration::from_secs(5);
/// What sessions, connections and their buffers of the attackers may hold at a time.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Media packets that may be missing at the end, per thousand.
const LOST_PER_MILLE_MAX: u64 = 5;

fn seconds() -> u64 {
    std::env::var("HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Everybody who means harm.
struct Attack {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    tasks: JoinSet<()>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Attack {
    async fn begin(house: &House) -> Self {
        let (udp, tcp) = flood::open_sockets(house.pid());
        let ports = |sockets: &[OpenSocket]| sockets.iter().map(|socket| socket.port).collect::<Vec<_>>();
        let (udp, tcp) = (ports(&udp), ports(&tcp));
        assert!(udp.len() >= 4 && tcp.len() >= 4, "media and QUIC of two shards, doors: {udp:?} {tcp:?}");
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let corpus = Arc::new(Corpus::gather().await);
        let mut tasks = JoinSet::new();
        let insider = Insider {
            door: house.door(),
            operator: house.operator.clone(),
            token: house.operator_token(),
            tally: Arc::clone(&tally),
            corpus: Arc::clone(&corpus),
            stop: Arc::clone(&stop),
        };
        for seed in 0..2 {
            tasks.spawn(flood::connections(seed, tcp.clone(), Arc::clone(&tally), Arc::clone(&stop)));
        }
        tasks.spawn(insider.clone().frames(3));
        tasks.spawn(garble::messages(insider.clone(), 6));
        tasks.spawn(garble::streams(insider.clone(), 7));
        tasks.spawn(insider.media(4));
        let flood = {
            let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
            std::thread::spawn(move || flood::datagrams(5, &udp, &corpus, &tally, &stop))
        };
        Self { stop, tally, tasks, threads: vec![flood] }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        for thread in self.threads {
            thread.join().expect("it only sends");
        }
    }
}

/// Those who behave: a visitor with a page and a screen, two agents who see both.
async fn live(house: &House) -> Scene {
    let mut scene = Scene::open(house, Kind::WebSocket, 2, 50_000).await;
    scene.visitor.connect_media(Path::Udp, LOOPBACK).await.expect("media of the visitor");
    for agent in &mut scene.agents {
        agent.connect_media(Path::Udp, LOOPBACK).await.expect("media of an agent");
    }
    scene.invite_visitor().await;
    scene.visitor.media().expect("connected").publish(screen(1));
    for agent in &mut scene.agents {
        agent.see_share(Slot::Visitor, |share| share.phase == SharePhase::Live).await.expect("a live share");
    }
    scene
}

/// What the agents have received of the screen: how late, how much, how much of it is missing.
fn received(scene: &Scene) -> (Summary, u64, u64) {
    let (mut packets, mut lost, mut media) = (0, 0, Latencies::default());
    for agent in &scene.agents {
        let seen = look(agent, |watch| (watch.packets(), watch.lost(), watch.take_latencies()));
        let (seen, missing, late) = seen.expect("it has seen packets");
        packets += seen;
        lost += missing;
        media.merge(late);
        assert_eq!(agent.seat().resyncs(), 0, "an agent that behaves was given up");
    }
    (media.summary(), packets, lost)
}

async fn story(backend: &str) {
    let mut house = House::open(backend, "");
    let mut scene = live(&house).await;
    let calm = scene.go_on(PACE, PROGRESS).await.summary();
    let descriptors = house.descriptors();

    let attack = Attack::begin(&house).await;
    let (mut latencies, mut before, mut first) = (Latencies::default(), [0; 5], 0);
    let steps = seconds().div_ceil(PROGRESS.as_secs()).max(2);
    for step in 1..=steps {
        latencies.merge(scene.go_on(PACE, PROGRESS).await.into_samples());
        assert!(house.is_alive(), "the process has ended\n{}", house.log());
        let now = attack.tally.counts();
        let [datagrams, connections, inside, frames, rounds] =
            std::array::from_fn(|nth| (now[nth] - before[nth]) / PROGRESS.as_secs());
        let resident = house.resident_bytes();
        // The attackers' sessions and buffers have been made by then.
        if step == 2 {
            first = resident;
        }
        say(&format!(
            "{backend} {:>3} s: {datagrams} datagrams/s and {connections} connections/s from strangers, {inside} datagrams/s \
             and {frames} frames/s from insiders, {rounds} rounds/s; relay {} KiB",
            step * PROGRESS.as_secs(),
            resident / 1024
        ));
        before = now;
    }
    let grown = house.resident_bytes().saturating_sub(first);
    let totals = attack.tally.counts();
    attack.end().await;
    // After the storm: retransmissions arrive, and newcomers are served.
    scene.go_on(PACE, Duration::from_secs(1)).await;
    let (media, packets, lost) = received(&scene);
    let unread: u64 = flood::open_sockets(house.pid()).0.iter().map(|socket| socket.dropped).sum();
    // What the attackers opened is closed, and their sessions are over.
    house.until_metric("fanlight_sessions", "", |count| count <= 1.0).await;
    house.until("file descriptors are given back", |house| house.descriptors() <= descriptors + 2).await;
    let handshakes = house.metric("fanlight_srtp_handshakes_total", "aes_gcm").await;
    assert!(handshakes > 3.0, "no insider's media was ever connected");
    drop(Scene::open(&house, Kind::WebTransport, 1, 5_000).await);
    let warnings = house.log().lines().filter(|line| line.contains(" WARN ")).count() as u64;
    let [datagrams, connections, inside, frames, rounds] = totals;
    say(&format!(
        "hostile input on {backend}: {datagrams} + {inside} datagrams, {connections} connections, {frames} frames, {rounds} sessions \
         attacked from within\n  page before: {calm}\n  page beside: {}\n  media beside: {media}, {lost} of {packets} packets lost\n  \
         relay grown by {} KiB after the first {} s; the kernel dropped {unread} datagrams before the relay read them; \
         {warnings} warnings in the log",
        latencies.summary(),
        grown / 1024,
        2 * PROGRESS.as_secs()
    ));
    assert!(totals.iter().all(|count| *count > 0), "an attacker did nothing: {totals:?}");
    assert!(warnings <= seconds(), "{warnings} warnings: attackers must not fill a disk\n{}", house.log());
    assert!(grown <= GROWTH_BYTES_MAX, "the relay grew by {grown} bytes");
    assert!(lost * 1_000 <= packets * LOST_PER_MILLE_MAX, "{lost} of {packets} media packets were lost");
    house.assert_sound().await;
}

// G-20, G-25
#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_on_io_uring() {
    story("io_uring").await;
}

// G-20, G-25
#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_on_mmsg() {
    story("mmsg").await;
}
