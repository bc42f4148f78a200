//! The scenario `media`: one publisher and an audience of thousands, at any pair of WHIP and WHEP doors.
//!
//! The audience comes at a pace, part of it leaves and comes again, some of it loses packets or sits behind a bottleneck; every
//! packet is counted. The publisher is this process, too, so that latency is between two readings of one clock.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::clock;
use crate::latencies::Latencies;
use crate::raw::crowd::{Pace, gather};
use crate::raw::door::{Door, JoinError};
use crate::raw::process;
use crate::raw::simulcast::Layers;
use crate::raw::source::{Load, Pattern};
use crate::raw::swarm::{Member, Swarm};
use crate::raw::watcher::Manner;

mod doors;
mod results;

/// The generator is a suspect from this share of its core on.
const OWN_SHARE_MAX: f64 = 0.85;
/// An estimate has found its path when a subscriber has watched for so long; what happens before is not judged.
const SETTLED_US: u64 = 10_000_000;

/// What to do.
#[derive(Debug, Clone, Args)]
pub struct Media {
    /// File with the lines that `make target` prints; the other door options override it.
    #[arg(long)]
    pub target: Option<PathBuf>,
    #[arg(long)]
    pub whip: Option<String>,
    #[arg(long)]
    pub whep: Option<String>,
    #[arg(long)]
    pub publish_token: Option<String>,
    #[arg(long)]
    pub subscribe_token: Option<String>,
    /// Process of the server: its time and memory are counted.
    #[arg(long)]
    pub pid: Option<u32>,
    #[arg(long, default_value_t = 100)]
    pub subscribers: usize,
    /// Joins per second.
    #[arg(long, default_value_t = 100)]
    pub joins: u32,
    /// Subscribers that leave, and others that join, per second.
    #[arg(long, default_value_t = 0)]
    pub churn: usize,
    /// Seconds once everybody has joined.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Packets per second of the publisher.
    #[arg(long, default_value_t = 285)]
    pub rate: u32,
    #[arg(long, default_value_t = 1_100)]
    pub packet_bytes: usize,
    #[arg(long, value_enum, default_value = "groups")]
    pub arrivals: Pattern,
    /// Publish this picture in two or three encodings instead, as `150000,500000,1500000`: bits per second, the smallest first.
    #[arg(long, value_delimiter = ',')]
    pub layers: Vec<u64>,
    /// Percent of the audience that is impaired.
    #[arg(long, default_value_t = 100)]
    pub impaired: u32,
    /// Packets lost on the way to the impaired, as in `5%`; they ask again for what is missing.
    #[arg(long, value_parser = share, default_value = "0%")]
    pub loss: f64,
    /// Round trip that a repair takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub rtt: u64,
    /// Bottleneck of the impaired, in bits per second.
    #[arg(long, default_value_t = 0)]
    pub bottleneck: u64,
    /// Percent of the audience that gives transport-wide feedback.
    #[arg(long, default_value_t = 10)]
    pub feedback: u32,
    /// Core of this process.
    #[arg(long)]
    pub core: Option<usize>,
    /// Folder for `media.json` and `media.html`.
    #[arg(long, default_value = "target/loadtest")]
    pub out: PathBuf,
    /// Fail above this share of packets not delivered, repairs included, as in `0.1%`.
    #[arg(long, value_parser = share)]
    pub max_loss: Option<f64>,
    /// Fail above this 99th percentile of the time until a packet reaches its subscriber's socket, as in `5ms`.
    #[arg(long, value_parser = span)]
    pub max_p99: Option<Duration>,
    /// Fail above this 99th percentile of the time until the subscriber has seen it.
    #[arg(long, value_parser = span)]
    pub max_seen_p99: Option<Duration>,
    /// Fail when a joiner waits longer for its first frame.
    #[arg(long, value_parser = span)]
    pub max_first_frame: Option<Duration>,
    /// Fail when an impaired subscriber's picture stands still for longer.
    #[arg(long, value_parser = span)]
    pub max_stall: Option<Duration>,
    /// Fail when a smaller share of the packets lost on the way was repaired, as in `99%`.
    #[arg(long, value_parser = share)]
    pub min_recovery: Option<f64>,
    /// Fail when a subscriber's encoding changes more often in ten seconds, the first ten of it aside.
    #[arg(long)]
    pub max_switches_per_10s: Option<usize>,
    /// Fail when the impaired get less of their bottleneck's rate in the second half of the run, as in `30%`.
    #[arg(long, value_parser = share)]
    pub min_carried: Option<f64>,
    /// Fail above this much time of the server per packet, as in `1500ns`.
    #[arg(long, value_parser = span)]
    pub max_cpu: Option<Duration>,
}

fn share(text: &str) -> Result<f64, String> {
    let (number, divisor) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    number.parse().map(|value: f64| value / divisor).map_err(|_| format!("{text} is no share such as 0.1%"))
}

