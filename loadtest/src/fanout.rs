//! The first scenario: one visitor's page, and screen if wanted, to many agents in sessions of at most eight.
//!
//! Every agent verifies what it gets (the page's hash chain, gap-free numbering) while it measures; a wrong byte ends the
//! run. Latency is from the visitor's send to the agent's receive, both in this process, on one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use fanlight_wire::policy::Role;
use fanlight_wire::signal::{SharePhase, Slot, ToRelay};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::carrier::{Connect, Kind};
use crate::client::{Client, ClientError, Door, Visit, Way};
use crate::clock;
use crate::http;
use crate::latencies::Latencies;
use crate::media::{Path, Publication};
use crate::mirror::Applied;
use crate::seat::Received;
use crate::sockets::LOOPBACK;
use crate::trace::{Beat, Trace};

/// Agents of one session, as the demo's policy allows.
const AGENTS_PER_SESSION: usize = 8;

/// What to do.
#[derive(Debug, Clone, Args)]
pub struct Fanout {
    /// The relay's public door.
    #[arg(long, default_value = "http://127.0.0.1:7700")]
    pub url: String,
    /// The relay's operator door, which mints the agents' tickets.
    #[arg(long, default_value = "http://127.0.0.1:7780")]
    pub operator: String,
    /// File with the operator's token.
    #[arg(long, default_value = "data/operator.token")]
    pub token_file: std::path::PathBuf,
    /// The group whose sessions are made.
    #[arg(long, default_value = "demo")]
    pub group: String,
    #[arg(long, default_value_t = 8)]
    pub agents: usize,
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    #[arg(long, value_enum, default_value = "websocket")]
    pub carrier: Kind,
    /// Changes of each page per second.
    #[arg(long, default_value_t = 20)]
    pub changes: u64,
    /// Ballast of each change, in bytes.
    #[arg(long, default_value_t = 400)]
    pub change_bytes: usize,
    /// Bytes of each first snapshot.
    #[arg(long, default_value_t = 200_000)]
    pub snapshot_bytes: usize,
    /// Replay this recording of a real page with its timing (`loadtest/record.mjs` makes one), over and over; `dom` has one of
    /// its own.
    #[arg(long)]
    pub trace: Option<std::path::PathBuf>,
    /// Set by the scenario `dom`.
    #[arg(skip)]
    pub recorded: bool,
    /// Share the visitor's screen, too, at this many frames per second.
    #[arg(long, default_value_t = 0)]
    pub frames: u32,
    /// Media over TCP.
    #[arg(long)]
    pub tcp: bool,
    /// Fail when p99 of the page is above this many milliseconds.
    #[arg(long)]
    pub page_p99_ms: Option<u32>,
    /// Fail when p99 of the media is above this many milliseconds.
    #[arg(long)]
    pub media_p99_ms: Option<u32>,
    /// Fail when more media packets than this per thousand are lost.
    #[arg(long)]
    pub lost_per_mille: Option<u64>,
}

/// What an agent came home with.
#[derive(Debug, Default)]
struct Harvest {
    page: Latencies,
    media: Latencies,
    diffs: u64,
    resyncs: u64,
    packets: u64,
    frames: u64,
    lost: u64,
}

/// What the progress line shows.
#[derive(Debug, Default)]
struct Progress {
    diffs: AtomicU64,
    packets: AtomicU64,
}

/// Runs it; returns the thresholds that were missed, in words.
///
/// # Errors
/// [`ClientError`] when a client breaks off.
pub async fn run(what: &Fanout) -> Result<Vec<String>, ClientError> {
    let token = std::fs::read_to_string(&what.token_file).unwrap_or_default();
    let minter = Minter { operator: what.operator.clone(), token: token.trim().to_owned() };
    let door = Door::new(what.url.clone());
    let (stop, stopped) = watch::channel(false);
    let progress = Arc::new(Progress::default());
    let (mut visitors, mut agents) = (JoinSet::new(), JoinSet::new());
    for first in (0..what.agents).step_by(AGENTS_PER_SESSION) {
        let count = AGENTS_PER_SESSION.min(what.agents - first);
        let visit = door.visit(&what.group).await?;
        let way = Way { door: &door, kind: what.carrier, connect: &visit.connect };
        let visitor = Client::join(&way, &visit.ticket).await?;
        for number in first..first + count {
            let ticket = minter.mint(&visit, &format!("load-{number}")).await?;
            let agent = agent(door.clone(), what.clone(), visit.connect.clone(), ticket, Arc::clone(&progress));
            agents.spawn(with_stop(agent, stopped.clone()));
        }
        visitors.spawn(visit_page(visitor, what.clone(), stopped.clone()));
    }
    say(&format!("{} agents in {} sessions over {:?}", what.agents, visitors.len(), what.carrier));
    show_progress(what.seconds, &progress).await;
    // The last changes arrive before the agents are called home.
    stop.send_replace(true);
    let mut harvest = Harvest::default();
    while let Some(home) = agents.join_next().await {
        gather(&mut harvest, home.unwrap_or(Err(ClientError::Late("an agent")))?);
    }
    while let Some(home) = visitors.join_next().await {
        home.unwrap_or(Err(ClientError::Late("a visitor")))?;
    }
    Ok(report(what, &harvest))
}

