//! Agents of a group: who they are, which role they have, whether they may sign in.

use bytes::Bytes;
use fanlight_wire::limits::NAME_CHARS_MAX;
use fanlight_wire::{Code, Event, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Inquiry, absent};
use crate::audit::About;
use crate::control::Control;
use crate::http::{Denied, Page, json, link};
use crate::secrets::{opaque, random, stretch};
use crate::store::agents::{self as kept, Agent, Secret};

/// Characters of an agent's id, and bytes of its secret.
const ID_CHARS_MAX: usize = 128;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 12..=1_024;

#[derive(Deserialize)]
struct Wish {
    name: String,
    role: Option<String>,
    #[serde(default = "yes")]
    active: bool,
    /// Absent: a new agent gets one that is shown once, an old one keeps what it has.
    secret: Option<String>,
}

#[derive(Serialize)]
struct List {
    agents: Vec<Agent>,
    /// The cursor of the next page.
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    agent: Agent,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

const fn yes() -> bool {
    true
}

pub(super) async fn list(control: &Control, inquiry: &Inquiry<'_>, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let page = Page::of(inquiry.asked.query)?;
    let agents = control.store().ask(move |connection| kept::agents(connection, &group)).await?;
    let (agents, next) = page.cut(agents.ok_or_else(absent)?, |agent| agent.agent.clone());
    let list = List { agents, next };
    Ok(link(json(StatusCode::OK, &list), inquiry.asked.query, list.next.as_deref()))
}

/// `PUT …/agents/<agent>`: there shall be this agent. Whoever was signed in as it has to sign in again.
pub(super) async fn put(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
    id: &str,
) -> Result<Response<Bytes>, Denied> {
    let wish: Wish = inquiry.asked.json()?;
    let agent = checked(id, &wish)?;
    let (wanted, known) = (group.clone(), agent.agent.clone());
    let there = control.store().ask(move |connection| kept::is_there(connection, &wanted, &known)).await?;
    let there = there.ok_or_else(absent)?;
    let made = (!there && wish.secret.is_none()).then(opaque);
    let secret = match wish.secret.or_else(|| made.clone()) {
        Some(text) => Some(stretched(text).await?),
        None => None,
    };
    let (wanted, row) = (group.clone(), agent.clone());
    control.store().ask(move |connection| kept::put(connection, &wanted, &row, secret.as_ref())).await?;
    control.presence().sign_out(&group, Some(&agent.agent));
    control.lobby().watchers.sign_out(&group, Some(&agent.agent));
    // G-54: what it was given under the old rules ends now.
    control.put_out(&group, &agent.agent, Code::Login);
    control
        .audit(Event::AgentChanged, About { group: Some(group), who: Some(agent.agent.clone()), ..About::default() });
    let status = if there { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, &Shown { agent, secret: made }))
}

fn checked(id: &str, wish: &Wish) -> Result<Agent, Refusal> {
    let refused = |sentence: &'static str| Err(Refusal::new(Code::Input, "docs/api.md").saying(sentence));
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
    if id.is_empty() || id.len() > ID_CHARS_MAX || !id.bytes().all(legal) {
        return refused("An agent's id is 1 to 128 characters of letters, digits and . _ @ -.");
    }
    let length = wish.name.trim().chars().count();
    if length == 0 || length > NAME_CHARS_MAX || wish.name.chars().any(char::is_control) {
        return refused("\"name\" must be 1 to 80 characters.");
    }
    if wish.role.as_deref().is_some_and(|role| GroupId::new(role).is_err()) {
        return refused("\"role\" must be 1 to 64 characters of a-z, 0-9 and -.");
    }
    if wish.secret.as_ref().is_some_and(|secret| !SECRET_BYTES.contains(&secret.len())) {
        return refused("\"secret\" must be 12 to 1 024 bytes.");
    }
    Ok(Agent { agent: id.to_owned(), name: wish.name.clone(), role: wish.role.clone(), active: wish.active })
}

/// Costs a core about 50 ms, so it is done where nobody else waits for it.
async fn stretched(text: String) -> Result<Secret, Refusal> {
    let done = tokio::task::spawn_blocking(move || {
        let salt = random::<16>();
        Secret { salt, hash: stretch(&salt, &text) }
    });
    done.await.map_err(|_| Refusal::new(Code::Bug, "control::agents"))
}
