//! Webhooks of a group, for the operator's people and for the group's own server: made, listed, changed, given a new
//! secret, tested, looked after. What is another group's looks absent (G-52).

use bytes::Bytes;
use fanlight_wire::event::Ear;
use fanlight_wire::limits::{DELIVERIES_PER_PAGE, WEBHOOK_SECRET_OVERLAP, WEBHOOKS_PER_GROUP_MAX};
use fanlight_wire::{Code, Event, GroupId, Refusal};
use hyper::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::control::Control;
use crate::http::{Asked, Denied, empty, json};
use crate::routes::{group_of, own_group};
use crate::secrets::opaque;
use crate::servers::Scope;
use crate::store::webhooks::{self as kept, Delivery, Webhook};

/// One address under `/v1/groups/<group>/webhooks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook<'a> {
    Webhooks(&'a str),
    Webhook(&'a str, &'a str),
    Rotate(&'a str, &'a str),
    Test(&'a str, &'a str),
    Deliveries(&'a str, &'a str),
    Replay(&'a str, &'a str),
}

impl<'a> Hook<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/groups/")?.split('/').collect();
        Some(match segments.as_slice() {
            [group, "webhooks"] => Self::Webhooks(group),
            [group, "webhooks", webhook] => Self::Webhook(group, webhook),
            [group, "webhooks", webhook, "rotate"] => Self::Rotate(group, webhook),
            [group, "webhooks", webhook, "test"] => Self::Test(group, webhook),
            [group, "webhooks", webhook, "deliveries"] => Self::Deliveries(group, webhook),
            [group, "webhooks", webhook, "replay"] => Self::Replay(group, webhook),
            _ => return None,
        })
    }

    const fn group(self) -> &'a str {
        match self {
            Self::Webhooks(group)
            | Self::Webhook(group, _)
            | Self::Rotate(group, _)
            | Self::Test(group, _)
            | Self::Deliveries(group, _)
            | Self::Replay(group, _) => group,
        }
    }

    /// As the `Allow` header says it.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::Webhooks(_) => "GET, POST",
            Self::Webhook(..) => "PATCH, DELETE",
            Self::Rotate(..) | Self::Test(..) | Self::Replay(..) => "POST",
            Self::Deliveries(..) => "GET",
        }
    }
}

#[derive(Deserialize)]
struct New {
    url: String,
    events: Vec<String>,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Deserialize)]
struct Changes {
    url: Option<String>,
    events: Option<Vec<String>>,
    active: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Chosen {
    delivery: Option<i64>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    webhook: Webhook,
    waiting: u64,
    dead: u64,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Serialize)]
struct List {
    webhooks: Vec<Shown>,
    /// Everything that may be chosen.
    events: Vec<Choice>,
}

#[derive(Serialize)]
struct Choice {
    event: &'static str,
    when: &'static str,
}

#[derive(Serialize)]
struct Rotated {
    secret: String,
    /// Seconds since 1970 until which messages carry a signature of the secret before, too.
    previous_until: u64,
}

#[derive(Serialize)]
struct Tested {
    delivered: bool,
    status: Option<u16>,
    sentence: String,
    took_ms: u64,
}

#[derive(Serialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
    /// Give it as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize)]
struct Replayed {
    replayed: usize,
}

const fn yes() -> bool {
    true
}

pub(crate) async fn answer(control: &Control, hook: Hook<'_>, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let own = own_group(&asked.caller, Scope::Webhooks)?;
    let group = group_of(hook.group(), absent)?;
    if own.is_some_and(|own| *own != group) {
        return Err(absent().into());
    }
    match hook {
        Hook::Webhooks(_) if *asked.method == Method::GET => list(control, group).await,
        Hook::Webhooks(_) => create(control, &asked, group).await,
        Hook::Webhook(_, id) if *asked.method == Method::DELETE => remove(control, &asked, group, id).await,
        Hook::Webhook(_, id) => change(control, &asked, group, id).await,
        Hook::Rotate(_, id) => rotate(control, &asked, group, id).await,
        Hook::Test(_, id) => test(control, group, id).await,
        Hook::Deliveries(_, id) => deliveries(control, &asked, group, id).await,
        Hook::Replay(_, id) => replay(control, &asked, group, id).await,
    }
}

