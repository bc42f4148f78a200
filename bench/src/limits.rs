//! Where a server ends: the most packets per second without loss, latency at half a core, the cost of many sessions, memory,
//! and a storm of joins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanlight_loadtest::clock;
use fanlight_loadtest::raw::crowd::{Pace, gather};
use fanlight_loadtest::raw::door::JoinError;
use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::source::Pattern;
use fanlight_loadtest::raw::swarm::Swarm;
use fanlight_loadtest::raw::watcher;

use crate::fanout::{Manner, PACKETS_PER_SECOND, Server, shape_name};
use crate::measure::{Target, Window};
use crate::relay::{Relay, Room, watch};
use crate::report::{Figure, Report};

/// Loss below which a rate counts as carried.
const LOSS_MAX: f64 = 0.001;
/// Late departures beyond which the arrivals are no longer what they should be.
const LATE_SHARE_MAX: f64 = 0.2;
/// Windows of a search.
const PROBE: Duration = Duration::from_secs(1);
/// Subscribers over which memory is measured.
const SLOPE: usize = 500;
/// Joins of the storm, and how fast they come.
const STORM: usize = 500;
const STORM_PER_SECOND: u32 = 300;
/// How long it is a storm: that many joins at that pace.
const STORM_US: u64 = STORM as u64 * 1_000_000 / STORM_PER_SECOND as u64;
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// The most packets per second out at 1 → 100 with loss below 0.1 %.
///
/// # Errors
/// [`JoinError`].
pub fn ceiling(
    report: &mut Report,
    manner: Manner,
    server: &Server,
    pattern: Pattern,
    target: Option<f64>,
) -> Result<(), JoinError> {
    let mut swarm = Swarm::new()?;
    let subscribers = 100;
    let under_test = server.open(&mut swarm, manner, (1, subscribers))?;
    under_test.arrange(&mut swarm, pattern);
    // A rate is carried when one of two windows is: a hiccup of the machine is not the server's limit.
    let carried = |swarm: &mut Swarm, rate: u32| -> Result<(bool, Window), JoinError> {
        let fits = |window: &Window| window.loss < LOSS_MAX && window.late_share < LATE_SHARE_MAX;
        let first = under_test.window(swarm, rate, PROBE)?;
        let window = if fits(&first) { first } else { under_test.window(swarm, rate, PROBE)? };
        Ok((fits(&window), window))
    };
    let (mut good, mut bad, mut best) = (0, None, Window::default());
    let mut rate = 500;
    while rate < 40_000 {
        let (fits, window) = carried(&mut swarm, rate)?;
        if !fits {
            bad = Some(rate);
            break;
        }
        (good, best) = (rate, window);
        rate = rate * 3 / 2;
    }
    let mut too_much = bad.unwrap_or(rate);
    for _ in 0..4 {
        let middle = good.midpoint(too_much);
        let (fits, window) = carried(&mut swarm, middle)?;
        if fits { (good, best) = (middle, window) } else { too_much = middle }
    }
    let name = format!("most packets/s out, 1 → {subscribers}, {}, {}", pattern.name(), under_test.name);
    let note = format!(
        "{:.3} µs per packet, server at {:.0} % of its core, generator at {:.0} % of its own{}",
        best.us_per_packet,
        best.server_share * 100.0,
        best.own_share * 100.0,
        if best.own_share > 0.85 && best.server_share < 0.9 { ", which is what limits" } else { "" }
    );
    report.figure(Figure::least(name, best.packets_per_second, "packets/s", target).noting(note));
    Ok(())
}

