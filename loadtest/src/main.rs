//! `fanlight-loadtest`: load on a running relay, by real clients.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
}

fn main() -> ExitCode {
    let Arguments { scenario: Scenario::Fanout(fanout) } = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&format!("no runtime: {error}"));
            return ExitCode::from(69);
        }
    };
    match runtime.block_on(fanout::run(&fanout)) {
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

#[expect(clippy::print_stderr, reason = "a command line tool reports there")]
fn tell(line: &str) {
    eprintln!("{line}");
}
