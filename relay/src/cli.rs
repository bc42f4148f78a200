//! The verbs of `fanlight`: what they read, print and exit with.
//!
//! `status`, `drain`, `token` and `rotate-key` talk to the running node through its own doors ([`client`]), so they need nothing but
//! the configuration that the node was started with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fanlight_control::receipts::verify;
use fanlight_wire::limits;
use serde_json::json;

use crate::config::{Backend, Config, Listen, Span, StartError};
use crate::host::Host;

pub mod client;

use client::Answer;

/// An edge relay for cobrowsing and screen sharing.
#[derive(Debug, Parser)]
#[command(name = "fanlight", disable_version_flag = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Configuration file (TOML); without one: loopback, self-made certificate, demo on
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What to do; `run` when nothing is said.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Run the relay (default)
    Run,
    /// Print the effective configuration and what this host will run
    Check,
    /// Ask the running relay how it is
    Status,
    /// Ask the running relay to take no new sessions and to end when the last one has
    Drain,
    /// Mint a join ticket or a media token for a running session
    Token(Token),
    /// Have a new key sign tickets; those of the one before are good until they expire
    RotateKey {
        /// Somebody else may have the key before: no ticket or media token that there is stays good
        #[arg(long)]
        forget: bool,
    },
    /// Copy the store into a new file, also while the relay runs
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Check a file of consent receipts; needs neither a node nor its configuration
    VerifyReceipts {
        /// What `GET /v1/sessions/<session>/receipts` gave
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The public key that the node is known to have; without it, the file only agrees with itself
        #[arg(long)]
        key: Option<String>,
    },
    /// Print the version
    Version,
}

/// Whom a ticket admits.
#[derive(Debug, Clone, Args)]
pub struct Token {
    /// Session id, 32 hex digits
    #[arg(long)]
    session: String,
    /// visitor, agent, guest or upstream
    #[arg(long)]
    role: String,
    /// Capabilities, separated by commas; all that the role may have when left out
    #[arg(long, value_delimiter = ',')]
    can: Option<Vec<String>>,
    /// Display name
    #[arg(long, default_value = "Test")]
    name: String,
    /// Who this is in the group's own terms
    #[arg(long, default_value = "test")]
    subject: String,
    /// A media token for WHIP and WHEP that lives this long, 1m to 24h; an upstream gets one for 15m when left out
    #[arg(long = "for", value_name = "TIME", conflicts_with = "join")]
    life: Option<Span>,
    /// A join ticket even for an upstream
    #[arg(long)]
    join: bool,
}

impl Token {
    /// How long a media token shall live; `None` asks for a join ticket.
    fn media_life(&self) -> Option<Duration> {
        let usual = (self.role == "upstream" && !self.join).then_some(limits::MEDIA_TOKEN_LIFE);
        self.life.map(|life| life.0).or(usual)
    }
}

impl Cli {
    /// Reads the command line; prints help and exits by itself when asked to or when it cannot be read (exit code 64).
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let code = if error.use_stderr() { 64 } else { 0 };
            // A closed terminal cannot be told.
            drop(error.print());
            std::process::exit(code)
        })
    }

    pub fn verb(&self) -> Verb {
        self.verb.clone().unwrap_or(Verb::Run)
    }

    /// # Errors
    /// [`StartError::Config`].
    pub fn config(&self) -> Result<Config, StartError> {
        Config::load(self.config.as_deref())
    }
}

/// `fanlight version`.
pub fn version() -> String {
    format!("fanlight {}", env!("CARGO_PKG_VERSION"))
}

/// `fanlight verify-receipts`.
///
/// # Errors
/// [`StartError::Receipts`] that names the first broken link; [`StartError::Config`] for a file that cannot be read.
pub fn verify_receipts(file: &Path, key: Option<&str>) -> Result<String, StartError> {
    let content = std::fs::read(file).map_err(|e| StartError::config(file.display().to_string(), e))?;
    let verified = verify(&content, key).map_err(StartError::Receipts)?;
    Ok(format!(
        "whole and signed\nsession   {}\nreceipts  {}{}\nkey       {}",
        verified.session,
        verified.receipts,
        told_lost(verified.lost),
        verified.key
    ))
}

