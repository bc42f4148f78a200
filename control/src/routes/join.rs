//! `POST /v1/join`: an agent exchanges a key for a join ticket. The visitor is asked afterwards, with the agent's name.

use std::net::IpAddr;

use bytes::Bytes;
use fanlight_wire::command::Whom;
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::Deserialize;

use crate::audit::About;
use crate::config::budget_address;
use crate::control::Control;
use crate::directory::Home;
use crate::http::{Asked, Denied, json};
use crate::presence::Login;
use crate::routes::starts::way_in;
use crate::routes::{agent_of, guesser};

#[derive(Deserialize)]
struct Shown {
    key: String,
}

pub(crate) fn exchange(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    control.refuse_while_draining()?;
    let Shown { key } = asked.json()?;
    let session = spend(control, login, budget_address(asked.peer), &key)?;
    let home = control.home_of(&session)?;
    control.directory().note_host(&session, &login.agent);
    Ok(json(StatusCode::OK, &way_in(control, login, session, &home)?))
}

fn spend(control: &Control, login: &Login, from: IpAddr, key: &str) -> Result<SessionId, Denied> {
    let guesser = guesser(login);
    let mut given_up = Vec::new();
    let result = control.keys().exchange(&guesser, from, key, control.clock().now(), |session| {
        let most = control.home_of(session)?.pinned.bundle.session.sessions_per_agent;
        given_up = control.leases().ask(&guesser, *session, most)?;
        Ok(())
    });
    let_go(control, login, given_up);
    let about = |session, code| {
        let (group, who) = (Some(login.group.clone()), Some(login.agent.clone()));
        About { group, session, who, code, ..About::default() }
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

/// Takes the agent's place in a session that it comes into without a key (R143).
///
/// # Errors
/// `E_BUSY` when it is in as many others as its group allows.
pub(crate) fn take_place(control: &Control, login: &Login, session: &SessionId, home: &Home) -> Result<(), Refusal> {
    let given_up = control.leases().ask(&guesser(login), *session, home.pinned.bundle.session.sessions_per_agent)?;
    let_go(control, login, given_up);
    Ok(())
}

/// R143: what it has left behind, or never came to; a session that has ended has nothing to give up.
fn let_go(control: &Control, login: &Login, given_up: Vec<SessionId>) {
    for session in given_up {
        let whom = Whom::One { role: Role::Agent, subject: login.agent.clone() };
        drop(control.revoke(&session, whom, Code::Replaced));
    }
}
