//! Sessions that an agent begins (R127–R137), how it comes into them, and the links that open its viewer (R146, R149).

use std::sync::Arc;

use bytes::Bytes;
use fanlight_wire::limits::{LINK_LIFE, VIEW_LIFE};
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::config::ConnectInfo;
use crate::control::Control;
use crate::directory::Home;
use crate::http::{Asked, Denied, json};
use crate::lobby::Seat;
use crate::mint::{Client, Mint};
use crate::particulars::{Entry, Kind, Particulars, Wish};
use crate::policies::{capabilities, to_pin};
use crate::presence::{Caller, Login};
use crate::routes::join::take_place;
use crate::routes::{agent_of, guesser, own_group, session_of};
use crate::servers::Scope;

#[derive(Serialize)]
struct Begun {
    session: SessionId,
    kind: Kind,
    /// Relative to the public door: what the visitor opens.
    join_url: String,
    /// What the visitor types, where the group wants that (R133).
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    expires_s: u64,
}

/// What lets one agent into one session.
#[derive(Serialize)]
pub(crate) struct Joinable {
    session: SessionId,
    kind: Kind,
    ticket: String,
    connect: ConnectInfo,
}

#[derive(Serialize)]
struct ViewLink {
    /// Relative to the public door.
    view_url: String,
    expires_s: u64,
}

#[derive(Deserialize)]
struct Token {
    token: String,
    #[serde(flatten)]
    instead: Instead,
}

/// R143: the session to leave for the one that is joined.
#[derive(Default, Deserialize)]
struct Instead {
    leave: Option<SessionId>,
}

#[derive(Deserialize)]
struct For {
    agent: String,
}

#[derive(Serialize)]
struct Opened<'a> {
    agent: &'a str,
    name: &'a str,
    group: &'a str,
    #[serde(flatten)]
    way: Joinable,
}

/// `POST /v1/sessions`, public: an agent begins a session and gets the link for its visitor.
pub(crate) async fn begin(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    let wish: Wish = asked.json()?;
    let mut particulars = Particulars::checked(wish, Entry::Link)?;
    let kind = particulars.kind;
    if matches!(kind, Kind::Cobrowse | Kind::Camera) {
        let sentence = "A link is for sessions of the kinds show and view. A page joins by invite or key.";
        return Err(Refusal::new(Code::Input, "R107").saying(sentence).into());
    }
    let pinned = to_pin(control.store(), &login.group).await?;
    let (needed, rule) = kind.needs();
    if !capabilities(&pinned.bundle, login.role.as_deref()).contains(needed) {
        return Err(Refusal::new(Code::Capability, rule).into());
    }
    particulars.hosts.insert(login.agent.clone());
    particulars.host_name.clone_from(&login.name);
    let (session, _) = control.create(&login.group, &login.agent, particulars).await?;
    let made = control.lobby().links.make(session, pinned.bundle.session.key_required, control.clock().now())?;
    let join_url = format!("/j/{}", made.code);
    let about = About { group: Some(login.group.clone()), session: Some(session), ..About::default() };
    control.audit(Event::InviteSent, About { who: Some(login.agent.clone()), ..about });
    let expires_s = LINK_LIFE.as_secs();
    Ok(json(StatusCode::CREATED, &Begun { session, kind, join_url, key: made.key, expires_s }))
}

/// `POST /v1/sessions/<session>/join`: a host of the session comes in.
pub(crate) fn join(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    control.refuse_while_draining()?;
    let Instead { leave } = if asked.body.is_empty() { Instead::default() } else { asked.json()? };
    let (session, home) = hosted(control, login, session)?;
    take_place(control, &guesser(login), &session, &home, leave)?;
    Ok(json(StatusCode::OK, &way_in(control, login, asked.client, (session, &home))?))
}

/// `POST /v1/sessions/<session>/view`, public: a host gets a link that opens its viewer in this session.
pub(crate) fn view(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    let (session, _) = hosted(control, login, session)?;
    view_link(control, Seat { login: login.clone(), session, key: None })
}

/// The same for an agent whom the operator or its group's server names.
pub(crate) async fn view_for(control: &Control, asked: Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let own = own_group(&asked.caller, Scope::Tickets)?;
    let session = session_of(session)?;
    let group = control.home_of(&session)?.group;
    if own.is_some_and(|own| *own != group) {
        return Err(Refusal::new(Code::Session, "G-52").into());
    }
    let For { agent } = asked.json()?;
    let login = control.agent_named(&group, &agent).await?;
    let key = match &asked.caller {
        Caller::Server(server) => Some(Arc::clone(&server.key)),
        _ => None,
    };
    if key.is_some() {
        // Whom a key has let in goes out with it.
        control.passes().give(&session, Role::Agent, &agent, key.as_ref())?;
    }
    control.directory().note_host(&session, &agent);
    view_link(control, Seat { login, session, key })
}

/// `POST /v1/views`: the viewer exchanges the token of its link, once, for a way in.
pub(crate) fn open(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    control.refuse_while_draining()?;
    let Token { token, instead } = asked.json()?;
    let (views, now) = (&control.lobby().views, control.clock().now());
    let void =
        || Refusal::new(Code::Ticket, "R149").saying("This link has been used or has expired. Ask for a new one.");
    let Seat { login, session, .. } = views.find(&token, now).ok_or_else(void)?;
    let home = control.home_of(&session)?;
    take_place(control, &guesser(&login), &session, &home, instead.leave)?;
    // Used up only now: who has to leave another session first shows it once more.
    views.take(&token, now).ok_or_else(void)?;
    let way = way_in(control, &login, asked.client, (session, &home))?;
    let opened = Opened { agent: &login.agent, name: &login.name, group: login.group.as_str(), way };
    Ok(json(StatusCode::OK, &opened))
}

/// An agent's ticket for a session it may come into. The visitor is asked afterwards, unless it has agreed already.
pub(crate) fn way_in(
    control: &Control,
    login: &Login,
    client: Client,
    (session, home): (SessionId, &Home),
) -> Result<Joinable, Refusal> {
    control.directory().note_role(&session, &login.agent, login.role.as_deref());
    let kind = home.particulars.kind;
    let agent = Mint {
        role: Role::Agent,
        // R152: what the group, as the session has pinned it, and the role leave, of what such a session is for.
        capabilities: home.rights(login.role.as_deref()).narrowed_to(kind.agent()),
        subject: login.agent.clone(),
        name: login.name.clone(),
        client,
    };
    let ticket = control.mint(&session, agent)?;
    Ok(Joinable { session, kind, ticket, connect: control.connect(home.shard) })
}

/// A session of which this agent is a host; any other is absent (G-52).
fn hosted(control: &Control, login: &Login, session: &str) -> Result<(SessionId, Home), Refusal> {
    let session = session_of(session)?;
    let home = control.home_of(&session)?;
    if home.group == login.group && home.particulars.hosts.contains(&login.agent) {
        return Ok((session, home));
    }
    Err(Refusal::new(Code::Session, "G-52"))
}

fn view_link(control: &Control, seat: Seat) -> Result<Response<Bytes>, Denied> {
    let view_url = control.lobby().view(seat, control.clock().now())?;
    Ok(json(StatusCode::CREATED, &ViewLink { view_url, expires_s: VIEW_LIFE.as_secs() }))
}
