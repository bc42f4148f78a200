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
use crate::policies::{capabilities, to_pin};
use crate::routes::{agent_of, guesser};
use crate::visitors::Standing;

#[derive(Deserialize)]
struct Asks {
    visitor: String,
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
    let login = agent_of(&asked.caller)?;
    control.refuse_while_draining()?;
    let Asks { visitor: id, wish } = asked.json()?;
    reference(&id, "R108")?;
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
    let until = now + Duration::from_secs(pinned.bundle.consent.seconds.into());
    let make = |id| Invite {
        id,
        from: guesser(login),
        name: login.name.clone(),
        visitor,
        page,
        until,
        particulars,
        outcome: Outcome::Sent,
    };
    let (invite, new) = lobby.invites.open(&guesser(login), visitor, now, make)?;
    if new {
        control.audit(Event::InviteSent, invite.about(None, None));
        if !lobby.ring(&invite, invite.seconds(now)) {
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
    let login = agent_of(&asked.caller)?;
    let invite = control.lobby().invites.of(&guesser(login), id).ok_or_else(absent)?;
    Ok(json(StatusCode::OK, &shown(control, &invite)))
}

/// `DELETE /v1/invites/<invite>`. Taking back what is over changes nothing.
pub(crate) fn withdraw(control: &Control, asked: &Asked<'_>, id: &str) -> Result<Response<Bytes>, Denied> {
    let from = guesser(agent_of(&asked.caller)?);
    let invites = &control.lobby().invites;
    invites.of(&from, id).ok_or_else(absent)?;
    let mine = |invite: &Invite| invite.from == from;
    if let Some(invite) = invites.close(id, Outcome::Withdrawn, control.clock().now(), mine) {
        control.invite_over(&invite, Outcome::Withdrawn, Code::Left);
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

fn shown<'a>(control: &Control, invite: &'a Invite) -> Shown<'a> {
    let open = invite.outcome == Outcome::Sent;
    let expires_s = if open { invite.seconds(control.clock().now()) } else { 0 };
    Shown { invite: &invite.id, expires_s, outcome: invite.outcome }
}

fn absent() -> Refusal {
    Refusal::new(Code::NotFound, "G-52").saying("There is no such invite.")
}
