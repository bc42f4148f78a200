//! The scenarios `fanout` and `dom`: visitors' pages, and screens if wanted, to many agents in sessions of at most eight.
//!
//! Every agent verifies what it gets (the page's hash chain, gap-free numbering) while it measures; a wrong byte ends the
//! run. Latency is from the visitor's send to the agent's receive, both in this process, on one clock. Agents may come at a
//! pace, leave and be replaced, and some may read slowly: those are counted apart, because the question is what the others
//! notice of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use fanlight_wire::policy::Role;
use fanlight_wire::signal::{SharePhase, Slot, ToRelay};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

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
/// Time for the relay to close the carrier of an agent that leaves.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

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
    /// Seconds once everybody has joined.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Agents that join per second; 0 for as fast as they go.
    #[arg(long, default_value_t = 0)]
    pub joins: u64,
    /// Agents that leave, and others that join in their place, per second.
    #[arg(long, default_value_t = 0)]
    pub churn: usize,
    /// Percent of the agents that read slowly once they have the page.
    #[arg(long, default_value_t = 0)]
    pub slow: usize,
    /// Frames that a slow agent reads per second; 0: none at all.
    #[arg(long, default_value_t = 0)]
    pub slow_reads: u64,
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
    /// Fail when p99 of the page is above this many milliseconds, for the agents that are not slow.
    #[arg(long)]
    pub page_p99_ms: Option<u32>,
    /// Fail when an agent that is not slow had to begin again from the snapshot more often than this, all of them together.
    #[arg(long)]
    pub max_resyncs: Option<u64>,
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
    /// It read slowly.
    slow: bool,
    /// The relay has closed its carrier, with this code.
    cut: Option<u16>,
}