/// Latency at half a core, 1 → 100 evenly spaced.
///
/// # Errors
/// [`JoinError`].
pub fn latency(report: &mut Report, manner: Manner, server: &Server) -> Result<(), JoinError> {
    let mut swarm = Swarm::new()?;
    let under_test = server.open(&mut swarm, manner, (1, 100))?;
    under_test.arrange(&mut swarm, Pattern::Groups);
    let mut rate = 1_000;
    for _ in 0..3 {
        // What the cost is at a rate says at which rate half of the core is used; the cost falls as the rate rises.
        let window = under_test.window(&mut swarm, rate, PROBE)?;
        let next = f64::from(rate) * 0.5 / window.server_share.max(0.01);
        rate = next.clamp(285.0, 20_000.0) as u32;
    }
    let window = under_test.window(&mut swarm, rate, Duration::from_secs(5))?;
    let at = format!(
        "{} packets/s out, server at {:.0} % of its core, generator at {:.0} %",
        window.packets_per_second as u64,
        window.server_share * 100.0,
        window.own_share * 100.0
    );
    let name = |what: &str| format!("{what} at half a core, {}", under_test.name);
    report.figure(Figure::most(name("p50"), f64::from(window.p50_us), "µs", None).noting(at));
    let seen = format!("{} µs until seen, the generator's own delay included", window.seen_p99_us);
    report.figure(Figure::most(name("p99"), f64::from(window.p99_us), "µs", Some(1_000.0)).noting(seen));
    report.figure(Figure::most(name("largest over median p99 of a subscriber"), window.spread, "", Some(2.0)));
    Ok(())
}

/// Cost per packet with a thousand sessions over that with ten.
///
/// # Errors
/// [`JoinError`].
pub fn sessions(report: &mut Report, manner: Manner, backend: &'static str, many: usize) -> Result<(), JoinError> {
    let mut swarm = Swarm::new()?;
    let server = Server::Relay(backend);
    let few = server.open(&mut swarm, manner, (10, 1))?;
    let crowd = server.open(&mut swarm, manner, (many, 1))?;
    // A third of the usual rate, so that a thousand publishers fit the generator's core.
    let rate = PACKETS_PER_SECOND / 3;
    let mut costs = (Vec::new(), Vec::new());
    for _ in 0..manner.rounds {
        costs.0.push(few.window(&mut swarm, rate, manner.length)?);
        costs.1.push(crowd.window(&mut swarm, rate, manner.length)?);
    }
    let (few, crowd) = (crate::measure::median(costs.0), crate::measure::median(costs.1));
    let note =
        |window: &Window| format!("{:.0} packets/s, loss {:.3} %", window.packets_per_second, window.loss * 100.0);
    for (count, window) in [(10, &few), (many, &crowd)] {
        let name = format!("cost per packet, {}, {backend}", shape_name((count, 1)));
        report.figure(Figure::most(name, window.us_per_packet, "µs", None).noting(note(window)));
    }
    let ratio = crowd.us_per_packet / few.us_per_packet.max(1e-9);
    report.figure(Figure::most(format!("the same, {many} over 10 sessions"), ratio, "", Some(1.25)));
    Ok(())
}

/// Resident memory per subscriber of one track, and per session of one to one.
///
/// # Errors
/// [`JoinError`].
pub fn memory(report: &mut Report, manner: Manner, backend: &'static str) -> Result<(), JoinError> {
    let mut swarm = Swarm::new()?;
    let relay = Relay::start(manner.core, backend)?;
    let rooms = relay.rooms(1)?;
    let mut few = relay.join_rooms(&mut swarm, &rooms, 50, manner.load())?;
    let before = settled(&mut swarm, &few)?;
    few.watchers.extend(watch(&mut swarm, &rooms, SLOPE)?);
    let subscriber = (settled(&mut swarm, &few)? - before) / SLOPE as f64 / 1_000.0;
    report.figure(Figure::most(format!("memory per subscriber, {backend}"), subscriber, "kB", Some(60.0)));
    drop(relay);

    let mut swarm = Swarm::new()?;
    let relay = Relay::start(manner.core, backend)?;
    let mut few = relay.join_rooms(&mut swarm, &relay.rooms(50)?, 1, manner.load())?;
    let before = settled(&mut swarm, &few)?;
    let mut more = relay.join_rooms(&mut swarm, &relay.rooms(SLOPE)?, 1, manner.load())?;
    few.sources.append(&mut more.sources);
    few.watchers.append(&mut more.watchers);
    let session = (settled(&mut swarm, &few)? - before) / SLOPE as f64 / 1_000.0;
    report.figure(Figure::most(format!("memory per session of 1 → 1, {backend}"), session, "kB", Some(250.0)));
    Ok(())
}