fn span(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return Err(format!("{text} is no time such as 5ms")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text} is no time such as 5ms"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

/// One second of the run.
#[derive(Debug, Clone, Default, Serialize)]
struct Second {
    at_s: f64,
    subscribers: usize,
    packets: u64,
    p50_us: u32,
    p99_us: u32,
    seen_p99_us: u32,
    server_share: f64,
    own_share: f64,
    resident_bytes: u64,
}

/// Everything that was counted.
#[derive(Debug, Default)]
struct Tally {
    seconds: Vec<Second>,
    /// Until a packet reached its socket, and until it was seen.
    arrived: Latencies,
    seen: Latencies,
    first_frames: Latencies,
    sent: u64,
    late: u64,
    delivered: u64,
    expected: u64,
    lost: u64,
    repeated: u64,
    repaired: u64,
    taken: u64,
    overflowed: u64,
    asked: u64,
    sealed: u64,
    wishes: usize,
    stall_us_max: u64,
    without_frame: usize,
    switches: usize,
    /// The most of one subscriber within ten seconds.
    switches_most: usize,
    /// Changes of encoding without a keyframe.
    keyless: usize,
    /// Of those behind a bottleneck: the share of its rate that each got in the second half.
    carried: Vec<f64>,
    /// Resident bytes before the audience came, and once it was there.
    resident: (u64, u64),
    cpu: Duration,
    cpu_packets: u64,
    own_share_max: f64,
}

struct Run<'a> {
    what: &'a Media,
    swarm: Swarm,
    whep: Door,
    pid: Option<u32>,
    source: usize,
    /// Numbers of those who watch, oldest first.
    audience: std::collections::VecDeque<usize>,
    joined: usize,
    began: std::time::Instant,
    last: (std::time::Instant, Option<Duration>, Duration, u64),
    tally: Tally,
}

/// Runs it; returns the thresholds that were missed, in words.
///
/// # Errors
/// [`JoinError`] when a client cannot join.
pub fn run(what: &Media) -> Result<Vec<String>, JoinError> {
    process::raise_open_files();
    if let Some(core) = what.core {
        process::pin(0, core)?;
    }
    let doors = doors::find(what)?;
    let mut swarm = Swarm::new()?;
    let load = Load { pattern: what.arrivals, packets_per_second: what.rate, packet_bytes: what.packet_bytes };
    let layers = Layers::new(&what.layers);
    let published = gather(&mut swarm, 1, Pace::default(), |_| match layers.count() {
        0 => doors.whip.publish(load, false),
        _ => doors.whip.publish_simulcast(layers),
    })?;
    let source = published.first().copied().unwrap_or_default();
    swarm.run(clock::now() + Duration::from_secs(1), None)?;
    let now = clock::now();
    let mut run = Run {
        what,
        swarm,
        whep: doors.whep,
        pid: doors.pid,
        source,
        audience: std::collections::VecDeque::new(),
        joined: 0,
        began: now,
        last: (now, doors.pid.and_then(process::cpu_time), process::own_cpu_time(), 0),
        tally: Tally::default(),
    };
    run.tally.resident.0 = run.resident();
    run.arrive()?;
    run.tally.resident.1 = run.resident();
    run.stay()?;
    run.go_home()?;
    results::finish(what, &run.tally)
}

