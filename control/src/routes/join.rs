//! `POST /v1/join`: an agent exchanges a key for a join ticket. The visitor is asked afterwards, with the agent's name.

use std::net::IpAddr;

use bytes::Bytes;
use fanlight_wire::command::Whom;
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::config::{ConnectInfo, budget_address};
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
        Caller::Visitor(_) | Caller::Server(_) | Caller::Admin(_) | Caller::Operator => {
            return Err(Refusal::new(Code::Role, "G-52").into());
        }
        Caller::Nobody | Caller::Stranger => return Err(Refusal::new(Code::Login, "G-52").into()),
    };
    control.refuse_while_draining()?;
    let Shown { key } = asked.json()?;
    let session = spend(control, login, budget_address(asked.peer), &key)?;
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

fn spend(control: &Control, login: &Login, from: IpAddr, key: &str) -> Result<SessionId, Denied> {
    let guesser = Guesser { group: login.group.clone(), agent: login.agent.clone() };
    let mut given_up = Vec::new();
    let result = control.keys().exchange(&guesser, from, key, control.clock().now(), |session| {
        let most = control.home_of(session)?.pinned.bundle.session.sessions_per_agent;
        given_up = control.leases().ask(&guesser, *session, most)?;
        Ok(())
    });
    for session in given_up {
        let whom = Whom::One { role: Role::Agent, subject: login.agent.clone() };
        // R143: what it has left behind, or never came to; a session that has ended has nothing to give up.
        drop(control.revoke(&session, whom, Code::Replaced));
    }
    let about = |session, code| {
        let (group, who) = (Some(login.group.clone()), Some(login.agent.clone()));
        About { group, session, who, code, detail: None }
    };
    match result {
        Ok(session) => {
            control.audit(Event::KeyUsed, about(Some(session), None));
            Ok(session)
        }
        Err(missed) => {
            control.audit(Event::KeyRefused, about(None, Some(missed.denied.refusal.code)));
            if missed.stepped_up {
                control.metrics().key_step_up();
                control.audit(Event::KeysSteppedUp, About { group: Some(login.group.clone()), ..About::default() });
                tracing::warn!("too many wrong join keys for a group; its keys are longer for an hour");
            }
            Err(missed.denied)
        }
    }
}
