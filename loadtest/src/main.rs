//! `fanlight-loadtest`: load on a running relay, by real clients.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fanlight_loadtest::audience::{self, Media};
use fanlight_loadtest::fanout::{self, Fanout};

/// Real clients of a relay, under load.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// One visitor's page (and screen) to many agents: forwarding latency, losses, rates.
    Fanout(Fanout),
    /// The same with a recorded page: changes as they came from rrweb in a real browser.
    Dom(Fanout),
    /// One publisher and thousands of subscribers at WHIP and WHEP doors.
    Media(Box<Media>),
}

fn main() -> ExitCode {
    let missed = match Arguments::parse().scenario {
        Scenario::Fanout(what) => run_fanout(&Fanout { recorded: what.trace.is_some(), ..what }),
        Scenario::Dom(what) => run_fanout(&Fanout { recorded: true, ..what }),
        Scenario::Media(what) => audience::run(&what).map_err(|error| error.to_string()),
    };
    match missed {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            missed.iter().for_each(|line| tell(&format!("missed: {line}")));
            ExitCode::FAILURE
        }
        Err(error) => {
            tell(&format!("the load test broke off: {error}"));
            ExitCode::from(69)
        }
    }
}

fn run_fanout(what: &Fanout) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(fanout::run(what)).map_err(|error| error.to_string())
}

#[expect(clippy::print_stderr, reason = "a command line tool reports there")]
fn tell(line: &str) {
    eprintln!("{line}");
}
