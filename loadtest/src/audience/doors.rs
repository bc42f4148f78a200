//! Which doors to use: options first, then the lines of `make target`.

use crate::raw::door::{Door, JoinError};

use super::Media;

pub(super) struct Doors {
    pub(super) whip: Door,
    pub(super) whep: Door,
    pub(super) pid: Option<u32>,
}

pub(super) fn find(what: &Media) -> Result<Doors, JoinError> {
    let lines = match &what.target {
        Some(path) => std::fs::read_to_string(path)?,
        None => String::new(),
    };
    let line = |name: &str| {
        let value = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim().to_owned())
    };
    let need = |option: &Option<String>, name: &str| {
        option.clone().or_else(|| line(name)).ok_or_else(|| JoinError::Url(format!("nothing (no {name})")))
    };
    let whip = Door {
        url: need(&what.whip, "WHIP_URL")?,
        token: what.publish_token.clone().or_else(|| line("PUBLISH_TOKEN")),
    };
    let whep = Door {
        url: need(&what.whep, "WHEP_URL")?,
        token: what.subscribe_token.clone().or_else(|| line("SUBSCRIBE_TOKEN")),
    };
    Ok(Doors { whip, whep, pid: what.pid.or_else(|| line("PID").and_then(|pid| pid.parse().ok())) })
}
