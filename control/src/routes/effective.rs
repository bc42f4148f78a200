//! `GET /v1/policy/effective`: the rules that hold for whoever asks. A visitor reads those of its session, an agent those
//! of its group and role, a group's server those of its group.

use bytes::Bytes;
use fanlight_wire::policy::{Capabilities, Policy};
use fanlight_wire::{Code, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::control::Control;
use crate::http::{Asked, Denied, json};
use crate::policies::{capabilities, compile, of_session, to_pin};
use crate::presence::Caller;
use crate::servers::Scope;

#[derive(Serialize)]
struct Effective {
    policy: Policy,
    /// What an agent's ticket may carry; a visitor and a server have none of it.
    capabilities: Option<Vec<&'static str>>,
}

pub(crate) async fn show(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let effective = match &asked.caller {
        Caller::Visitor(session) => {
            let home = control.home_of(session)?;
            let later = home.enforced.iter().map(|later| of_session(later, &home.particulars));
            let narrowed = later.fold(home.policy(), |rules, later| rules.narrowed_to(&later));
            Effective { policy: narrowed, capabilities: None }
        }
        Caller::Agent(login) => in_production(control, &login.group, Some(login.role.as_deref())).await?,
        Caller::Server(server) => {
            server.may(Scope::Policy)?;
            in_production(control, &server.group, None).await?
        }
        Caller::Nobody | Caller::Stranger | Caller::Admin(_) | Caller::Operator => {
            return Err(Refusal::new(Code::Login, "G-52").into());
        }
    };
    Ok(json(StatusCode::OK, &effective))
}

/// With somebody's role, what that leaves.
async fn in_production(control: &Control, group: &GroupId, agent: Option<Option<&str>>) -> Result<Effective, Refusal> {
    let numbered = to_pin(control.store(), group).await?;
    let role = agent.flatten();
    let names = |all: Capabilities| {
        Capabilities::NAMES.iter().filter(|(_, one)| all.contains(*one)).map(|(name, _)| *name).collect()
    };
    Ok(Effective {
        policy: compile(&numbered.bundle, numbered.version, role),
        capabilities: agent.map(|role| names(capabilities(&numbered.bundle, role))),
    })
}
