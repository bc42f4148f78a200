//! `POST /v1/invites`: an agent asks a visitor who is on the website (R108, R115); how it went; taking it back.

use std::time::Duration;

use bytes::Bytes;
use fanlight_wire::{Code, Event, Refusal};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::http::{Asked, Denied, empty, json};
use crate::invites::{Invite, Outcome};
use crate::particulars::{Entry, Particulars, Wish, reference};
use crate::policies::{capabilities, coming_in, to_pin};
use crate::presence::{Caller, Login};
use crate::routes::{agent_of, guesser};
use crate::servers::Scope;
use crate::visitors::Standing;

#[derive(Deserialize)]
struct Asks {
    visitor: String,
    /// For whom a server asks.
    agent: Option<String>,
    #[serde(flatten)]
    wish: Wish,
}

#[derive(Serialize)]
struct Shown<'a> {
    invite: &'a str,
    expires_s: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// `POST /v1/invites`.
pub(crate) async fn send(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    may_invite(&asked.caller)?;
    control.refuse_while_draining()?;
    let Asks { visitor: id, agent, wish } = asked.json()?;
    reference(&id, "R108")?;
    let login = &inviter(control, &asked.caller, agent).await?;
    let mut particulars = Particulars::checked(wish, Entry::Presence)?;
    // R111: unless the product says otherwise, the interaction is known by its visitor.
    particulars.external_ref.get_or_insert_with(|| id.clone());
    let pinned = to_pin(control.store(), &login.group).await?;
    let (needed, rule) = particulars.kind.needs();
    if !capabilities(&pinned.bundle, login.role.as_deref()).contains(needed) {
        return Err(Refusal::new(Code::Capability, rule).into());
    }
    let lobby = control.lobby();
    let (visitor, now) = (lobby.visitors.named(&login.group, &id), control.clock().now());
    let page = match (lobby.visitors.standing(visitor), lobby.visitors.foremost(visitor)) {
        (Standing::Busy, _) => {
            return Err(Refusal::new(Code::Busy, "R118").saying("This visitor is in a session already.").into());
        }
        (Standing::Present, Some(page)) => page,
        (Standing::Present | Standing::Absent, _) => {
            let sentence = "This visitor is not on the website at the moment, or not looking at it.";
            return Err(Refusal::new(Code::State, "R118").saying(sentence).into());
        }
    };
    let question = coming_in(&pinned.bundle, particulars.kind);
    let until = now + Duration::from_secs(pinned.bundle.consent.seconds.into());
    let make = |id| Invite {
        id,
        from: guesser(login),
        name: login.name.clone(),
        visitor,
        page,
        until,
        particulars,
        question,
        outcome: Outcome::Sent,
    };
    let (invite, new) = lobby.invites.open(&guesser(login), visitor, now, make)?;
    if new {
        control.audit(Event::InviteSent, invite.about(None, None));
        if !lobby.ring(&invite, now) {
            lobby.invites.close(&invite.id, Outcome::Expired, now, |_| true);
            return Err(Refusal::new(Code::State, "R118").saying("This visitor's page does not answer.").into());
        }
        lobby.news_of(visitor);
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &shown(control, &invite)))
}

/// `GET /v1/invites/<invite>`.
pub(crate) fn show(control: &Control, asked: &Asked<'_>, id: &str) -> Result<Response<Bytes>, Denied> {
    let invite = own(control, &asked.caller, id)?;
    Ok(json(StatusCode::OK, &shown(control, &invite)))
}

/// `DELETE /v1/invites/<invite>`. Taking back what is over changes nothing.
pub(crate) fn withdraw(control: &Control, asked: &Asked<'_>, id: &str) -> Result<Response<Bytes>, Denied> {
    let Invite { id, .. } = own(control, &asked.caller, id)?;
    let closed = control.lobby().invites.close(&id, Outcome::Withdrawn, control.clock().now(), |_| true);
    if let Some(invite) = closed {
        control.invite_over(&invite, Outcome::Withdrawn, Code::Left);
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

fn may_invite(caller: &Caller) -> Result<(), Refusal> {
    match caller {
        Caller::Server(server) => server.may(Scope::Create),
        caller => agent_of(caller).map(drop),
    }
}

/// In whose name the visitor is asked: the agent's own, or that of an agent whom its group's server names.
async fn inviter(control: &Control, caller: &Caller, named: Option<String>) -> Result<Login, Refusal> {
    let Caller::Server(server) = caller else { return agent_of(caller).cloned() };
    let missing = || Refusal::new(Code::Input, "R108").saying("Name the agent in whose name the visitor is asked.");
    control.agent_named(&server.group, &named.ok_or_else(missing)?).await
}

/// An invite of the asker: the agent's own, or one of its server's group. Any other is absent.
fn own(control: &Control, caller: &Caller, id: &str) -> Result<Invite, Refusal> {
    may_invite(caller)?;
    let mine = |invite: &Invite| match caller {
        Caller::Server(server) => invite.from.group == server.group,
        caller => agent_of(caller).is_ok_and(|login| invite.from == guesser(login)),
    };
    control.lobby().invites.find(id).filter(mine).ok_or_else(absent)
}

fn shown<'a>(control: &Control, invite: &'a Invite) -> Shown<'a> {
    let open = invite.outcome == Outcome::Sent;
    let expires_s = if open { invite.seconds(control.clock().now()) } else { 0 };
    Shown { invite: &invite.id, expires_s, outcome: invite.outcome }
}

fn absent() -> Refusal {
    Refusal::new(Code::NotFound, "G-52").saying("There is no such invite.")
}
