//! `POST /v1/join`: an agent exchanges a key for a join ticket. The visitor is asked afterwards, with the agent's name.

use bytes::Bytes;
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::config::ConnectInfo;
use crate::control::{Control, Mint};
use crate::http::{Asked, Denied, json};
use crate::keys::Guesser;
use crate::presence::{Caller, Login};

#[derive(Deserialize)]
struct Shown {
    key: String,
}

#[derive(Serialize)]
struct Joinable {
    session: SessionId,
    ticket: String,
    connect: ConnectInfo,
}

pub(crate) fn exchange(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let login = match &asked.caller {
        Caller::Agent(login) => login,
        Caller::Visitor(_) | Caller::Operator => return Err(Refusal::new(Code::Role, "G-52").into()),
        Caller::Nobody | Caller::Stranger => return Err(Refusal::new(Code::Login, "G-52").into()),
    };
    control.refuse_while_draining()?;
    let Shown { key } = asked.json()?;
    let session = spend(control, login, &key)?;
    let home = control.home_of(&session)?;
    control.directory().note_role(&session, &login.agent, login.role.as_deref());
    let agent = Mint {
        role: Role::Agent,
        // R152: what the group, as the session has pinned it, and the role leave.
        capabilities: home.rights(login.role.as_deref()),
        subject: login.agent.clone(),
        name: login.name.clone(),
    };
    let ticket = control.mint(&session, agent)?;
    Ok(json(StatusCode::OK, &Joinable { session, ticket, connect: control.connect(home.shard) }))
}

fn spend(control: &Control, login: &Login, key: &str) -> Result<SessionId, Denied> {
    let guesser = Guesser { group: login.group.clone(), agent: login.agent.clone() };
    let result = control.keys().exchange(&guesser, key, control.clock().now());
    let (event, session, code) = match &result {
        Ok(session) => (Event::KeyUsed, Some(*session), None),
        Err(denied) => (Event::KeyRefused, None, Some(denied.refusal.code)),
    };
    let about = About { group: Some(login.group.clone()), session, who: Some(login.agent.clone()), code, detail: None };
    control.audit(event, about);
    result
}
