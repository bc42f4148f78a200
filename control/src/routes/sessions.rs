//! Sessions: ended by those inside, and created, listed and ended by the operator. A session of somebody else is answered
//! like one that does not exist (G-52).

use std::time::Duration;

use bytes::Bytes;
use fanlight_wire::command::Whom;
use fanlight_wire::limits::{SESSION_KEPT_MAX, SESSIONS_LISTED_MAX};
use fanlight_wire::policy::Mode;
use fanlight_wire::signal::{LagState, Stage};
use fanlight_wire::{Code, Event, GroupId, Refusal, SessionId, ShardId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::config::ConnectInfo;
use crate::control::Control;
use crate::directory::Home;
use crate::http::{Asked, Denied, Page, empty, json, link};
use crate::keys::Guesser;
use crate::mint::Client;
use crate::particulars::{self, Entry, Particulars, Shown};
use crate::presence::Caller;
use crate::routes::{keys, server_of, session_of};
use crate::servers::Scope;

#[derive(Deserialize)]
struct Wish {
    group: GroupId,
    /// Seconds that the session may wait for its first participant, at most a day.
    keep_s: Option<u64>,
    #[serde(flatten)]
    about: particulars::Wish,
    /// The origin of the page that will use the visitor's ticket; absent: it has no documents (R062, R064).
    page: Option<String>,
}

/// A server's wish: the group is its own.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnWish {
    group: Option<GroupId>,
    keep_s: Option<u64>,
    #[serde(flatten)]
    about: particulars::Wish,
    page: Option<String>,
}

#[derive(Serialize)]
struct ListedId {
    session: SessionId,
}

#[derive(Serialize)]
struct OwnList {
    /// Also of those that do not fit into one answer.
    count: usize,
    sessions: Vec<ListedId>,
}

#[derive(Serialize)]
struct Created {
    session: SessionId,
    visitor_ticket: String,
    handle: String,
    connect: ConnectInfo,
}

#[derive(Serialize)]
struct Listed<'a> {
    session: SessionId,
    #[serde(flatten)]
    about: Shown<'a>,
    shard: ShardId,
    created: u64,
    agents_joined: u32,
    shares: u32,
    takeovers: u32,
    refusals: u32,
    group: &'a GroupId,
    /// `waiting`, `active`, `paused`.
    stage: Stage,
    mode: Option<Mode>,
    participants: usize,
    /// How the slowest copy of the page keeps up.
    lag: Option<LagState>,
}

#[derive(Serialize)]
struct List<'a> {
    /// On all pages together.
    count: usize,
    sessions: Vec<Listed<'a>>,
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
        Caller::Server(server) => {
            server.may(Scope::End)?;
            let home = session_of(session).and_then(|session| control.home_of(&session));
            home.is_ok_and(|home| home.group == server.group)
        }
        Caller::Nobody | Caller::Stranger | Caller::Admin(_) | Caller::Operator => {
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
    if asked.caller != Caller::Operator {
        return Err(Refusal::new(Code::Role, "G-52").into());
    }
    let Wish { group, keep_s, about, page } = asked.json()?;
    let client = Client::of(page.as_deref());
    made(control, &group, &asked.caller.who(), about, client).await?.kept(control, keep_s)
}

/// `POST /v1/sessions`, public: a group's server, for its own group.
pub(crate) async fn create_own(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let server = server_of(&asked.caller)?;
    server.may(Scope::Create)?;
    let OwnWish { group, keep_s, about, page } = asked.json_or_nothing()?;
    if group.is_some_and(|group| group != server.group) {
        // As for a group that does not exist.
        let refusal = Refusal::new(Code::NotFound, "control::policies");
        return Err(refusal.saying("There is no such group, or it is not active.").into());
    }
    let client = Client::of(page.as_deref());
    made(control, &server.group, &asked.caller.who(), about, client).await?.kept(control, keep_s)
}

