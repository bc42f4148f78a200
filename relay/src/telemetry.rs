//! Logs: to standard error, as text or JSON lines, with a filter that the local door can change while running.
//!
//! Who wakes up decides the level: ERROR somebody is woken, WARN odd, INFO a person would notice, DEBUG why a branch was
//! taken. No address, token, URL, name or content above DEBUG. Libraries log at WARN and above unless the filter names
//! them, because their INFO lines were written for somebody else.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use crate::config::{Log, LogFormat, StartError};

/// Crates of this product: a bare level means these.
const OURS: [&str; 4] = ["fanlight", "fanlight_engine", "fanlight_control", "fanlight_wire"];

/// Changes and shows the filter of the running process.
#[derive(Debug, Clone)]
pub struct LogLevel {
    handle: Handle<EnvFilter, Registry>,
}

impl LogLevel {
    /// A filter that no log listens to, for a process that embeds the relay.
    pub fn unattached() -> Self {
        let (_, handle) = reload::Layer::new(EnvFilter::default());
        Self { handle }
    }

    /// The filter in force.
    pub fn shown(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Replaces the filter.
    ///
    /// # Errors
    /// A sentence when `text` is not a filter.
    pub fn set(&self, text: &str) -> Result<(), String> {
        let filter = parse(text)?;
        self.handle.reload(filter).map_err(|e| e.to_string())
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// [`StartError::Config`] when `log.level` is not a filter or logging was started before.
pub fn start(log: &Log) -> Result<LogLevel, StartError> {
    let wrong = |e: &dyn std::fmt::Display| StartError::config("log.level", e);
    let (filter, handle) = reload::Layer::new(parse(&log.level).map_err(|e| wrong(&e))?);
    let output = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match log.format {
        LogFormat::Text => output.boxed(),
        LogFormat::Json => output.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|e| wrong(&e))?;
    Ok(LogLevel { handle })
}

/// A bare level is for our own crates; directives are taken as they are. Two libraries warn about what a client says,
/// once for every packet: a client must not be able to fill a disk.
fn parse(text: &str) -> Result<EnvFilter, String> {
    let text = text.trim();
    let level = ["error", "warn", "info", "debug", "off"].into_iter().find(|level| text.eq_ignore_ascii_case(level));
    let directives = match level {
        Some("off" | "error") | None => text.to_string(),
        Some(level) => OURS.iter().fold(String::from("warn,web_transport_quinn=error,is::stun=error"), |all, name| {
            format!("{all},{name}={level}")
        }),
    };
    EnvFilter::try_new(&directives)
        .map_err(|e| format!("`{text}` is neither a level (error, warn, info, debug) nor directives ({e})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_crates() {
        let shown = parse("debug").expect("a level").to_string();
        assert!(shown.contains("fanlight_engine=debug") && shown.contains("warn"), "{shown}");
        assert!(parse("info,quinn=debug").is_ok());
        assert!(parse("fanlight=loud").is_err());
    }
}
