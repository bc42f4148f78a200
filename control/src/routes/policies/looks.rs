//! Looking at rules and reaching what runs: evaluate, diff, history, rollout, enforce.

use std::collections::BTreeMap;

use bytes::Bytes;
use fanlight_wire::{Event, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::heads::document;
use super::{Inquiry, absent, author};
use crate::audit::About;
use crate::control::Control;
use crate::http::{Denied, json};
use crate::policies::diff::{Change, diff as compare};
use crate::policies::judge::{Verdict, Wish, judge};
use crate::policies::read;
use crate::store::policies::{self as kept, Head, Move, Version};

/// Lines of history in one answer.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Question {
    group: GroupId,
    role: Option<String>,
    wish: Wish,
}

#[derive(Serialize)]
struct Answer {
    version: u32,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Serialize)]
struct Answers {
    staging: Answer,
    production: Answer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Enforcing {
    version: Option<u32>,
    by: Option<String>,
}

#[derive(Serialize)]
struct Rollout {
    production: Option<u32>,
    /// Sessions of the group that run, and those of them under the version in production.
    sessions: usize,
    under_production: usize,
    /// Sessions by the version in force.
    in_force: BTreeMap<u32, usize>,
}

#[derive(Serialize)]
struct Enforced {
    version: u32,
    /// Sessions that were told to narrow, and those whose shard could not be reached: repeat for these.
    told: usize,
    unreached: usize,
}

#[derive(Serialize)]
struct Differences {
    from: u32,
    to: u32,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct History {
    moves: Vec<Move>,
    /// Ask with `?before=` this for older ones.
    next: Option<i64>,
}

/// `POST /v1/policy/evaluate`: the same wish under both heads.
pub(super) async fn evaluate(control: &Control, inquiry: &Inquiry<'_>) -> Result<Response<Bytes>, Denied> {
    let Question { group, role, wish } = inquiry.asked.json()?;
    let (staging, production) =
        (at_head(control, &group, Head::Staging).await?, at_head(control, &group, Head::Production).await?);
    let answer = |version: &Version| -> Result<Answer, Refusal> {
        let numbered = read(version)?;
        Ok(Answer { version: numbered.version, verdict: judge(&numbered.bundle, role.as_deref(), &wish) })
    };
    Ok(json(StatusCode::OK, &Answers { staging: answer(&staging)?, production: answer(&production)? }))
}

/// `GET …/diff?from=…&to=…`: each a number, `staging` or `production`.
pub(super) async fn diff(control: &Control, inquiry: &Inquiry<'_>, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let from = chosen(control, &group, inquiry.asked.parameter("from").as_deref().unwrap_or("production")).await?;
    let to = chosen(control, &group, inquiry.asked.parameter("to").as_deref().unwrap_or("staging")).await?;
    let changes = compare(&document(&from.bundle)?, &document(&to.bundle)?);
    Ok(json(StatusCode::OK, &Differences { from: from.version, to: to.version, changes }))
}

/// `GET …/history?before=…`: newest first.
pub(super) async fn history(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
) -> Result<Response<Bytes>, Denied> {
    let before = inquiry.asked.parameter("before").and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    let lines = control.store().ask(move |connection| {
        let known = kept::group(connection, &group)?.is_some();
        known.then(|| kept::history(connection, &group, before, PAGE)).transpose()
    });
    let lines = lines.await?.ok_or_else(absent)?;
    let next = if lines.len() == PAGE { lines.last().map(|(id, _)| *id) } else { None };
    Ok(json(StatusCode::OK, &History { moves: lines.into_iter().map(|(_, line)| line).collect(), next }))
}

/// `GET …/rollout`: how many sessions are under which version.
pub(super) async fn rollout(control: &Control, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let production = at_head(control, &group, Head::Production).await?.version;
    let mut in_force = BTreeMap::new();
    for (_, home) in control.directory().all().into_iter().filter(|(_, home)| home.group == group) {
        *in_force.entry(home.in_force).or_insert(0) += 1;
    }
    let (sessions, under_production) =
        (in_force.values().sum(), in_force.get(&production).copied().unwrap_or_default());
    Ok(json(StatusCode::OK, &Rollout { production: Some(production), sessions, under_production, in_force }))
}

/// `POST …/enforce`: running sessions get no more than production (or a named version) allows, now.
pub(super) async fn enforce(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
) -> Result<Response<Bytes>, Denied> {
    let Enforcing { version, by } =
        if inquiry.asked.body.is_empty() { Enforcing::default() } else { inquiry.asked.json()? };
    let author = author(control, inquiry, by)?;
    let version = match version {
        Some(version) => chosen(control, &group, &version.to_string()).await?,
        None => at_head(control, &group, Head::Production).await?,
    };
    let numbered = read(&version)?;
    let number = numbered.version;
    let (told, unreached) = control.enforce(&group, numbered);
    let wanted = group.clone();
    control.store().ask(move |connection| kept::note_enforced(connection, &wanted, number, &author)).await?;
    control.audit(
        Event::PolicyEnforced,
        About { group: Some(group), who: Some(inquiry.asked.caller.who()), ..About::default() },
    );
    Ok(json(StatusCode::ACCEPTED, &Enforced { version: number, told, unreached }))
}

async fn at_head(control: &Control, group: &GroupId, head: Head) -> Result<Version, Refusal> {
    let wanted = group.clone();
    let found = control.store().ask(move |connection| kept::headed(connection, &wanted, head)).await?;
    found.map(|(_, version)| version).ok_or_else(absent)
}

async fn chosen(control: &Control, group: &GroupId, which: &str) -> Result<Version, Refusal> {
    match which {
        "staging" => at_head(control, group, Head::Staging).await,
        "production" => at_head(control, group, Head::Production).await,
        number => {
            let (wanted, number) = (group.clone(), number.parse::<u32>().map_err(|_| absent())?);
            let found = control.store().ask(move |connection| kept::version(connection, &wanted, number)).await?;
            found.ok_or_else(absent)
        }
    }
}
