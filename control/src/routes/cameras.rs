//! Camera links: `POST /v1/camera-invites` and `GET /v1/camera-invites/<session>` for the agent who sends one,
//! `POST /v1/camera-links/look`, `…/open`, `…/decline` for the phone that holds it.

use bytes::Bytes;
use fanlight_wire::consent::Question;
use fanlight_wire::limits::CAMERA_LINK_LIFE;
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::{Code, Event, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::cameras::{Inviter, Link, Stage, phone};
use crate::config::ConnectInfo;
use crate::control::Control;
use crate::http::{Asked, Denied, empty, json};
use crate::mint::Mint;
use crate::particulars::{Entry, Kind, Particulars};
use crate::routes::keys::visitor;
use crate::routes::{agent_of, session_of};

/// What the phone may do, and what agents may: no page, no screen, no pointer.
const PHONE: Capabilities = Capabilities::PUB_CAMERA.union(Capabilities::END);
const WATCHER: Capabilities = Capabilities::SUB_CAMERA.union(Capabilities::END);

/// What the phone's page asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Look,
    Open,
    Decline,
}

#[derive(Deserialize)]
struct Invite {
    phone: String,
}

#[derive(Serialize)]
struct Sent {
    session: SessionId,
    expires_s: u64,
}

#[derive(Serialize)]
struct State {
    state: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    admission: Option<Admission>,
}

#[derive(Serialize)]
struct Admission {
    session: SessionId,
    ticket: String,
    connect: ConnectInfo,
}

#[derive(Deserialize)]
struct Held {
    token: String,
}

#[derive(Serialize)]
struct Looked {
    agent: String,
    expires_s: u64,
    /// The words that the tap agrees to, and what names them.
    #[serde(flatten)]
    question: Question,
    words: String,
}

#[derive(Serialize)]
struct Opened {
    handle: String,
    #[serde(flatten)]
    admission: Admission,
}

/// Makes the session and sends the link. The number is in this request and in the message, nowhere else.
pub(crate) async fn invite(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?.clone();
    control.refuse_while_draining()?;
    let Invite { phone: typed } = asked.json()?;
    let sms = control.sms().ok_or_else(|| {
        Refusal::new(Code::State, "R124")
            .saying("Text messages are not set up on this relay. Ask the operator for [sms].")
    })?;
    let to = phone(&typed).ok_or_else(|| {
        Refusal::new(Code::Input, "R124").saying("Type the number with its country code, for example +49 170 1234567.")
    })?;
    let inviter = Inviter { group: login.group.clone(), agent: login.agent.clone(), name: login.name.clone() };
    let now = control.clock().now();
    control.cameras().take(&inviter, now)?;
    let particulars = Particulars { kind: Kind::Camera, entry: Entry::Message, ..Particulars::default() };
    let (session, handle) = control.create(&login.group, "agent", particulars).await?;
    let allowed = control.home_of(&session)?.rights(login.role.as_deref());
    let made = if allowed.contains(Capabilities::SUB_CAMERA) {
        control
            .keep_empty(&session, CAMERA_LINK_LIFE)
            .and_then(|()| control.cameras().make(session, inviter, handle, now))
    } else {
        Err(Refusal::new(Code::Capability, "R152"))
    };
    let sent = match made {
        Ok(token) => sms.send(control, &login, &to, &token).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = sent {
        control.end(&session, Code::Ended)?;
        return Err(refusal.into());
    }
    control.audit(Event::InviteSent, about(&login.group, session, &login.agent));
    Ok(json(StatusCode::CREATED, &Sent { session, expires_s: CAMERA_LINK_LIFE.as_secs() }))
}

/// How the link stands; once it is open, a ticket to the session.
pub(crate) fn show(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    let session = session_of(session)?;
    let absent = || Refusal::new(Code::Session, "G-52");
    let link = control.cameras().of(&session, &login.group, &login.agent).ok_or_else(absent)?;
    let state = match link.stage {
        Stage::Sent if link.over || control.clock().now() >= link.until => State { state: "expired", admission: None },
        Stage::Sent => State { state: "sent", admission: None },
        Stage::Declined => State { state: "declined", admission: None },
        Stage::Opened => {
            let watcher = Mint {
                role: Role::Agent,
                capabilities: control.home_of(&session)?.rights(login.role.as_deref()).narrowed_to(WATCHER),
                subject: login.agent.clone(),
                name: login.name.clone(),
                client: asked.client,
            };
            State { state: "opened", admission: Some(admission(control, session, watcher)?) }
        }
    };
    Ok(json(StatusCode::OK, &state))
}

/// The phone: who asks; yes; no.
pub(crate) fn answer(control: &Control, asked: &Asked<'_>, wish: Wish) -> Result<Response<Bytes>, Denied> {
    let Held { token } = asked.json()?;
    let now = control.clock().now();
    match wish {
        Wish::Look => {
            let (link, rest) = control.cameras().look(&token, now)?;
            let question = control.home_of(&link.session)?.policy().questions.view.clone();
            let (agent, words) = (link.inviter.name, question.words());
            Ok(json(StatusCode::OK, &Looked { agent, expires_s: rest.as_secs(), question, words }))
        }
        Wish::Open => {
            control.refuse_while_draining()?;
            let link = control.cameras().answer(&token, Stage::Opened, now)?;
            let phone = Mint { capabilities: PHONE, ..visitor(Kind::Camera, asked.client) };
            let admission = admission(control, link.session, phone)?;
            control.audit(Event::InviteAccepted, visited(&link));
            Ok(json(StatusCode::CREATED, &Opened { handle: link.handle, admission }))
        }
        Wish::Decline => {
            let link = control.cameras().answer(&token, Stage::Declined, now)?;
            control.audit(Event::InviteDeclined, visited(&link));
            control.end(&link.session, Code::Consent)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

fn admission(control: &Control, session: SessionId, mint: Mint) -> Result<Admission, Refusal> {
    let ticket = control.mint(&session, mint)?;
    Ok(Admission { session, ticket, connect: control.connect(control.home_of(&session)?.shard) })
}

fn visited(link: &Link) -> About {
    about(&link.inviter.group, link.session, "visitor")
}

fn about(group: &fanlight_wire::GroupId, session: SessionId, who: &str) -> About {
    let (group, session) = (Some(group.clone()), Some(session));
    About { group, session, who: Some(who.to_owned()), detail: Some("camera"), ..About::default() }
}