fn absent() -> Refusal {
    Refusal::new(Code::NotFound, "G-52").saying("There is no such group or webhook.")
}

async fn list(control: &Control, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let found = control.store().ask(move |connection| {
        let Some(all) = kept::all(connection, &group)? else { return Ok(None) };
        all.into_iter().map(|webhook| shown(connection, webhook)).collect::<rusqlite::Result<Vec<_>>>().map(Some)
    });
    let webhooks = found.await?.ok_or_else(absent)?;
    Ok(json(StatusCode::OK, &List { webhooks, events: choices() }))
}

async fn create(control: &Control, asked: &Asked<'_>, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let New { url, events, active } = asked.json()?;
    let webhook = Webhook {
        id: format!("wh_{}", opaque()),
        url: fit(control, url)?,
        events: chosen(events)?.into_iter().collect(),
        active,
        generation: 1,
        previous_until: 0,
        created: control.clock().unix_seconds(),
        delivered_at: None,
        failed_at: None,
        failure: None,
    };
    let (wanted, made) = (group.clone(), webhook.clone());
    let room = control.store().ask(move |connection| {
        let Some(all) = kept::all(connection, &wanted)? else { return Ok(None) };
        let room = all.len() < WEBHOOKS_PER_GROUP_MAX;
        if room {
            kept::put(connection, &wanted, &made)?;
        }
        Ok(Some(room))
    });
    if !room.await?.ok_or_else(absent)? {
        let refusal = Refusal::new(Code::Full, "limits::WEBHOOKS_PER_GROUP_MAX");
        return Err(refusal.saying("The group has ten webhooks already. Remove one first.").into());
    }
    changed(control, asked, group);
    let secret = Some(control.webhooks().signer.secret(&webhook.id, webhook.generation));
    Ok(json(StatusCode::CREATED, &Shown { webhook, waiting: 0, dead: 0, secret }))
}

async fn change(control: &Control, asked: &Asked<'_>, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let Changes { url, events, active } = asked.json()?;
    let mut webhook = find(control, &group, id).await?;
    if let Some(url) = url {
        webhook.url = fit(control, url)?;
    }
    if let Some(events) = events {
        webhook.events = chosen(events)?.into_iter().collect();
    }
    webhook.active = active.unwrap_or(webhook.active);
    let wanted = group.clone();
    let shown = control.store().ask(move |connection| {
        kept::put(connection, &wanted, &webhook)?;
        shown(connection, webhook)
    });
    let shown = shown.await?;
    changed(control, asked, group);
    Ok(json(StatusCode::OK, &shown))
}