/// Resident bytes once media has flowed to everybody.
fn settled(swarm: &mut Swarm, target: &Target) -> Result<f64, JoinError> {
    target.window(swarm, PACKETS_PER_SECOND / 3, Duration::from_secs(3))?;
    Ok(process::resident(target.pid).unwrap_or_default() as f64)
}

/// Five hundred joins within two seconds on a live track that a hundred watch. Who joins and who watches are threads of
/// their own, so that those who watch do not wait for five hundred handshakes of this process.
///
/// # Errors
/// [`JoinError`].
pub fn storm(report: &mut Report, manner: Manner, backend: &'static str) -> Result<(), JoinError> {
    let mut swarm = Swarm::new()?;
    let relay = Relay::start(manner.core, backend)?;
    let rooms = vec![relay.room()?];
    let live = relay.join_rooms(&mut swarm, &rooms, 100, manner.load())?;
    let calm = live.window(&mut swarm, PACKETS_PER_SECOND, Duration::from_secs(3))?;
    live.pace(&mut swarm, PACKETS_PER_SECOND);
    swarm.run(clock::now() + Duration::from_secs(1), None)?;
    forget(&mut swarm, &live);
    let began_us = clock::now_us();
    let room = rooms.first().ok_or(JoinError::Http)?;
    let crowd = Crowd::default();
    let (found, joined) = std::thread::scope(|scope| {
        let joining = scope.spawn(|| crowd.join(room));
        let is_over = || joining.is_finished() || crowd.is_there.load(Ordering::Acquire);
        let found = weather(&mut swarm, &live, began_us, is_over);
        // Whatever was found: nobody waits for ever.
        crowd.may_go.store(true, Ordering::Release);
        (found, joining.join().map_err(|_| JoinError::Absent(STORM)))
    });
    let (Weather { arrived, seen, after, share }, joined) = (found?, joined??);
    let (wishes, closest_ms) = wishes(&mut swarm, &live, began_us);
    live.pace(&mut swarm, 0);
    let name = |what: &str| format!("join storm: {what}, {backend}");
    report.figure(Figure::most(name("time for 500 joins"), joined.took_s, "s", Some(2.0)));
    report.figure(Figure::most(name("slowest first frame after its request"), joined.slowest_s, "s", Some(1.0)));
    report.figure(Figure::most(name("joiners without a frame"), f64::from(joined.without), "", Some(0.0)));
    let spacing = Figure::least(name("least time between keyframe requests upstream"), closest_ms, "ms", Some(500.0));
    report.figure(spacing.noting(format!("{wishes} requests")));
    let rise = |during: u32, before: u32| f64::from(during) / f64::from(before.max(1));
    let note = format!("{} µs before, {arrived} µs during; server at {:.0} % of its core", calm.p99_us, share * 100.0);
    let figure = rise(arrived, calm.p99_us);
    report.figure(Figure::most(name("p99 of those who watched, over that before"), figure, "", Some(2.0)).noting(note));
    let note =
        format!("{after} µs with all of them there and nobody joining: the last of a fan-out waits for the others");
    let figure = rise(arrived, after);
    report.figure(Figure::most(name("the same over that after"), figure, "", None).noting(note));
    let note = format!("{} µs before, {seen} µs during; the generator's own delay included", calm.seen_p99_us);
    let figure = rise(seen, calm.seen_p99_us);
    report.figure(Figure::most(name("the same until seen"), figure, "", None).noting(note));
    Ok(())
}