impl Run<'_> {
    /// Everybody joins at the pace that was asked for.
    fn arrive(&mut self) -> Result<(), JoinError> {
        while self.audience.len() < self.what.subscribers {
            let count = (self.what.joins.max(1) as usize).min(self.what.subscribers - self.audience.len());
            self.join(count)?;
            self.note_second();
        }
        Ok(())
    }

    fn join(&mut self, count: usize) -> Result<(), JoinError> {
        let (first, what, whep) = (self.joined, self.what, &self.whep);
        let pace = Pace { workers: 16, per_second: what.joins };
        let newcomers = gather(&mut self.swarm, count, pace, |number| whep.watch(manner(what, first + number)))?;
        self.joined += count;
        self.audience.extend(newcomers);
        Ok(())
    }

    fn stay(&mut self) -> Result<(), JoinError> {
        for _ in 0..self.what.seconds {
            let until = clock::now() + Duration::from_secs(1);
            if self.what.churn > 0 {
                for _ in 0..self.what.churn.min(self.audience.len()) {
                    let Some(mut member) = self.audience.pop_front().and_then(|at| self.swarm.remove(at)) else {
                        break;
                    };
                    if let Some(resource) = member.resource.take() {
                        // The run does not wait for it; a server that has forgotten the resource says so to nobody.
                        std::thread::spawn(move || drop(resource.leave()));
                    }
                    self.leave(member);
                }
                self.join(self.what.churn)?;
            }
            self.swarm.run(until, None)?;
            self.note_second();
        }
        Ok(())
    }

    /// The publisher falls silent, what is under way arrives, and everybody is asked what they saw.
    fn go_home(&mut self) -> Result<(), JoinError> {
        if let Some(publisher) = self.swarm.member(self.source).and_then(Member::publisher) {
            publisher.stop(clock::now());
            (self.tally.sent, self.tally.late, self.tally.wishes) = publisher.counts();
        }
        let now_us = clock::now_us();
        self.swarm.watchers().for_each(|watcher| watcher.viewing.finish(now_us));
        let patience = Duration::from_millis(300 + 4 * self.what.rtt);
        self.swarm.run(clock::now() + patience, None)?;
        self.note_second();
        while let Some(member) = self.audience.pop_front().and_then(|at| self.swarm.remove(at)) {
            self.leave(member);
        }
        // Its slot is free at once; the audience's places end with their DTLS.
        let publisher = self.swarm.remove(self.source).and_then(|member| member.resource);
        publisher.map_or(Ok(0), |resource| resource.leave())?;
        Ok(())
    }

    fn leave(&mut self, mut member: Member) {
        let Some(watcher) = member.watcher() else { return };
        let tally = &mut self.tally;
        for stream in &watcher.streams {
            tally.expected += stream.expected();
            tally.delivered += stream.received;
            tally.lost += stream.lost();
            tally.repeated += stream.repeated;
            tally.repaired += stream.repaired();
        }
        tally.taken += watcher.taken;
        tally.overflowed += watcher.overflowed;
        tally.asked += watcher.asked;
        tally.sealed += watcher.sealed;
        tally.arrived.merge(std::mem::take(&mut watcher.arrived_after_us));
        tally.seen.merge(std::mem::take(&mut watcher.seen_after_us));
        let viewing = &watcher.viewing;
        match viewing.first_us {
            Some(at) => tally.first_frames.note(at.saturating_sub(watcher.began_us)),
            None => tally.without_frame += 1,
        }
        tally.stall_us_max = tally.stall_us_max.max(viewing.gap_us_max);
        tally.switches += viewing.switches.len();
        let settled_us = viewing.first_us.unwrap_or_default() + SETTLED_US;
        tally.switches_most = tally.switches_most.max(viewing.most_switches(settled_us));
        tally.keyless += viewing.keyless().len();
        if watcher.manner.bottleneck > 0 {
            // The last second is not a whole one.
            let whole = watcher.carried.get(..watcher.carried.len().saturating_sub(1)).unwrap_or_default();
            let half = whole.get(whole.len() / 2..).unwrap_or_default();
            let mean = half.iter().sum::<u64>() as f64 * 8.0 / half.len().max(1) as f64;
            tally.carried.push(mean / watcher.manner.bottleneck as f64);
        }
    }

    fn resident(&self) -> u64 {
        self.pid.and_then(process::resident).unwrap_or_default()
    }

    fn note_second(&mut self) {
        let now = clock::now();
        let (before, cpu_before, own_before, delivered_before) = self.last;
        let cpu = self.pid.and_then(process::cpu_time);
        let own = process::own_cpu_time();
        let wall = now.saturating_duration_since(before).as_secs_f64().max(1e-6);
        let (mut arrived, mut seen) = (Latencies::default(), Latencies::default());
        let mut delivered = self.tally.delivered;
        for at in &self.audience {
            let Some(watcher) = self.swarm.member(*at).and_then(Member::watcher) else { continue };
            delivered += watcher.counts().0;
            arrived.merge(std::mem::take(&mut watcher.arrived_after_us));
            seen.merge(std::mem::take(&mut watcher.seen_after_us));
        }
        let (summary, seen_p99_us) = (arrived.summary(), seen.summary().p99);
        self.tally.arrived.merge(arrived.into_samples());
        self.tally.seen.merge(seen.into_samples());
        let packets = delivered.saturating_sub(delivered_before);
        let used = cpu.zip(cpu_before).map(|(now, before)| now.saturating_sub(before)).unwrap_or_default();
        self.tally.cpu += used;
        self.tally.cpu_packets += packets;
        let own_share = own.saturating_sub(own_before).as_secs_f64() / wall;
        self.tally.own_share_max = self.tally.own_share_max.max(own_share);
        let line = Second {
            at_s: now.saturating_duration_since(self.began).as_secs_f64(),
            subscribers: self.audience.len(),
            packets: (packets as f64 / wall) as u64,
            p50_us: summary.p50,
            p99_us: summary.p99,
            seen_p99_us,
            server_share: used.as_secs_f64() / wall,
            own_share,
            resident_bytes: self.resident(),
        };
        results::progress(&line);
        self.tally.seconds.push(line);
        self.last = (now, cpu, own, delivered);
    }
}

/// How the `number`-th of the audience behaves.
fn manner(what: &Media, number: usize) -> Manner {
    let in_share = |percent: u32| number * 37 % 100 < percent as usize;
    let feedback = in_share(what.feedback) || what.bottleneck > 0;
    if !in_share(what.impaired) || (what.loss == 0.0 && what.bottleneck == 0) {
        return Manner { feedback, ..Manner::default() };
    }
    let round_trip = Duration::from_millis(what.rtt);
    Manner { sample: 1, feedback, nack: true, loss: what.loss, round_trip, bottleneck: what.bottleneck }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_read_as_they_are_written() {
        assert_eq!((share("0.1%"), share("0.5")), (Ok(0.001), Ok(0.5)));
        assert_eq!((span("5ms"), span("1.5s")), (Ok(Duration::from_millis(5)), Ok(Duration::from_millis(1_500))));
        assert!(share("much").is_err() && span("5").is_err() && span("ms").is_err());
    }
}
