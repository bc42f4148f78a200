//! `POST /v1/tickets`, operator: a join ticket for a running session, for upstream servers, guests and tests.

use bytes::Bytes;
use fanlight_wire::limits::{NAME_CHARS_MAX, TICKET_LIFE};
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::{Code, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::{About, what};
use crate::config::ConnectInfo;
use crate::control::{Control, Mint};
use crate::http::{Asked, Denied, json};

/// Characters of a subject, so that a ticket stays below its limit.
const SUBJECT_CHARS_MAX: usize = 128;

#[derive(Deserialize)]
struct Wish {
    session: SessionId,
    role: Role,
    name: String,
    subject: String,
    /// Names as in `docs/api.md`; absent: all that the role may have.
    capabilities: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Minted {
    ticket: String,
    expires_s: u64,
    connect: ConnectInfo,
}

pub(crate) fn mint(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    control.refuse_while_draining()?;
    let wish: Wish = asked.json()?;
    let home = control.home_of(&wish.session)?;
    let capabilities = match &wish.capabilities {
        Some(names) => named(names)?,
        None => wish.role.ceiling(),
    };
    if !wish.role.ceiling().contains(capabilities) {
        let refusal = Refusal::new(Code::Capability, "wire::policy::Role::ceiling");
        return Err(refusal.saying("That role cannot have all of these capabilities.").into());
    }
    let fits = |text: &str, max: usize| (1..=max).contains(&text.chars().count());
    if !fits(&wish.name, NAME_CHARS_MAX) || !fits(&wish.subject, SUBJECT_CHARS_MAX) {
        let sentence = "A name has 1 to 80 characters, a subject 1 to 128.";
        return Err(Refusal::new(Code::Input, "limits::NAME_CHARS_MAX").saying(sentence).into());
    }
    let session = wish.session;
    let mint = Mint { role: wish.role, capabilities, subject: wish.subject, name: wish.name };
    let ticket = control.mint(&session, mint)?;
    let about = About { group: Some(home.group), session: Some(session), who: Some("operator".into()), code: None };
    control.audit(what::TICKET_MINTED, about);
    let connect = control.connect(home.shard);
    Ok(json(StatusCode::CREATED, &Minted { ticket, expires_s: TICKET_LIFE.as_secs(), connect }))
}

fn named(names: &[String]) -> Result<Capabilities, Refusal> {
    names.iter().try_fold(Capabilities::NONE, |all, name| {
        let unknown = || Refusal::new(Code::Input, "docs/api.md").saying("There is a capability with an unknown name.");
        Capabilities::named(name).map(|one| all.union(one)).ok_or_else(unknown)
    })
}
