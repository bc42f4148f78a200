//! `POST /v1/tickets`: a join ticket or a media token for a running session, for upstream servers, guests and
//! tests.

use std::time::Duration;

use bytes::Bytes;
use fanlight_wire::limits::{MEDIA_TOKEN_LIFE_MAX, MEDIA_TOKEN_LIFE_MIN, NAME_CHARS_MAX, TICKET_LIFE};
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::config::ConnectInfo;
use crate::control::Control;
use crate::http::{Asked, Denied, json};
use crate::keys::Guesser;
use crate::mint::{Client, Mint};
use crate::routes::join::take_place;
use crate::routes::server_of;
use crate::servers::{Scope, Server};

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
    /// Seconds that a media token shall live; absent: a join ticket is wanted.
    media_s: Option<u64>,
    /// R143: the session that this agent leaves for this one.
    leave: Option<SessionId>,
    /// The origin of the page that will use it; absent: no page will, and it has no documents (R062, R064).
    page: Option<String>,
}

#[derive(Serialize)]
struct Minted {
    ticket: String,
    expires_s: u64,
    connect: ConnectInfo,
}

/// `POST /v1/tickets`, operator.
pub(crate) fn mint(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    minted(control, asked, None)
}

/// `POST /v1/tickets`, public: a group's server, for a session of its own group.
pub(crate) fn mint_own(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let server = server_of(&asked.caller)?;
    server.may(Scope::Tickets)?;
    minted(control, asked, Some(server))
}

fn minted(control: &Control, asked: &Asked<'_>, server: Option<&Server>) -> Result<Response<Bytes>, Denied> {
    control.refuse_while_draining()?;
    let wish: Wish = asked.json()?;
    let home = control.home_of(&wish.session)?;
    if server.is_some_and(|server| server.group != home.group) {
        return Err(Refusal::new(Code::Session, "G-52").into());
    }
    let capabilities = match &wish.capabilities {
        Some(names) => surfaces_meant(wish.role, named(names)?),
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
    let capabilities = match (server, wish.role) {
        // R152: no more than an agent who comes by key gets.
        (Some(server), Role::Agent) => {
            let who = Guesser { group: server.group.clone(), agent: wish.subject.clone() };
            // R143 holds for an agent whichever way its ticket comes.
            take_place(control, &who, &session, &home, wish.leave)?;
            capabilities.narrowed_to(home.rights(None))
        }
        _ => capabilities,
    };
    if let Some(server) = server {
        control.passes().give(&session, wish.role, &wish.subject, Some(&server.key))?;
    }
    let client = Client::of(wish.page.as_deref());
    let mint = Mint { role: wish.role, capabilities, subject: wish.subject, name: wish.name, client };
    let (ticket, life) = match wish.media_s {
        None => (control.mint(&session, mint)?, TICKET_LIFE),
        Some(seconds) => {
            let life = media_life(wish.role, seconds)?;
            (control.mint_media(&session, mint, life)?, life)
        }
    };
    let about = About { group: Some(home.group), session: Some(session), ..About::default() };
    control.audit(Event::TicketMinted, About { who: Some(asked.caller.who()), ..about });
    let connect = control.connect(home.shard);
    Ok(json(StatusCode::CREATED, &Minted { ticket, expires_s: life.as_secs(), connect }))
}

/// Media tokens are for servers that bring media and for whoever only watches: a person's place in a session, with a
/// page and a pointer, takes a join ticket.
fn media_life(role: Role, seconds: u64) -> Result<Duration, Refusal> {
    if !matches!(role, Role::Upstream | Role::Guest) {
        let sentence = "A media token is for the roles upstream and guest.";
        return Err(Refusal::new(Code::Role, "docs/whip-whep.md").saying(sentence));
    }
    let life = Duration::from_secs(seconds);
    if (MEDIA_TOKEN_LIFE_MIN..=MEDIA_TOKEN_LIFE_MAX).contains(&life) {
        return Ok(life);
    }
    let sentence = "A media token lives between a minute and a day.";
    Err(Refusal::new(Code::Input, "limits::MEDIA_TOKEN_LIFE_MAX").saying(sentence))
}

/// An agent that may share or invite, and no kind of surface is named: every kind is meant.
fn surfaces_meant(role: Role, given: Capabilities) -> Capabilities {
    let kinds = [(Capabilities::PUB_SCREEN, Capabilities::SHOW_ANY), (Capabilities::INVITE, Capabilities::VIEW_ANY)];
    let meant = kinds.into_iter().filter(|(right, any)| {
        role == Role::Agent && given.contains(*right) && given.narrowed_to(*any) == Capabilities::NONE
    });
    meant.fold(given, |all, (_, any)| all.union(any))
}

fn named(names: &[String]) -> Result<Capabilities, Refusal> {
    names.iter().try_fold(Capabilities::NONE, |all, name| {
        let unknown = || Refusal::new(Code::Input, "docs/api.md").saying("There is a capability with an unknown name.");
        Capabilities::named(name).map(|one| all.union(one)).ok_or_else(unknown)
    })
}