/// Mints agents' tickets at the operator door, so that no agent has to sign in.
#[derive(Debug)]
struct Minter {
    operator: String,
    token: String,
}

impl Minter {
    async fn mint(&self, visit: &Visit, name: &str) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Minted {
            ticket: String,
        }
        let body: Value = json!({ "session": visit.session, "role": Role::Agent, "name": name, "subject": name });
        let answer = http::call(&self.operator, "POST", "/v1/tickets", Some(&self.token), Some(&body)).await?;
        let minted: Minted = serde_json::from_value(answer)?;
        Ok(minted.ticket)
    }
}

/// The visitor: agrees to everybody, shows a page, changes it, shares a screen if wanted.
async fn visit_page(mut visitor: Client, what: Fanout, mut stopped: watch::Receiver<bool>) -> Result<(), ClientError> {
    visitor.agree().await?;
    let trace =
        if what.recorded { Some(Trace::load(what.trace.as_deref()).map_err(ClientError::Trace)?) } else { None };
    let snapshot_bytes = trace.as_ref().map_or(what.snapshot_bytes, |trace| trace.snapshot_bytes);
    let mut page = visitor.show_page(fastrand::u64(..), snapshot_bytes).await?;
    if what.frames > 0 {
        visitor.connect_media(path(&what), LOOPBACK).await?;
    }
    let now = tokio::time::Instant::from_std(clock::now());
    let mut beat = match &trace {
        Some(trace) => Beat::recorded(now, trace, Duration::from_millis(fastrand::u64(0..60_000))),
        None => Beat::even(now, what.changes, what.change_bytes),
    };
    loop {
        tokio::select! {
            _ = stopped.changed() => return end(&mut visitor).await,
            bytes = beat.next() => {
                let frames = page.change(bytes, clock::now_us());
                visitor.send(frames).await?;
            }
            received = visitor.next() => {
                received?;
                react(&mut visitor, &mut page, &what).await?;
            }
        }
    }
}

/// Ends the session, so that nothing of the run is left on the relay.
async fn end(visitor: &mut Client) -> Result<(), ClientError> {
    visitor.tell(&ToRelay::End).await?;
    let closed = async { while visitor.next().await.is_ok() {} };
    timeout(Duration::from_secs(5), closed).await.map_err(|_| ClientError::Late("the end"))
}

async fn react(visitor: &mut Client, page: &mut crate::page::Page, what: &Fanout) -> Result<(), ClientError> {
    while let Some(ask) = visitor.seat_mut().asks.pop_front() {
        visitor.tell(&ToRelay::Consent { ask, accept: true }).await?;
    }
    if std::mem::take(&mut visitor.seat_mut().snapshots_wanted) > 0 {
        visitor.send(page.snapshot(clock::now_us())).await?;
    }
    while let Some(grant) = visitor.seat_mut().grants.pop_front() {
        visitor.tell(&ToRelay::ShareAccept { grant }).await?;
        visitor.start_share(Some(grant)).await?;
        if let Some(media) = visitor.media() {
            let share =
                Publication { share: 1, frames_per_second: what.frames, packets_per_frame: 4, packet_bytes: 1_100 };
            media.publish(share);
        }
    }
    Ok(())
}