/// What all agents came home with: those that read as they should, and the slow ones.
#[derive(Debug, Default)]
struct Totals {
    brisk: Harvest,
    slow: Harvest,
    slow_count: usize,
    cut_count: usize,
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
    let progress = Arc::new(Progress::default());
    let door = Door::new(what.url.clone());
    let crowd = Crowd { what: what.clone(), minter, door, progress, visits: Vec::new(), names: 0 };
    let mut crowd = Present { crowd, places: VecDeque::new(), totals: Totals::default() };
    let (stop, stopped) = watch::channel(false);
    let mut visitors = JoinSet::new();
    let mut pace = interval(Duration::from_secs(1) / u32::try_from(what.joins.max(1)).unwrap_or(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for first in (0..what.agents).step_by(AGENTS_PER_SESSION) {
        let visit = crowd.crowd.door.visit(&what.group).await?;
        let way = Way { door: &crowd.crowd.door, kind: what.carrier, connect: &visit.connect };
        let visitor = Client::join(&way, &visit.ticket).await?;
        visitors.spawn(visit_page(visitor, what.clone(), stopped.clone()));
        crowd.crowd.visits.push(visit);
        for _ in 0..AGENTS_PER_SESSION.min(what.agents - first) {
            if what.joins > 0 {
                pace.tick().await;
            }
            crowd.enter(crowd.crowd.visits.len() - 1).await?;
        }
    }
    say(&format!("{} agents in {} sessions over {:?}", what.agents, visitors.len(), what.carrier));
    crowd.stay().await?;
    let totals = crowd.go_home().await?;
    stop.send_replace(true);
    while let Some(home) = visitors.join_next().await {
        home.unwrap_or(Err(ClientError::Late("a visitor")))?;
    }
    Ok(report(what, &totals))
}

/// Those who are there, and those who have gone.
struct Present {
    crowd: Crowd,
    /// Oldest first.
    places: VecDeque<Place>,
    totals: Totals,
}

/// An agent's, in one of the sessions.
struct Place {
    session: usize,
    stop: watch::Sender<bool>,
    agent: JoinHandle<Result<Harvest, ClientError>>,
}

impl Present {
    async fn enter(&mut self, session: usize) -> Result<(), ClientError> {
        let (stop, stopped) = watch::channel(false);
        let agent = tokio::spawn(with_stop(self.crowd.agent(session).await?, stopped));
        self.places.push_back(Place { session, stop, agent });
        Ok(())
    }

    /// Lets the seconds pass; some leave and others come.
    async fn stay(&mut self) -> Result<(), ClientError> {
        let (what, mut before) = (self.crowd.what.clone(), (0, 0));
        for second in 1..=what.seconds {
            sleep(Duration::from_secs(1)).await;
            let progress = &self.crowd.progress;
            let now = (progress.diffs.load(Ordering::Relaxed), progress.packets.load(Ordering::Relaxed));
            let (diffs, packets) = (now.0 - before.0, now.1 - before.1);
            let seconds = what.seconds;
            say(&format!("{second:>4}/{seconds} s  {diffs:>8} changes/s  {packets:>8} packets/s delivered"));
            before = now;
            for _ in 0..what.churn.min(self.places.len()) {
                let Some(place) = self.places.pop_front() else { break };
                place.stop.send_replace(true);
                // Its place is another's only once it has left.
                self.totals.gather(place.agent.await.unwrap_or(Err(ClientError::Late("an agent")))?);
                self.enter(place.session).await?;
            }
        }
        Ok(())
    }

    async fn go_home(mut self) -> Result<Totals, ClientError> {
        for place in &self.places {
            place.stop.send_replace(true);
        }
        for place in std::mem::take(&mut self.places) {
            self.totals.gather(place.agent.await.unwrap_or(Err(ClientError::Late("an agent")))?);
        }
        Ok(self.totals)
    }
}

/// Where agents come from.
struct Crowd {
    what: Fanout,
    minter: Minter,
    door: Door,
    progress: Arc<Progress>,
    visits: Vec<Visit>,
    /// Agents that have come.
    names: usize,
}

impl Crowd {
    /// The next agent of a session, on its way.
    async fn agent(
        &mut self,
        session: usize,
    ) -> Result<impl Future<Output = Result<Agent, ClientError>> + use<>, ClientError> {
        let visit = self.visits.get(session).ok_or(ClientError::Late("a session"))?;
        let ticket = self.minter.mint(visit, &format!("load-{}", self.names)).await?;
        let slow = self.names * 37 % 100 < self.what.slow;
        self.names += 1;
        let (door, what, progress) = (self.door.clone(), self.what.clone(), Arc::clone(&self.progress));
        Ok(agent(door, what, visit.connect.clone(), ticket, progress, slow))
    }
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
    let now = Instant::from_std(clock::now());
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
        visitor.tell(&ask.agree()).await?;
    }
    if std::mem::take(&mut visitor.seat_mut().snapshots_wanted) > 0 {
        visitor.send(page.snapshot(clock::now_us())).await?;
    }
    while let Some(invited) = visitor.seat_mut().grants.pop_front() {
        let grant = invited.number;
        visitor.tell(&invited.accept()).await?;
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
        // Whoever does not read leaves everything in the transport.
        let read_at = agent.next_read;
        tokio::select! {
            _ = stopped.changed() => break,
            received = async {
                match read_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
                agent.client.next().await
            } => match received {
                // A relay may part with an agent that does not keep up, and with no other.
                Err(ClientError::Closed(code)) if agent.harvest.slow => {
                    agent.harvest.cut = Some(code.unwrap_or_default());
                    agent.next_read = None;
                }
                received => agent.note(&received?),
            },
            () = sleep(Duration::from_millis(500)) => {}
        }
        agent.count_media();
    }
    Ok(agent.home().await)
}

struct Agent {
    client: Client,
    harvest: Harvest,
    progress: Arc<Progress>,
    /// When it had the page.
    since_us: u64,
    /// Time between two reads; `None` when there is to be no further one.
    between: Option<Duration>,
    next_read: Option<Instant>,
}

async fn agent(
    door: Door,
    what: Fanout,
    connect: Connect,
    ticket: String,
    progress: Arc<Progress>,
    slow: bool,
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
    let between = match (slow, u32::try_from(what.slow_reads).unwrap_or(u32::MAX)) {
        (false, _) => Some(Duration::ZERO),
        (true, 0) => None,
        (true, reads) => Some(Duration::from_secs(1) / reads),
    };
    let next_read = between.map(|_| Instant::from_std(clock::now()));
    let (harvest, since_us) = (Harvest { slow, ..Harvest::default() }, clock::now_us());
    Ok(Agent { client, harvest, progress, since_us, between, next_read })
}

impl Agent {
    fn note(&mut self, received: &Received) {
        if let Received::Page(Applied::Diff { at_us }) = received {
            // What happened before it came is history that it was given, not something that took so long.
            if *at_us >= self.since_us {
                self.harvest.page.note(clock::now_us().saturating_sub(*at_us));
            }
            self.harvest.diffs += 1;
            self.progress.diffs.fetch_add(1, Ordering::Relaxed);
        }
        let between = self.between.filter(|between| !between.is_zero());
        self.next_read = between.map(|between| Instant::from_std(clock::now()) + between).or(self.next_read);
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

    async fn home(mut self) -> Harvest {
        self.count_media();
        // Its place is free once the relay has closed; whoever was cut off has none, and what comes until then is not counted.
        if self.client.tell(&ToRelay::Leave).await.is_ok() {
            let closed = async { while self.client.next().await.is_ok() {} };
            drop(timeout(GOODBYE_MAX, closed).await);
        }
        self.harvest.resyncs = self.client.seat().resyncs().into();
        self.harvest
    }
}

const fn path(what: &Fanout) -> Path {
    if what.tcp { Path::Tcp } else { Path::Udp }
}

impl Totals {
    fn gather(&mut self, one: Harvest) {
        let Harvest { page, media, diffs, resyncs, packets, frames, lost, slow, cut } = one;
        self.slow_count += usize::from(slow);
        self.cut_count += usize::from(cut.is_some());
        let all = if slow { &mut self.slow } else { &mut self.brisk };
        all.page.merge(page.into_samples());
        all.media.merge(media.into_samples());
        all.diffs += diffs;
        all.resyncs += resyncs;
        all.packets += packets;
        all.frames += frames;
        all.lost += lost;
    }
}

fn report(what: &Fanout, totals: &Totals) -> Vec<String> {
    let Totals { brisk: harvest, slow, slow_count, cut_count } = totals;
    let (page, media) = (harvest.page.summary(), harvest.media.summary());
    say(&format!("page   {page}; {} changes delivered, {} resyncs", harvest.diffs, harvest.resyncs));
    if *slow_count > 0 {
        say(&format!(
            "slow   {}; {slow_count} agents, {} changes delivered, {} resyncs, {cut_count} cut off",
            slow.page.summary(),
            slow.diffs,
            slow.resyncs
        ));
    }
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
    at_most("resyncs of agents that are not slow", harvest.resyncs, what.max_resyncs);
    at_most("agents without a page", u64::from(harvest.diffs == 0), Some(0));
    missed
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn say(line: &str) {
    println!("{line}");
}
