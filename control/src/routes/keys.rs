//! `POST /v1/keys`: a visitor's page gets a session and its key, or a further key for its running session.

use std::time::Duration;

use bytes::Bytes;
use fanlight_wire::host::source_of;
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Event, GroupId, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::config::ConnectInfo;
use crate::control::Control;
use crate::http::{Asked, Denied, json};
use crate::mint::{Client, Mint};
use crate::particulars::{self, Entry, Kind, Particulars};
use crate::presence::Caller;

#[derive(Deserialize)]
struct Wish {
    group: GroupId,
    /// What the page knows of the interaction.
    #[serde(flatten)]
    about: particulars::Wish,
}

#[derive(Serialize)]
struct Key {
    session: SessionId,
    key: String,
    expires_s: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    visitor: Option<Visitor>,
}

/// What a visitor needs to join its new session.
#[derive(Serialize)]
struct Visitor {
    ticket: String,
    handle: String,
    connect: ConnectInfo,
}

pub(crate) async fn make(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    control.refuse_while_draining()?;
    match asked.caller {
        Caller::Nobody => first(control, asked).await,
        Caller::Visitor(session) => further(control, session),
        Caller::Agent(_) | Caller::Server(_) | Caller::Admin(_) | Caller::Operator => {
            Err(Refusal::new(Code::Role, "G-52").into())
        }
        Caller::Stranger => Err(Refusal::new(Code::Login, "G-52").into()),
    }
}

async fn first(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Wish { group, about } = asked.json()?;
    let particulars = Particulars::checked(about, Entry::Key)?;
    if particulars.kind != Kind::Cobrowse {
        return Err(Refusal::new(Code::Input, "R107").saying("A page begins sessions of the kind cobrowse.").into());
    }
    let standing = control.note_creation(source_of(asked.peer))?;
    let (session, handle) = control.create(&group, "visitor", particulars).await?;
    let (key, life) = open_key(control, session)?;
    let ticket = control.mint(&session, visitor(Kind::Cobrowse, asked.client))?;
    let connect = control.connect(control.home_of(&session)?.shard);
    let visitor = Some(Visitor { ticket, handle, connect });
    let mut made = json(StatusCode::CREATED, &Key { session, key, expires_s: life.as_secs(), visitor });
    standing.mark(&mut made);
    Ok(made)
}

fn further(control: &Control, session: SessionId) -> Result<Response<Bytes>, Denied> {
    let (key, life) = open_key(control, session)?;
    Ok(json(StatusCode::CREATED, &Key { session, key, expires_s: life.as_secs(), visitor: None }))
}

/// A key as the session's own rules want it.
fn open_key(control: &Control, session: SessionId) -> Result<(String, Duration), Refusal> {
    let home = control.home_of(&session)?;
    let rules = &home.pinned.bundle.keys;
    let key = control.keys().make(session, home.group.clone(), rules, control.clock().now())?;
    let (group, who) = (Some(home.group), Some("visitor".into()));
    let about = About { group, session: Some(session), who, ..About::default() };
    control.audit(Event::KeyCreated, about);
    Ok(key)
}

/// The ticket of a session's visitor, who has no name of its own and shows nothing that such a session is not for.
pub(crate) fn visitor(kind: Kind, client: Client) -> Mint {
    Mint {
        role: Role::Visitor,
        capabilities: Role::Visitor.ceiling().narrowed_to(kind.visitor()),
        subject: "visitor".into(),
        name: "Visitor".into(),
        client,
    }
}
