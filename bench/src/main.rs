//! `fanlight-bench`: what fan-out costs on this machine, for the relay, for the floor under it, and for its peers.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fanlight_bench::measure::median;
use fanlight_bench::floor;
use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::source::{Load, Pattern};
use fanlight_loadtest::raw::swarm::Swarm;

/// What fan-out costs on this machine.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The cheapest possible fan-out.
    Floor,
    /// Janus VideoRoom beside the floor.
    Janus,
    /// The floor's own process; started by the other verbs.
    #[command(hide = true)]
    FloorServer,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::FloorServer => floor::serve(),
        What::Floor => run_floor(),
        What::Janus => run_janus(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("the bench broke off: {error}"));
            ExitCode::from(69)
        }
    }
}

fn run_floor() -> std::io::Result<()> {
    process::raise_open_files();
    process::pin(0, 1)?;
    process::favour(0);
    for (sessions, subscribers) in [(1, 1), (1, 10), (1, 100), (1, 400), (200, 3)] {
        let mut swarm = Swarm::new()?;
        let load = Load { pattern: Pattern::Bursts, packets_per_second: 0, packet_bytes: 1_100 };
        let target = floor::target::open(&mut swarm, 0, (sessions, subscribers), load, false)?;
        for pattern in Pattern::ALL {
            target.arrange(&mut swarm, pattern);
            let mut windows = Vec::new();
            for _ in 0..3 {
                windows.push(target.window(&mut swarm, 285, Duration::from_secs(2))?);
            }
            say(&format!("{sessions}x1→{subscribers} {pattern:?} {:?}", median(windows)));
        }
    }
    Ok(())
}

fn run_janus() -> std::io::Result<()> {
    process::raise_open_files();
    process::pin(0, 1)?;
    process::favour(0);
    for subscribers in [1, 10, 100] {
        let mut swarm = Swarm::new()?;
        let load = Load { pattern: Pattern::Bursts, packets_per_second: 0, packet_bytes: 1_100 };
        let target = fanlight_bench::janus::open(&mut swarm, 0, subscribers, load).map_err(std::io::Error::other)?;
        for pattern in Pattern::ALL {
            target.arrange(&mut swarm, pattern);
            let mut windows = Vec::new();
            for _ in 0..3 {
                windows.push(target.window(&mut swarm, 285, Duration::from_secs(2))?);
            }
            say(&format!("janus {subscribers} {pattern:?} {:?}", median(windows)));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "a command line tool reports there")]
fn tell(line: &str) {
    eprintln!("{line}");
}