fn told_lost(lost: Option<u64>) -> String {
    match lost {
        Some(0) => String::new(),
        Some(lost) => format!("\nlost      {lost} that the node's store could not take"),
        None => "\nlost      nobody knows: the node stopped under the session".into(),
    }
}

/// `fanlight check`: the effective file as TOML, what would run and what the host can do as comments, so that the output
/// is a file again.
pub fn check(config: &Config, host: &Host) -> String {
    let mut text = config.to_toml();
    let mut section = |title: &str, lines: &[String]| {
        text.push_str(&format!("\n# {title}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("#   {line}\n")));
    };
    section("This host", &host.to_string().lines().map(Into::into).collect::<Vec<_>>());
    section("What will run", &plan(config, host));
    let warnings = host.warnings();
    if !warnings.is_empty() {
        section("What holds it back", &warnings);
    }
    text.trim_end().to_string()
}

fn plan(config: &Config, host: &Host) -> Vec<String> {
    let shards = config.shard_count(host.shards());
    let ports = |base: u16| match (base, shards) {
        (0, _) => "chosen by the kernel".to_string(),
        (first, 1) => first.to_string(),
        (first, _) => format!("{first} to {}", usize::from(first) + shards - 1),
    };
    let backend = match config.media.backend {
        Backend::Auto => host.backend().name(),
        Backend::IoUring => "io_uring",
        Backend::Mmsg => "mmsg",
    };
    let certificate =
        if config.self_made_certificate() { "self-made".into() } else { config.public.cert.display().to_string() };
    let links = match config.public.url.as_str() {
        "" => "this node's own listeners (behind a proxy, set public.url)",
        url => url,
    };
    let on = |on: bool| if on { "on" } else { "off" };
    vec![
        format!("shards        {shards} on {backend}"),
        format!(
            "media         udp{} {}",
            if config.media.tcp { " and tcp" } else { "" },
            ports(config.media.base_port)
        ),
        format!(
            "webtransport  {}",
            if config.quic.enabled { format!("udp {}", ports(config.quic.base_port)) } else { "off".into() }
        ),
        format!("certificate   {certificate}"),
        format!("links to      {links}"),
        format!("data          {}", config.data_dir().display()),
        format!("demo          {}", on(config.demo_on())),
    ]
}

/// Can the configured backend run here?
///
/// # Errors
/// [`StartError::Host`] that says why not.
pub fn fit(config: &Config, host: &Host) -> Result<(), StartError> {
    host.fitness().map_err(|why| StartError::host("media sockets", why))?;
    match (config.media.backend, &host.uring) {
        (Backend::IoUring, Err(why)) => {
            Err(StartError::host("media.backend", format!("{why}; allow it, or set media.backend = \"auto\"")))
        }
        _ => Ok(()),
    }
}

/// `fanlight status`.
///
/// # Errors
/// [`StartError`] when there is no local door or nobody answers there.
pub fn status(config: &Config) -> Result<String, StartError> {
    let answer = client::ask(local_door(config)?, "GET", "/status", None, None)?;
    succeeded(&answer)?;
    let status: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let fields = status.as_object().into_iter().flatten();
    let lines = fields.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name:<9}{text}"),
        None => format!("{name:<9}{value}"),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// `fanlight drain`.
///
/// # Errors
/// [`StartError`] when there is no local door or nobody answers there.
pub fn drain(config: &Config) -> Result<String, StartError> {
    let answer = client::ask(local_door(config)?, "POST", "/drain", None, None)?;
    succeeded(&answer)?;
    Ok(answer.body.trim().to_string())
}

/// `fanlight backup FILE`.
///
/// # Errors
/// [`StartError`] when the store cannot be read or the copy cannot be made.
pub fn backup(config: &Config, to: &Path) -> Result<String, StartError> {
    let copied = fanlight_control::backup(&config.store.path, to);
    copied.map_err(|why| StartError::host("backup", why))?;
    Ok(format!("copied to {}", to.display()))
}

/// `fanlight token`: the ticket, ready to be sent in a `hello`, or the media token, ready to be sent as a bearer.
///
/// # Errors
/// [`StartError`] when there is no operator door, its token cannot be read, or the node refuses.
pub fn token(config: &Config, wish: &Token) -> Result<String, StartError> {
    let mut body = json!({
        "session": wish.session, "role": wish.role, "name": wish.name, "subject": wish.subject,
    });
    if let Some(can) = &wish.can {
        body["capabilities"] = json!(can);
    }
    if let Some(life) = wish.media_life() {
        body["media_s"] = json!(life.as_secs());
    }
    operate(config, "/v1/tickets", &body, "ticket")
}

/// `fanlight rotate-key`: the name of the new key.
///
/// # Errors
/// [`StartError`] when there is no operator door, its token cannot be read, or the node refuses.
pub fn rotate_key(config: &Config, forget: bool) -> Result<String, StartError> {
    operate(config, "/v1/signing-key/rotate", &json!({ "forget": forget }), "kid")
}

/// Posts to the operator door; the wanted field of the answer.
fn operate(config: &Config, path: &str, body: &serde_json::Value, wanted: &str) -> Result<String, StartError> {
    let door = door(config.operator.listen, "operator.listen")?;
    let file = &config.operator.token_file;
    let secret = std::fs::read_to_string(file)
        .map_err(|e| StartError::config("operator.token_file", format!("{} cannot be read ({e})", file.display())))?;
    let answer = client::ask(door, "POST", path, Some(secret.trim()), Some(&body.to_string()))?;
    succeeded(&answer)?;
    let answered: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let field = answered.get(wanted).and_then(|field| field.as_str());
    field.map(Into::into).ok_or_else(|| StartError::host("operator door", format!("the answer holds no {wanted}")))
}

fn local_door(config: &Config) -> Result<SocketAddr, StartError> {
    door(config.local.listen, "local.listen")
}

fn door(listen: Listen, key: &str) -> Result<SocketAddr, StartError> {
    listen.0.ok_or_else(|| StartError::config(key, "this door is off in the configuration; set an address"))
}

fn succeeded(answer: &Answer) -> Result<(), StartError> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let refusal: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let sentence = refusal.get("detail").and_then(|s| s.as_str()).unwrap_or("no reason was given");
    Err(StartError::host(format!("the relay refused ({})", answer.status), sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_the_default_and_every_verb_is_known() {
        let verb = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb());
        assert!(matches!(verb("fanlight"), Ok(Verb::Run)));
        assert!(matches!(verb("fanlight check --config x.toml"), Ok(Verb::Check)));
        assert!(matches!(verb("fanlight --config x.toml drain"), Ok(Verb::Drain)));
        let Ok(Verb::Token(token)) = verb("fanlight token --session 00 --role agent --can sub.dom,end") else {
            panic!("not a token")
        };
        assert_eq!((token.media_life(), token.can), (None, Some(vec!["sub.dom".into(), "end".into()])));
        let life = |line: &str| match verb(&format!("fanlight token --session 00 {line}")) {
            Ok(Verb::Token(token)) => token.media_life(),
            _ => panic!("not a token: {line}"),
        };
        assert_eq!(life("--role upstream --can pub.screen,sub.screen"), Some(limits::MEDIA_TOKEN_LIFE));
        assert_eq!(life("--role upstream --join"), None);
        assert_eq!(life("--role guest --for 12h"), Some(Duration::from_secs(12 * 3_600)));
        assert!(verb("fanlight token --session 00 --role guest --for 12").is_err());
        assert!(matches!(verb("fanlight rotate-key"), Ok(Verb::RotateKey { forget: false })));
        assert!(matches!(verb("fanlight rotate-key --forget"), Ok(Verb::RotateKey { forget: true })));
        assert!(matches!(verb("fanlight backup copy.db"), Ok(Verb::Backup { .. })));
        assert!(verb("fanlight backup").is_err() && verb("fanlight fly").is_err());
    }

    #[test]
    fn only_receipts_that_are_known_to_be_all_there_need_no_word() {
        assert_eq!(told_lost(Some(0)), "");
        assert!(told_lost(Some(2)).contains("2 that") && told_lost(None).contains("nobody knows"));
    }

    #[test]
    fn what_check_prints_is_a_configuration_again() {
        let config = Config::default();
        let printed = check(&config, &Host::probe());
        assert_eq!(Config::parse(&printed), Ok(config));
    }

    #[test]
    fn a_door_that_is_off_is_named() {
        let config = Config::parse("[local]\nlisten = \"off\"\n").expect("good");
        assert!(status(&config).expect_err("no door").to_string().starts_with("local.listen"));
    }
}
