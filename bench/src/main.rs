//! `fanlight-bench`: what fan-out costs on this machine, for the relay, for the floor under it, and for its peers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fanlight_bench::baseline;
use fanlight_bench::fanout::{Manner, Server, compare, shape_name};
use fanlight_bench::report::{Report, say};
use fanlight_bench::{floor, janus, limits};
use fanlight_loadtest::raw::door::{Door, JoinError};
use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::source::Pattern;

/// What fan-out costs on this machine.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The cheapest possible fan-out: no server logic at all.
    Floor(Conditions),
    /// The relay beside the floor; compared with the baseline.
    Fanout(Fanout),
    /// The relay's limits: rates, latency, sessions, memory, a storm of joins.
    Limits(Limits),
    /// The relay beside Janus and any server with WHIP and WHEP.
    Peers(Peers),
    /// The floor's own process; started by the other verbs.
    #[command(hide = true)]
    FloorServer,
}

/// What is the same for all runs.
#[derive(Debug, Clone, Args)]
struct Conditions {
    /// Core of the servers under test.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Core of the clients.
    #[arg(long, default_value_t = 1)]
    own_core: usize,
    /// Seconds of a window.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Windows per case; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Bursts leave their publisher as one train, as a network card with GRO would hand them over.
    #[arg(long)]
    trains: bool,
    /// Folder for results.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Debug, Clone, Args)]
struct Fanout {
    #[command(flatten)]
    conditions: Conditions,
    /// Make what is found the baseline.
    #[arg(long)]
    update_baseline: bool,
    /// Another baseline than the committed one.
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Only these numbers of subscribers.
    #[arg(long, value_delimiter = ',')]
    subscribers: Vec<usize>,
}

#[derive(Debug, Clone, Args)]
struct Limits {
    #[command(flatten)]
    conditions: Conditions,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Limit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Limit {
    Ceiling,
    Latency,
    Sessions,
    Memory,
    Storm,
}

#[derive(Debug, Clone, Args)]
struct Peers {
    #[command(flatten)]
    conditions: Conditions,
    /// A running server's door for publishers, for subscribers, the process to count, and a name for the table.
    #[arg(long, requires = "whep")]
    whip: Option<String>,
    #[arg(long, requires = "pid")]
    whep: Option<String>,
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long, default_value = "other")]
    name: String,
    /// Bearer tokens of the two doors.
    #[arg(long)]
    publish_token: Option<String>,
    #[arg(long)]
    subscribe_token: Option<String>,
}

const BACKENDS: [&str; 2] = ["io_uring", "mmsg"];
/// How often a case that looks worse is measured again, with servers started anew.
const SECOND_LOOKS: usize = 2;
const FEW: [Pattern; 2] = [Pattern::Bursts, Pattern::Even];

impl Conditions {
    fn begin(&self) -> Result<Manner, JoinError> {
        process::raise_open_files();
        process::pin(0, self.own_core)?;
        process::favour(0);
        let length = Duration::from_secs_f64(self.seconds.clamp(0.2, 600.0));
        Ok(Manner { core: self.core, length, rounds: self.rounds.max(1), join: self.trains })
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::FloorServer => floor::serve().map(|()| Vec::new()).map_err(JoinError::from),
        What::Floor(conditions) => run_floor(&conditions),
        What::Fanout(fanout) => run_fanout(&fanout),
        What::Limits(limits) => run_limits(&limits),
        What::Peers(peers) => run_peers(&peers),
    };
    match done {
        Ok(worse) if worse.is_empty() => ExitCode::SUCCESS,
        Ok(worse) => {
            worse.iter().for_each(|line| tell(&format!("worse: {line}")));
            ExitCode::FAILURE
        }
        Err(error) => {
            tell(&format!("the bench broke off: {error}"));
            ExitCode::from(69)
        }
    }
}

fn run_floor(conditions: &Conditions) -> Result<Vec<String>, JoinError> {
    let (manner, mut report) = (conditions.begin()?, Report::new());
    for shape in [(1, 1), (1, 10), (1, 100), (1, 400), (200, 3)] {
        compare(&mut report, manner, shape, &[], &Pattern::ALL)?;
    }
    finish(&report, &conditions.out, "floor")
}