/// What those who watched felt: p99 during the storm, on arrival and until seen, and on arrival afterwards; and the share of
/// its core that the server used.
struct Weather {
    arrived: u32,
    seen: u32,
    after: u32,
    share: f64,
}

fn weather(swarm: &mut Swarm, live: &Target, began_us: u64, is_over: impl Fn() -> bool) -> Result<Weather, JoinError> {
    let used = (process::cpu_time(live.pid), clock::now());
    let mut during = None;
    while !is_over() {
        swarm.run(clock::now() + LOOK, None)?;
        // Figures are those of the storm itself; what comes after it is calm again.
        if clock::now_us() >= began_us + STORM_US && during.is_none() {
            during = Some((live.tail(swarm), storm_share(live.pid, used)));
        }
    }
    let ((arrived, seen), share) = during.unwrap_or_else(|| (live.tail(swarm), storm_share(live.pid, used)));
    swarm.run(clock::now() + Duration::from_secs(1), None)?;
    forget(swarm, live);
    swarm.run(clock::now() + Duration::from_secs(3), None)?;
    Ok(Weather { arrived, seen, after: live.tail(swarm).0, share })
}

/// What the joiners of a storm have found.
struct Joined {
    took_s: f64,
    /// The longest time from a request to the first frame.
    slowest_s: f64,
    without: u32,
}

/// Those who join at once, on a thread of their own.
#[derive(Default)]
struct Crowd {
    is_there: AtomicBool,
    may_go: AtomicBool,
}

impl Crowd {
    fn join(&self, room: &Room) -> Result<Joined, JoinError> {
        let mut swarm = Swarm::new()?;
        let began_us = clock::now_us();
        let pace = Pace { workers: 16, per_second: STORM_PER_SECOND };
        let joined = gather(&mut swarm, STORM, pace, |_| room.whep.watch(watcher::Manner::default()))?;
        let took_s = (clock::now_us() - began_us) as f64 / 1e6;
        self.is_there.store(true, Ordering::Release);
        while !self.may_go.load(Ordering::Acquire) {
            swarm.run(clock::now() + LOOK, None)?;
        }
        let mut all = Joined { took_s, slowest_s: 0.0, without: 0 };
        for at in joined {
            let Some(watcher) = swarm.member(at).and_then(|member| member.watcher()) else { continue };
            match watcher.viewing.first_us {
                Some(first_us) => all.slowest_s = all.slowest_s.max((first_us - watcher.began_us) as f64 / 1e6),
                None => all.without += 1,
            }
        }
        Ok(all)
    }
}

/// Share of its core that the server has used since then.
fn storm_share(pid: u32, (cpu, since): (Option<Duration>, std::time::Instant)) -> f64 {
    let used = process::cpu_time(pid).zip(cpu).map(|(now, before)| now.saturating_sub(before)).unwrap_or_default();
    used.as_secs_f64() / clock::now().saturating_duration_since(since).as_secs_f64().max(1e-6)
}

fn forget(swarm: &mut Swarm, target: &Target) {
    for at in &target.watchers {
        if let Some(watcher) = swarm.member(*at).and_then(|member| member.watcher()) {
            watcher.restart();
        }
    }
}

/// Requests since `began_us`, and the least time between two of them in milliseconds.
fn wishes(swarm: &mut Swarm, target: &Target, began_us: u64) -> (usize, f64) {
    let (mut count, mut closest) = (0, f64::INFINITY);
    for at in &target.sources {
        let Some(source) = swarm.member(*at).and_then(|member| member.source()) else { continue };
        let since: Vec<u64> = source.wishes().iter().copied().filter(|at| *at >= began_us).collect();
        count += since.len();
        let gaps = since.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?));
        closest = gaps.map(|us| us as f64 / 1_000.0).fold(closest, f64::min);
    }
    // One request, or none, is as far apart as can be.
    (count, closest.min(60_000.0))
}
