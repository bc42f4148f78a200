//! The story of a start and a stop.

use std::process::ExitCode;

use fanlight::cli::{self, Cli, Verb};
use fanlight::config::{Config, StartError};
use fanlight::host::Host;
use fanlight::node::Node;
use fanlight::telemetry;

fn main() -> ExitCode {
    let cli = Cli::read();
    let done = match cli.verb() {
        Verb::Version => Ok(cli::version()),
        Verb::VerifyReceipts { file, key } => cli::verify_receipts(&file, key.as_deref()),
        verb => cli.config().and_then(|config| act(verb, config)),
    };
    match done {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// What a verb prints when it is done.
fn act(verb: Verb, config: Config) -> Result<String, StartError> {
    match verb {
        Verb::Run => run(config).map(|()| String::new()),
        Verb::Check => check(&config),
        Verb::Status => cli::status(&config),
        Verb::Drain => cli::drain(&config),
        Verb::Token(wish) => cli::token(&config, &wish),
        Verb::RotateKey { forget } => cli::rotate_key(&config, forget),
        Verb::Backup { to } => cli::backup(&config, &to),
        // Neither needs a configuration.
        Verb::VerifyReceipts { file, key } => cli::verify_receipts(&file, key.as_deref()),
        Verb::Version => Ok(cli::version()),
    }
}

/// Starts, says where everything is, serves until it is asked to stop, drains, stops.
fn run(config: Config) -> Result<(), StartError> {
    let log_level = telemetry::start(&config.log)?;
    let edge = tokio::runtime::Builder::new_multi_thread()
        .thread_name("edge")
        .enable_all()
        .build()
        .map_err(|e| StartError::host("edge runtime", e))?;
    edge.block_on(async {
        let node = Node::start(config, log_level).await?;
        say(&node.welcome());
        node.run().await
    })
}

fn check(config: &Config) -> Result<String, StartError> {
    let host = Host::probe();
    let text = cli::check(config, &host);
    if let Err(unfit) = cli::fit(config, &host) {
        say(&text);
        return Err(unfit);
    }
    Ok(text)
}

#[expect(clippy::print_stdout, reason = "the output of a command line program")]
fn say(text: &str) {
    if !text.is_empty() {
        println!("{text}");
    }
}

#[expect(clippy::print_stderr, reason = "a start error is for the person who started it")]
fn complain(error: &StartError) {
    eprintln!("fanlight: {error}");
}