async fn made(
    control: &Control,
    group: &GroupId,
    who: &str,
    about: particulars::Wish,
    client: Client,
) -> Result<Created, Denied> {
    let particulars = Particulars::checked(about, Entry::Server)?;
    let kind = particulars.kind;
    let (session, handle) = control.create(group, who, particulars).await?;
    let visitor_ticket = control.mint(&session, keys::visitor(kind, client))?;
    let connect = control.connect(control.home_of(&session)?.shard);
    Ok(Created { session, visitor_ticket, handle, connect })
}

impl Created {
    /// The answer, for a session that may wait so long for its first participant.
    fn kept(self, control: &Control, seconds: Option<u64>) -> Result<Response<Bytes>, Denied> {
        if let Some(seconds) = seconds {
            control.keep_empty(&self.session, Duration::from_secs(seconds).min(SESSION_KEPT_MAX))?;
        }
        Ok(json(StatusCode::CREATED, &self))
    }
}

impl<'a> Listed<'a> {
    fn of((session, home): &'a (SessionId, Home)) -> Self {
        Self {
            session: *session,
            about: home.particulars.shown(),
            shard: home.shard,
            created: home.created,
            agents_joined: home.counts.agents,
            shares: home.counts.shares,
            takeovers: home.counts.takeovers,
            refusals: home.counts.refusals,
            group: &home.group,
            stage: home.live.stage.unwrap_or(Stage::Waiting),
            mode: home.live.mode,
            participants: home.live.present(),
            lag: home.live.worst_lag(),
        }
    }
}

/// `GET /v1/own-sessions`: ids and nothing else. An agent gets those it is in, a server its group's.
pub(crate) fn list_own(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let all: Vec<SessionId> = match &asked.caller {
        Caller::Agent(login) => {
            let who = Guesser { group: login.group.clone(), agent: login.agent.clone() };
            control.leases().of(&who)
        }
        caller => {
            let server = server_of(caller)?;
            server.may(Scope::List)?;
            let homes = control.directory().all().into_iter();
            homes.filter(|(_, home)| home.group == server.group).map(|(session, _)| session).collect()
        }
    };
    let sessions = all.iter().take(SESSIONS_LISTED_MAX).map(|session| ListedId { session: *session }).collect();
    Ok(json(StatusCode::OK, &OwnList { count: all.len(), sessions }))
}

/// `POST /v1/sessions/<session>/revoke`, operator: every ticket is void and everybody but the visitor is out.
pub(crate) fn revoke(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let session = session_of(session)?;
    let home = control.home_of(&session)?;
    control.revoke(&session, Whom::Everybody, Code::Ticket)?;
    let who = Some(asked.caller.who());
    control.audit(
        Event::SessionRevoked,
        About { group: Some(home.group), session: Some(session), who, ..About::default() },
    );
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `GET /v1/sessions`, operator: ids, counts and what the host product calls them, nothing about people. With
/// `?external_ref=…` only those of that reference (R111).
pub(crate) fn list(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let page = Page::of(asked.query)?;
    let wanted = url::form_urlencoded::parse(asked.query.as_bytes()).find(|(name, _)| name == "external_ref");
    let fits =
        |home: &Home| wanted.as_ref().is_none_or(|(_, text)| home.particulars.external_ref.as_deref() == Some(text));
    let all: Vec<_> = control.directory().all().into_iter().filter(|(_, home)| fits(home)).collect();
    let count = all.len();
    let (all, next) = page.cut(all, |(session, home)| format!("{:020}-{session}", home.created));
    let list = List { count, sessions: all.iter().map(Listed::of).collect(), next };
    Ok(link(json(StatusCode::OK, &list), asked.query, list.next.as_deref()))
}

/// `DELETE /v1/sessions/<session>`, operator.
pub(crate) fn remove(control: &Control, session: &str) -> Result<Response<Bytes>, Denied> {
    control.end(&session_of(session)?, Code::Ended)?;
    Ok(empty(StatusCode::NO_CONTENT))
}
