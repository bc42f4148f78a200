//! What an agent can open and share in a session, that it has opened a bookmark, and an address it would have liked to
//! share (R036, R037, R054, R101). For agents of the session's group; for everybody else there is no such session.

use bytes::Bytes;
use fanlight_wire::address::Address;
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::Deserialize;

use super::session_of;
use crate::audit::About;
use crate::control::Control;
use crate::directory::Home;
use crate::http::{Asked, Denied, empty, json};
use crate::policies::shareable::Shareable;
use crate::presence::{Caller, Login};
use crate::store::suggestions::{self, Suggested};

#[derive(Deserialize)]
struct Shown {
    url: String,
}

/// `GET /v1/sessions/<session>/shareable`.
pub(crate) fn show(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let (_, home, login) = at_home(control, asked, session)?;
    Ok(json(StatusCode::OK, &Shareable::of(&home, login.role.as_deref())))
}

/// `POST /v1/sessions/<session>/bookmarks`: the agent opens one of them (R019: checked again at the click).
pub(crate) fn opened(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let (session, home, login) = at_home(control, asked, session)?;
    let Shown { url } = asked.json()?;
    if !Shareable::of(&home, login.role.as_deref()).has(&url) {
        let refusal = Refusal::new(Code::Site, "R020");
        return Err(refusal.saying("This page is not a bookmark of this session.").into());
    }
    let (group, who) = (Some(home.group), Some(login.agent.clone()));
    control.audit(Event::BookmarkOpened, About { group, session: Some(session), who, ..About::default() });
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `POST /v1/sessions/<session>/suggestions`: the administrator is told of an address that was refused.
pub(crate) async fn suggest(control: &Control, asked: Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let (session, home, login) = at_home(control, &asked, session)?;
    let Shown { url } = asked.json()?;
    let address = Address::parse(&url)
        .map_err(|unfit| Refusal::new(Code::Input, "R054").saying(unfit.sentence()))?
        .without_query();
    let (agent, at) = (login.agent.clone(), control.clock().unix_seconds());
    let row = Suggested { group: home.group.clone(), url: address.to_string(), agent: agent.clone(), at };
    if !control.store().ask(move |connection| suggestions::put(connection, &row)).await? {
        let refusal = Refusal::new(Code::Full, "limits::SUGGESTIONS_MAX");
        let sentence = "Your administrator has a full list of suggestions to read. Please tell them directly.";
        return Err(refusal.saying(sentence).into());
    }
    let about = About { group: Some(home.group), session: Some(session), who: Some(agent), ..About::default() };
    control.audit(Event::SiteSuggested, about);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// G-52: a session that is absent and one of another group are the same.
fn at_home<'a>(
    control: &Control,
    asked: &'a Asked<'_>,
    session: &str,
) -> Result<(SessionId, Home, &'a Login), Refusal> {
    let login = match &asked.caller {
        Caller::Agent(login) => login,
        Caller::Visitor(_) | Caller::Server(_) | Caller::Admin(_) | Caller::Operator => {
            return Err(Refusal::new(Code::Role, "G-52"));
        }
        Caller::Nobody | Caller::Stranger => return Err(Refusal::new(Code::Login, "G-52")),
    };
    let session = session_of(session)?;
    let home = control.home_of(&session)?;
    if home.group != login.group {
        return Err(Refusal::new(Code::Session, "G-52"));
    }
    Ok((session, home, login))
}