/// An agent until it is stopped.
async fn with_stop(
    agent: impl Future<Output = Result<Agent, ClientError>>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Harvest, ClientError> {
    let mut agent = agent.await?;
    loop {
        tokio::select! {
            _ = stopped.changed() => return Ok(agent.home()),
            received = agent.client.next() => agent.note(&received?),
            () = sleep(Duration::from_millis(500)) => {}
        }
        agent.count_media();
    }
}

struct Agent {
    client: Client,
    harvest: Harvest,
    progress: Arc<Progress>,
}

async fn agent(
    door: Door,
    what: Fanout,
    connect: Connect,
    ticket: String,
    progress: Arc<Progress>,
) -> Result<Agent, ClientError> {
    let way = Way { door: &door, kind: what.carrier, connect: &connect };
    let mut client = Client::join(&way, &ticket).await?;
    client.follow("the page", |seat| seat.mirror().state().is_some()).await?;
    if what.frames > 0 {
        client.connect_media(path(&what), LOOPBACK).await?;
        let empty = client.seat().share(Slot::Visitor).is_none_or(|share| share.phase == SharePhase::Empty);
        if empty {
            // Several ask at once; the visitor answers the first, the others are told what is shared.
            client.tell(&ToRelay::ShareInvite).await?;
        }
    }
    Ok(Agent { client, harvest: Harvest::default(), progress })
}

impl Agent {
    fn note(&mut self, received: &Received) {
        if let Received::Page(Applied::Diff { at_us }) = received {
            self.harvest.page.note(clock::now_us().saturating_sub(*at_us));
            self.harvest.diffs += 1;
            self.progress.diffs.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_media(&mut self) {
        let Some(media) = self.client.media() else { return };
        let before = self.harvest.packets;
        let seen = media.with(|peer| {
            let watch = peer.watch_mut()?;
            Some((watch.take_latencies(), watch.packets(), watch.frames().0, watch.lost()))
        });
        let Some((latencies, packets, frames, lost)) = seen else { return };
        self.harvest.media.merge(latencies);
        (self.harvest.packets, self.harvest.frames, self.harvest.lost) = (packets, frames, lost);
        self.progress.packets.fetch_add(packets - before, Ordering::Relaxed);
    }

    fn home(mut self) -> Harvest {
        self.count_media();
        self.harvest.resyncs = self.client.seat().resyncs().into();
        self.harvest
    }
}

const fn path(what: &Fanout) -> Path {
    if what.tcp { Path::Tcp } else { Path::Udp }
}

fn gather(all: &mut Harvest, one: Harvest) {
    let Harvest { page, media, diffs, resyncs, packets, frames, lost } = one;
    all.page.merge(page.into_samples());
    all.media.merge(media.into_samples());
    all.diffs += diffs;
    all.resyncs += resyncs;
    all.packets += packets;
    all.frames += frames;
    all.lost += lost;
}

async fn show_progress(seconds: u64, progress: &Progress) {
    let mut before = (0, 0);
    for second in 1..=seconds {
        sleep(Duration::from_secs(1)).await;
        let now = (progress.diffs.load(Ordering::Relaxed), progress.packets.load(Ordering::Relaxed));
        let (diffs, packets) = (now.0 - before.0, now.1 - before.1);
        say(&format!("{second:>4}/{seconds} s  {diffs:>8} changes/s  {packets:>8} packets/s delivered"));
        before = now;
    }
}

fn report(what: &Fanout, harvest: &Harvest) -> Vec<String> {
    let (page, media) = (harvest.page.summary(), harvest.media.summary());
    say(&format!("page   {page}; {} changes delivered, {} resyncs", harvest.diffs, harvest.resyncs));
    let mut missed = Vec::new();
    let mut at_most = |name: &str, have: u64, most: Option<u64>| {
        if let Some(most) = most.filter(|most| have > *most) {
            missed.push(format!("{name} is {have}, at most {most} was asked for"));
        }
    };
    if what.frames > 0 {
        let per_mille = harvest.lost * 1_000 / harvest.packets.max(1);
        say(&format!("media  {media}; {} packets, {} frames, {} lost", harvest.packets, harvest.frames, harvest.lost));
        at_most("media p99 in microseconds", media.p99.into(), what.media_p99_ms.map(|ms| u64::from(ms) * 1_000));
        at_most("lost media packets per mille", per_mille, what.lost_per_mille);
        at_most("agents without media", u64::from(harvest.packets == 0), Some(0));
    }
    at_most("page p99 in microseconds", page.p99.into(), what.page_p99_ms.map(|ms| u64::from(ms) * 1_000));
    at_most("agents without a page", u64::from(harvest.diffs == 0), Some(0));
    missed
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn say(line: &str) {
    println!("{line}");
}