fn run_fanout(fanout: &Fanout) -> Result<Vec<String>, JoinError> {
    let (manner, mut report) = (fanout.conditions.begin()?, Report::new());
    let servers = BACKENDS.map(Server::Relay);
    let wanted = if fanout.subscribers.is_empty() { vec![1, 10, 100, 400] } else { fanout.subscribers.clone() };
    let mut cases: Vec<((usize, usize), &[Pattern])> =
        wanted.into_iter().map(|subscribers| ((1, subscribers), Pattern::ALL.as_slice())).collect();
    if fanout.subscribers.is_empty() {
        cases.push(((200, 3), &[Pattern::Bursts]));
    }
    for (shape, patterns) in &cases {
        compare(&mut report, manner, *shape, &servers, patterns)?;
    }
    report.judge_floor();
    finish(&report, &fanout.conditions.out, "fanout")?;
    let path = fanout.baseline.clone().unwrap_or_else(baseline::path);
    if fanout.update_baseline {
        baseline::store(&path, &report)?;
        say(&format!("the baseline is {}", path.display()));
        return Ok(Vec::new());
    }
    let (before, mut found) = (baseline::load(&path)?, baseline::ratios(&report));
    for _ in 0..SECOND_LOOKS {
        let worse = baseline::worse(&before, &found);
        if worse.is_empty() {
            break;
        }
        say(&format!("worse than the baseline, measured once more: {}", worse.join("; ")));
        let mut again = Report::new();
        for (shape, patterns) in &cases {
            let is_worse = |pattern: &&Pattern| {
                let name = format!("{}, {},", shape_name(*shape), pattern.name());
                worse.iter().any(|key| key.starts_with(&name))
            };
            let patterns: Vec<Pattern> = patterns.iter().filter(is_worse).copied().collect();
            if !patterns.is_empty() {
                compare(&mut again, manner, *shape, &servers, &patterns)?;
            }
        }
        baseline::relent(&mut found, &baseline::ratios(&again));
    }
    Ok(baseline::regressions(&before, &found))
}

fn run_limits(limits: &Limits) -> Result<Vec<String>, JoinError> {
    let (manner, mut report) = (limits.conditions.begin()?, Report::new());
    let is_wanted = |limit: Limit| limits.only.is_empty() || limits.only.contains(&limit);
    let server = Server::Relay("io_uring");
    if is_wanted(Limit::Ceiling) {
        for (pattern, target) in [(Pattern::Even, 450_000.0), (Pattern::Bursts, 900_000.0)] {
            limits::ceiling(&mut report, manner, &server, pattern, Some(target))?;
        }
    }
    if is_wanted(Limit::Latency) {
        limits::latency(&mut report, manner, &server)?;
    }
    if is_wanted(Limit::Sessions) {
        limits::sessions(&mut report, manner, "io_uring", 1_000)?;
    }
    if is_wanted(Limit::Memory) {
        limits::memory(&mut report, manner, "io_uring")?;
    }
    if is_wanted(Limit::Storm) {
        limits::storm(&mut report, manner, "io_uring")?;
    }
    finish(&report, &limits.conditions.out, "limits")
}

fn run_peers(peers: &Peers) -> Result<Vec<String>, JoinError> {
    let (manner, mut report) = (peers.conditions.begin()?, Report::new());
    let mut servers = BACKENDS.map(Server::Relay).to_vec();
    if janus::is_installed() {
        servers.push(Server::Janus);
    } else {
        say("Janus is not installed (apt-get install janus); it is left out");
    }
    if let (Some(whip), Some(whep), Some(pid)) = (&peers.whip, &peers.whep, peers.pid) {
        let whip = Door { url: whip.clone(), token: peers.publish_token.clone() };
        let whep = Door { url: whep.clone(), token: peers.subscribe_token.clone() };
        servers.push(Server::Doors { name: peers.name.clone(), whip, whep, pid });
    }
    for subscribers in [10, 100] {
        compare(&mut report, manner, (1, subscribers), &servers, &Pattern::ALL)?;
    }
    report.judge_peer("io_uring", "janus");
    for server in servers.iter().filter(|server| **server != Server::Relay("mmsg")) {
        for pattern in FEW {
            limits::ceiling(&mut report, manner, server, pattern, None)?;
        }
    }
    finish(&report, &peers.conditions.out, "peers")
}

fn finish(report: &Report, folder: &Path, name: &str) -> Result<Vec<String>, JoinError> {
    let page = report.write(folder, name)?;
    say(&format!("load average when it began {:.2}; results in {}", report.load_average, page.display()));
    Ok(Vec::new())
}

#[expect(clippy::print_stderr, reason = "a command line tool reports there")]
fn tell(line: &str) {
    eprintln!("{line}");
}