async fn remove(control: &Control, asked: &Asked<'_>, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let (wanted, id) = (group.clone(), id.to_owned());
    if !control.store().ask(move |connection| kept::remove(connection, &wanted, &id)).await? {
        return Err(absent().into());
    }
    changed(control, asked, group);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// A new secret; the one before signs beside it for a day, so that a receiver can change at its own time.
async fn rotate(control: &Control, asked: &Asked<'_>, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let webhook = find(control, &group, id).await?;
    let (id, from) = (webhook.id.clone(), webhook.generation);
    let previous_until = control.clock().unix_seconds().saturating_add(WEBHOOK_SECRET_OVERLAP.as_secs());
    control.store().ask(move |connection| kept::rotate(connection, &id, from, previous_until)).await?;
    changed(control, asked, group);
    let secret = control.webhooks().signer.secret(&webhook.id, from.saturating_add(1));
    Ok(json(StatusCode::OK, &Rotated { secret, previous_until }))
}

async fn test(control: &Control, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let webhook = find(control, &group, id).await?;
    let tried = control.test_webhook(&group, &webhook).await;
    let tested = Tested {
        delivered: tried.is_delivered(),
        status: tried.status.map(|status| status.as_u16()),
        sentence: tried.sentence,
        took_ms: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
    };
    Ok(json(StatusCode::OK, &tested))
}

async fn deliveries(control: &Control, asked: &Asked<'_>, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let webhook = find(control, &group, id).await?;
    let wrong = |sentence: &'static str| Refusal::new(Code::Input, "docs/webhooks.md").saying(sentence);
    let dead = match asked.parameter("state").as_deref() {
        None | Some("dead") => true,
        Some("waiting") => false,
        Some(_) => return Err(wrong("\"state\" must be dead or waiting.").into()),
    };
    let after = asked
        .parameter("after")
        .map_or(Ok(0), |text| text.parse())
        .map_err(|_| wrong("\"after\" must be a number."))?;
    let found = control
        .store()
        .ask(move |connection| kept::list(connection, &webhook.id, dead, after, DELIVERIES_PER_PAGE + 1));
    let mut deliveries = found.await?;
    let more = deliveries.len() > DELIVERIES_PER_PAGE;
    deliveries.truncate(DELIVERIES_PER_PAGE);
    let next = deliveries.last().map(|last| last.delivery).filter(|_| more);
    Ok(json(StatusCode::OK, &Deliveries { deliveries, next }))
}

/// Dead messages are tried again: one, or all. They keep their ids, so a receiver that has one knows it.
async fn replay(control: &Control, asked: &Asked<'_>, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let Chosen { delivery } = asked.json_or_nothing()?;
    let webhook = find(control, &group, id).await?;
    let now = control.clock().unix_seconds();
    let replayed = control.store().ask(move |connection| kept::replay(connection, &webhook.id, delivery, now)).await?;
    control.webhooks().wake()();
    Ok(json(StatusCode::ACCEPTED, &Replayed { replayed }))
}

async fn find(control: &Control, group: &GroupId, id: &str) -> Result<Webhook, Refusal> {
    let (group, id) = (group.clone(), id.to_owned());
    control.store().ask(move |connection| kept::find(connection, &group, &id)).await?.ok_or_else(absent)
}

fn shown(connection: &rusqlite::Connection, webhook: Webhook) -> rusqlite::Result<Shown> {
    let (waiting, dead) = kept::counts(connection, &webhook.id)?;
    Ok(Shown { webhook, waiting, dead, secret: None })
}

fn changed(control: &Control, asked: &Asked<'_>, group: GroupId) {
    let about = About { group: Some(group), who: Some(asked.caller.who()), ..About::default() };
    control.audit(Event::WebhookChanged, about);
}

/// An address that the fetcher would go to, as far as its text says; what its host resolves to is judged at each use.
fn fit(control: &Control, url: String) -> Result<String, Refusal> {
    match control.fetcher().target(&url) {
        Ok(_) => Ok(url),
        Err(error) => Err(Refusal::new(Code::Input, "G-70").saying(error.to_string())),
    }
}

fn choices() -> Vec<Choice> {
    let heard = Event::ALL.iter().filter(|event| event.is_heard_by(Ear::Webhook));
    heard.map(|event| Choice { event: event.label(), when: event.sentence() }).collect()
}

/// Names of the list that webhooks may hear; at least one.
fn chosen(events: Vec<String>) -> Result<Vec<String>, Refusal> {
    let refused = |sentence: String| Err(Refusal::new(Code::Input, "docs/events.md").saying(sentence));
    if events.is_empty() {
        return refused("Choose at least one event.".into());
    }
    let heard = |name: &str| Event::named(name).is_some_and(|event| event.is_heard_by(Ear::Webhook));
    match events.iter().position(|name| !heard(name)) {
        // Not repeated: it is whatever somebody typed.
        Some(at) => refused(format!("Event {} of the list is none that a webhook can hear.", at + 1)),
        None => Ok(events),
    }
}
