//! Versions and the two heads: shown, saved, published, rolled back, exported and imported.

use bytes::Bytes;
use fanlight_wire::limits::NOTE_CHARS_MAX;
use fanlight_wire::{Code, Event, GroupId, Refusal};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::four_eyes::four_eyes;
use super::{Inquiry, absent, author, stale, unfit, with_etag};
use crate::audit::About;
use crate::control::Control;
use crate::http::{Denied, json};
use crate::policies::check::{Checked, Problem, check};
use crate::store::policies::{self as kept, Author, Head, Mark, Moved, Version};

/// The first line of an exported file.
const FORMAT: &str = "fanlight-policy/1";

#[derive(Deserialize)]
struct Saving {
    bundle: Value,
    #[serde(default)]
    note: String,
    by: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Moving {
    version: Option<u32>,
    by: Option<String>,
}

/// A version as it is shown, and as a file. What is wrong with it is found anew each time.
#[derive(Serialize, Deserialize)]
struct Shown {
    #[serde(default)]
    format: String,
    group: String,
    version: u32,
    /// Seconds since 1970.
    saved: u64,
    by: String,
    note: String,
    bundle: Value,
    /// Why it cannot be published.
    #[serde(default, skip_deserializing)]
    problems: Vec<Problem>,
    #[serde(default, skip_deserializing)]
    warnings: Vec<Problem>,
}

pub(super) async fn show(control: &Control, group: GroupId, head: Head) -> Result<Response<Bytes>, Denied> {
    let wanted = group.clone();
    let kept = control.store().ask(move |connection| kept::headed(connection, &wanted, head)).await?;
    let (mark, version) = kept.ok_or_else(absent)?;
    Ok(with_etag(json(StatusCode::OK, &shown(&group, version)?), mark.etag()))
}

pub(super) async fn version(control: &Control, group: GroupId, number: u32) -> Result<Response<Bytes>, Denied> {
    let version = find(control, &group, number).await?;
    Ok(with_etag(json(StatusCode::OK, &shown(&group, version)?), format!("\"v{number}\"")))
}

/// The same as a file.
pub(super) async fn export(control: &Control, group: GroupId, number: u32) -> Result<Response<Bytes>, Denied> {
    let version = find(control, &group, number).await?;
    let mut response = json(StatusCode::OK, &shown(&group, version)?);
    let name = format!("attachment; filename=\"{}-policy-{number}.json\"", group.as_str());
    if let Ok(value) = HeaderValue::try_from(name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// `PUT …/staging`: a new version, and staging points to it.
pub(super) async fn save(control: &Control, inquiry: &Inquiry<'_>, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let seen = inquiry.seen()?;
    let saving: Saving = inquiry.asked.json()?;
    keep(control, inquiry, group, seen, saving).await
}

/// `POST …/import`: an exported file, of this group or another, becomes a new version in staging.
pub(super) async fn import(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
) -> Result<Response<Bytes>, Denied> {
    let seen = inquiry.seen()?;
    let file: Shown = inquiry.asked.json()?;
    if file.format != FORMAT {
        let refusal = Refusal::new(Code::Input, "docs/policy.md");
        return Err(refusal.saying("This is no exported policy of a format that this relay knows.").into());
    }
    let note = format!("Imported: version {} of {}. {}", file.version, file.group, file.note);
    let note = note.chars().take(NOTE_CHARS_MAX).collect();
    keep(control, inquiry, group, seen, Saving { bundle: file.bundle, note, by: None }).await
}

async fn keep(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
    seen: String,
    saving: Saving,
) -> Result<Response<Bytes>, Denied> {
    let author = author(control, inquiry, saving.by)?;
    if saving.note.chars().count() > NOTE_CHARS_MAX {
        let refusal = Refusal::new(Code::Input, "limits::NOTE_CHARS_MAX");
        return Err(refusal.saying("\"note\" must be at most 500 characters.").into());
    }
    let checked = match check(&saving.bundle) {
        Ok(checked) => checked,
        Err(problems) => return Ok(unfit(control, &problems)),
    };
    // What is kept says every setting, so that a later release's defaults change no version.
    let text = serde_json::to_string(&checked.bundle).unwrap_or_default();
    let wanted = group.clone();
    let moved =
        control.store().ask(move |connection| kept::save(connection, &wanted, &seen, (&text, &saving.note), &author));
    done(control, inquiry, group, moved.await?, Event::PolicySaved).await
}

/// `POST …/publish`: production points to staging's version, or to the one that is named.
pub(super) async fn publish(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
) -> Result<Response<Bytes>, Denied> {
    let (seen, wish, author) = moving(control, inquiry)?;
    let wanted = group.clone();
    let found = control.store().ask(move |connection| match wish.version {
        Some(version) => kept::version(connection, &wanted, version),
        None => Ok(kept::headed(connection, &wanted, Head::Staging)?.map(|(_, version)| version)),
    });
    let version = found.await?.ok_or_else(absent)?;
    let problems = match rechecked(&version)? {
        Ok(checked) => checked.before_publish,
        Err(problems) => problems,
    };
    if !problems.is_empty() {
        return Ok(unfit(control, &problems));
    }
    let moved = to_production(control, inquiry, &group, seen, ("published", version), author).await?;
    done(control, inquiry, group, moved, Event::PolicyPublished).await
}

/// Moves production's head, if it is where it was seen, to a version that this person may put there.
async fn to_production(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: &GroupId,
    seen: String,
    (how, version): (&'static str, Version),
    author: Author,
) -> Result<Moved, Refusal> {
    four_eyes(control, inquiry, group, &version).await?;
    let (group, to) = (group.clone(), version.version);
    control.store().ask(move |connection| kept::move_production(connection, &group, &seen, (how, to), &author)).await
}

/// `POST …/rollback`: production points to the version before, or to an earlier one that is named.
pub(super) async fn roll_back(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
) -> Result<Response<Bytes>, Denied> {
    let (seen, wish, author) = moving(control, inquiry)?;
    let wanted = group.clone();
    let found = control.store().ask(move |connection| {
        let Some(now) = kept::mark(connection, &wanted, Head::Production)? else { return Ok(None) };
        let to = match wish.version {
            Some(version) => Some(version),
            None => kept::previous_production(connection, &wanted, now.version)?,
        };
        match to {
            Some(to) if kept::was_in_production(connection, &wanted, to)? => kept::version(connection, &wanted, to),
            _ => Ok(None),
        }
    });
    let Some(version) = found.await? else {
        let refusal = Refusal::new(Code::State, "R028");
        return Err(refusal.saying("There is no version in production before that could be gone back to.").into());
    };
    let moved = to_production(control, inquiry, &group, seen, ("rolled_back", version), author).await?;
    done(control, inquiry, group, moved, Event::PolicyRolledBack).await
}

fn moving(control: &Control, inquiry: &Inquiry<'_>) -> Result<(String, Moving, Author), Denied> {
    let seen = inquiry.seen()?;
    let mut wish = inquiry.asked.json_or_nothing::<Moving>()?;
    let author = author(control, inquiry, wish.by.take())?;
    Ok((seen, wish, author))
}

/// The head as it is now, or why it is not where it should be.
async fn done(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
    moved: Moved,
    event: Event,
) -> Result<Response<Bytes>, Denied> {
    let mark: Mark = match moved {
        Moved::To(mark) => mark,
        Moved::Stale(now) => return Ok(stale(control, now)),
        Moved::Absent => return Err(absent().into()),
    };
    control
        .audit(event, About { group: Some(group.clone()), who: Some(inquiry.asked.caller.who()), ..About::default() });
    let version = find(control, &group, mark.version).await?;
    Ok(with_etag(json(StatusCode::OK, &shown(&group, version)?), mark.etag()))
}

async fn find(control: &Control, group: &GroupId, number: u32) -> Result<Version, Refusal> {
    let wanted = group.clone();
    let found = control.store().ask(move |connection| kept::version(connection, &wanted, number)).await?;
    found.ok_or_else(absent)
}

fn shown(group: &GroupId, version: Version) -> Result<Shown, Refusal> {
    let (problems, warnings) = match rechecked(&version)? {
        Ok(checked) => (checked.before_publish, checked.warnings),
        Err(problems) => (problems, Vec::new()),
    };
    Ok(Shown {
        format: FORMAT.into(),
        group: group.as_str().into(),
        version: version.version,
        saved: version.saved,
        by: version.who,
        note: version.note,
        bundle: document(&version.bundle)?,
        problems,
        warnings,
    })
}

/// A kept version under today's rules: an older release may have let through what this one does not.
fn rechecked(version: &Version) -> Result<Result<Checked, Vec<Problem>>, Refusal> {
    Ok(check(&document(&version.bundle)?))
}

pub(super) fn document(text: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "a kept policy cannot be read");
        Refusal::new(Code::Store, "control::policies")
    })
}
