//! Sessions: ended by those inside, and created, listed and ended by the operator. A session of somebody else is answered
//! like one that does not exist (G-52).

use std::time::Duration;

use bytes::Bytes;
use fanlight_wire::limits::SESSION_KEPT_MAX;
use fanlight_wire::policy::Mode;
use fanlight_wire::signal::{LagState, Stage};
use fanlight_wire::{Code, GroupId, Refusal, SessionId, ShardId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::config::ConnectInfo;
use crate::control::Control;
use crate::http::{Asked, Denied, Page, empty, json, link};
use crate::presence::Caller;
use crate::routes::{keys, session_of};

#[derive(Deserialize)]
struct Wish {
    group: GroupId,
    /// Seconds that the session may wait for its first participant, at most a day.
    keep_s: Option<u64>,
}

#[derive(Serialize)]
struct Created {
    session: SessionId,
    visitor_ticket: String,
    handle: String,
    connect: ConnectInfo,
}

#[derive(Serialize)]
struct Listed {
    session: SessionId,
    shard: ShardId,
    created: u64,
    agents_joined: u32,
    shares: u32,
    takeovers: u32,
    refusals: u32,
    group: GroupId,
    /// `waiting`, `active`, `paused`.
    stage: Stage,
    mode: Option<Mode>,
    participants: usize,
    /// How the slowest copy of the page keeps up.
    lag: Option<LagState>,
}

#[derive(Serialize)]
struct List {
    /// On all pages together.
    count: usize,
    sessions: Vec<Listed>,
    /// The cursor of the next page.
    next: Option<String>,
}

/// `POST /v1/sessions/<session>/end`, public.
pub(crate) fn end(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let absent = || Refusal::new(Code::Session, "G-52");
    let allowed = match &asked.caller {
        Caller::Visitor(own) => session_of(session).is_ok_and(|session| session == *own),
        Caller::Agent(login) => {
            let home = session_of(session).and_then(|session| control.home_of(&session));
            home.is_ok_and(|home| home.group == login.group)
        }
        Caller::Nobody | Caller::Stranger | Caller::Operator => {
            return Err(Refusal::new(Code::Login, "G-52").into());
        }
    };
    if !allowed {
        return Err(absent().into());
    }
    control.end(&session_of(session)?, Code::Ended)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `POST /v1/sessions`, operator.
pub(crate) async fn create(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Wish { group, keep_s } = asked.json()?;
    let (session, handle) = control.create(&group, "operator").await?;
    if let Some(seconds) = keep_s {
        control.keep_empty(&session, Duration::from_secs(seconds).min(SESSION_KEPT_MAX))?;
    }
    let visitor_ticket = control.mint(&session, keys::visitor())?;
    let connect = control.connect(control.home_of(&session)?.shard);
    Ok(json(StatusCode::CREATED, &Created { session, visitor_ticket, handle, connect }))
}

/// `GET /v1/sessions`, operator: ids and counts, nothing about people.
pub(crate) fn list(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let page = Page::of(asked.query)?;
    let listed = |(session, home): (SessionId, crate::directory::Home)| Listed {
        session,
        shard: home.shard,
        created: home.created,
        agents_joined: home.counts.agents,
        shares: home.counts.shares,
        takeovers: home.counts.takeovers,
        refusals: home.counts.refusals,
        stage: home.live.stage.unwrap_or(Stage::Waiting),
        mode: home.live.mode,
        participants: home.live.present(),
        lag: home.live.worst_lag(),
        group: home.group,
    };
    let all = control.directory().all();
    let count = all.len();
    let (all, next) = page.cut(all, |(session, home)| format!("{:020}-{session}", home.created));
    let list = List { count, sessions: all.into_iter().map(listed).collect(), next };
    Ok(link(json(StatusCode::OK, &list), asked.query, list.next.as_deref()))
}

/// `DELETE /v1/sessions/<session>`, operator.
pub(crate) fn remove(control: &Control, session: &str) -> Result<Response<Bytes>, Denied> {
    control.end(&session_of(session)?, Code::Ended)?;
    Ok(empty(StatusCode::NO_CONTENT))
}
