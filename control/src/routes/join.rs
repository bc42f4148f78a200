//! `POST /v1/join`: an agent exchanges a key for a join ticket. The visitor is asked afterwards, with the agent's name.

use std::net::IpAddr;

use bytes::Bytes;
use fanlight_wire::command::Whom;
use fanlight_wire::host::source_of;
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Event, SessionId};
use hyper::{Response, StatusCode};
use serde::Deserialize;

use crate::audit::About;
use crate::control::Control;
use crate::directory::Home;
use crate::http::{Asked, Denied, json};
use crate::keys::Guesser;
use crate::presence::Login;
use crate::routes::starts::way_in;
use crate::routes::{agent_of, guesser};

#[derive(Deserialize)]
struct Shown {
    key: String,
    /// R143: the session to leave for this one.
    leave: Option<SessionId>,
}

pub(crate) fn exchange(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    control.refuse_while_draining()?;
    let shown = asked.json()?;
    let session = spend(control, login, source_of(asked.peer), shown)?;
    let home = control.home_of(&session)?;
    control.directory().note_host(&session, &login.agent);
    Ok(json(StatusCode::OK, &way_in(control, login, asked.client, (session, &home))?))
}

fn spend(control: &Control, login: &Login, from: IpAddr, shown: Shown) -> Result<SessionId, Denied> {
    let Shown { key, leave } = shown;
    let guesser = guesser(login);
    let mut given_up = Vec::new();
    let result = control.keys().exchange(&guesser, from, &key, control.clock().now(), |session| {
        let most = control.home_of(session)?.pinned.bundle.session.sessions_per_agent;
        given_up = control.leases().ask(&guesser, *session, most, leave)?;
        Ok(())
    });
    let_go(control, &guesser, given_up);
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
/// `E_BUSY` when it is in as many others as its group allows, and leaves none of them.
pub(crate) fn take_place(
    control: &Control,
    who: &Guesser,
    session: &SessionId,
    home: &Home,
    leave: Option<SessionId>,
) -> Result<(), Denied> {
    let most = home.pinned.bundle.session.sessions_per_agent;
    let given_up = control.leases().ask(who, *session, most, leave)?;
    let_go(control, who, given_up);
    Ok(())
}

/// R143: what it leaves, has left behind, or never came to; a session that has ended has nothing to give up.
fn let_go(control: &Control, who: &Guesser, given_up: Vec<SessionId>) {
    for session in given_up {
        let whom = Whom::One { role: Role::Agent, subject: who.agent.clone() };
        if control.revoke(&session, whom, Code::Replaced).is_ok() {
            let (group, agent) = (Some(who.group.clone()), Some(who.agent.clone()));
            let (session, code) = (Some(session), Some(Code::Replaced));
            let about = About { group, session, who: agent, code, ..About::default() };
            control.audit(Event::AgentMoved, about);
        }
    }
}
