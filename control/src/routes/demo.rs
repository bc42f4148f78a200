//! The demo: a group with two agents whose secrets anybody may read at `GET /demo/config.json`.
//!
//! Invariant: the secrets are made anew at each start and never written down (the store has their hashes); with the demo
//! off the group is switched off, so that a file that once served a demo has no agents whose secrets were public.

use bytes::Bytes;
use fanlight_wire::{Code, Refusal};
use hyper::{Response, StatusCode};
use rusqlite::Connection;
use serde::Serialize;

use crate::control::Control;
use crate::http::{Denied, json};
use crate::policies::Bundle;
use crate::policies::bundle::Sessions;
use crate::policies::schema::SESSIONS_PER_AGENT_MAX;
use crate::secrets::{opaque, random, stretch};
use crate::store::policies::seed_bundle;
use crate::store::{seed_agent, seed_group, set_group_active};

const GROUP: &str = "demo";

/// What `/demo/config.json` shows.
#[derive(Debug, Serialize)]
pub(crate) struct Demo {
    group: &'static str,
    agents: [DemoAgent; 2],
}

#[derive(Debug, Serialize)]
struct DemoAgent {
    agent: &'static str,
    name: &'static str,
    secret: String,
}

impl Demo {
    pub(crate) fn new() -> Self {
        let agent = |agent, name| DemoAgent { agent, name, secret: opaque() };
        Self { group: GROUP, agents: [agent("ann", "Ann Ahlberg"), agent("ben", "Ben Okafor")] }
    }

    /// Brings the store in line: the group and its agents as shown, or no active group of that name.
    pub(crate) fn seed(demo: Option<&Self>, connection: &Connection, at: u64) -> rusqlite::Result<()> {
        let Some(demo) = demo else { return set_group_active(connection, GROUP, false) };
        seed_group(connection, GROUP, "Demo")?;
        // Whoever tries things out has several windows, and all of them have signed in as one of two agents.
        let session = Sessions { sessions_per_agent: SESSIONS_PER_AGENT_MAX, ..Sessions::default() };
        seed_bundle(connection, GROUP, &Bundle { session, ..Bundle::default() }, at, "demo")?;
        for DemoAgent { agent, name, secret } in &demo.agents {
            let salt = random::<16>();
            seed_agent(connection, GROUP, agent, name, &salt, &stretch(&salt, secret))?;
        }
        Ok(())
    }
}

pub(crate) fn show(control: &Control) -> Result<Response<Bytes>, Denied> {
    let demo = control.demo().ok_or_else(|| Refusal::new(Code::NotFound, "docs/api.md"))?;
    Ok(json(StatusCode::OK, demo))
}
