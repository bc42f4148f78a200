//! The link that opens an agent's viewer, in the messages that tell of the agent's session (R146).
//!
//! Invariant: such a link is a bearer, so it is made when a message leaves and is in nothing that is kept: neither queue
//! nor list of dead messages, neither audit trail nor log. Each try carries one of its own, good once, for two minutes;
//! an agent who may not sign in gets none.

use fanlight_wire::limits::VIEW_LIFE;
use fanlight_wire::{Event, SessionId};
use serde_json::{Map, Value};

use crate::control::Control;
use crate::directory::Home;
use crate::lobby::Seat;
use crate::store::webhooks::Due;

/// What a chat product can write on the link.
const TITLE: &str = "Open the shared session";

impl Control {
    /// The body of a message as it leaves.
    pub(super) async fn leaving(&self, message: &Due) -> String {
        let viewed = [Event::InviteAccepted, Event::SessionCreated].map(Event::label);
        let body = if viewed.contains(&message.event.as_str()) { self.with_view(message).await } else { None };
        body.unwrap_or_else(|| message.body.clone())
    }

    /// None without a running session that an agent may come into.
    async fn with_view(&self, message: &Due) -> Option<String> {
        let mut body: Map<String, Value> = serde_json::from_str(&message.body).ok()?;
        let session: SessionId = message.session.parse().ok()?;
        let home = self.home_of(&session).ok()?;
        let agent = host(&home, body.get("who").and_then(Value::as_str))?;
        let login = self.agent_named(&home.group, agent).await.ok()?;
        let view = self.lobby().view(Seat { login, session, key: None }, self.clock().now()).ok()?;
        body.insert("view_url".into(), format!("{}{view}", self.public_url()).into());
        body.insert("view_title".into(), TITLE.into());
        body.insert("view_expires_s".into(), VIEW_LIFE.as_secs().into());
        serde_json::to_string(&body).ok()
    }
}

/// The agent whose session it is: the one that the message is about, or else the session's host.
fn host<'a>(home: &'a Home, who: Option<&str>) -> Option<&'a str> {
    let hosts = &home.particulars.hosts;
    who.and_then(|who| hosts.get(who)).or_else(|| hosts.first()).map(String::as_str)
}
