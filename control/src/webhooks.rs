//! Webhooks: a group's own servers hear of its events. A message is queued in the store in the same statement sequence as
//! its audit line, delivered at least once with the same id each time, and put aside when its receiver stays away
//! (`docs/webhooks.md`).
//!
//! Invariants: a message holds ids, closed words and codes (R189), and a bearer only while it is on its way ([`view`]); the messages of one session reach one webhook in order,
//! because a later one waits for the earlier; no secret is stored, each is derived from the node's key and a generation;
//! nothing here is waited for by a session.

mod courier;
mod sign;
mod view;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fanlight_wire::event::Ear;
use fanlight_wire::{Event, GroupId, SessionId};
use rusqlite::Connection;
use serde::Serialize;
use tokio::sync::Notify;

use crate::audit::About;
use crate::config::StartError;
use crate::particulars::Context;
use crate::secrets::opaque;
use crate::store::webhooks::{self as kept, Queued, Taken};

pub(crate) use sign::{Key, Signer, new_secret};

/// What webhooks share.
#[derive(Debug)]
pub(crate) struct Webhooks {
    pub(crate) signer: Signer,
    /// Something was queued, or is over.
    news: Arc<Notify>,
    /// Messages under way, and whose they are.
    under_way: Mutex<HashMap<i64, String>>,
}

impl Webhooks {
    pub(crate) fn open(key_path: Option<&Path>) -> Result<Self, StartError> {
        Ok(Self { signer: Signer::open(key_path)?, news: Arc::default(), under_way: Mutex::default() })
    }

    /// Wakes the courier.
    pub(crate) fn wake(&self) -> impl FnOnce() + Send + 'static {
        let news = Arc::clone(&self.news);
        move || news.notify_one()
    }
}

/// The body of a message.
#[derive(Debug, Serialize)]
struct Body<'a> {
    id: &'a str,
    event: &'static str,
    /// Seconds since 1970.
    at: u64,
    group: &'a GroupId,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    /// What the session was started from, and what the host product calls it (R111, R113).
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Context>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_ref: Option<&'a str>,
}

/// A message about an event, for whoever has chosen it; `None` when nobody may.
pub(crate) fn message(event: Event, about: &About, at: u64) -> Option<Message> {
    let group = about.group.as_ref().filter(|_| event.is_heard_by(Ear::Webhook))?;
    Some(Message::new(event.label(), group, about, at))
}

/// One message, not yet addressed.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) group: GroupId,
    pub(crate) queued: Queued,
}

impl Message {
    fn new(event: &'static str, group: &GroupId, about: &About, at: u64) -> Self {
        let id = format!("evt_{}", opaque());
        let particulars = about.particulars.as_deref();
        let body = Body {
            id: &id,
            event,
            at,
            group,
            session: about.session,
            who: about.who.as_deref(),
            code: about.code.map(fanlight_wire::Code::label),
            detail: about.detail,
            context: particulars.and_then(|particulars| particulars.context.as_ref()),
            external_ref: particulars.and_then(|particulars| particulars.external_ref.as_deref()),
        };
        // Plain fields, string keys: writing them cannot fail.
        let body = serde_json::to_string(&body).unwrap_or_default();
        let session = about.session.map(|session| session.to_string()).unwrap_or_default();
        Self { group: group.clone(), queued: Queued { id, event, session, body, at } }
    }

    /// What the console's button sends: an event that never happens by itself.
    pub(crate) fn test(group: &GroupId, at: u64) -> Self {
        Self::new(TEST, group, &About::default(), at)
    }

    /// Queues it for every webhook that wants it.
    pub(crate) fn queue(&self, connection: &Connection) -> rusqlite::Result<Taken> {
        kept::queue(connection, &self.group, &self.queued)
    }
}

/// The name of a test message.
pub(crate) const TEST: &str = "webhook.test";
