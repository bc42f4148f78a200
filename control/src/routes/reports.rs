//! Reports at the operator's door: sessions and who saw what, sums for charts, the audit trail, receipts (R190). Receipts
//! also for the group's own server.
//!
//! Invariant: a question names a range of at most [`REPORT_DAYS_MAX`] days; answers hold ids and counts, never content,
//! display names or names of documents. Leaves reading to the store.

use std::collections::BTreeMap;

use bytes::Bytes;
use fanlight_wire::consent::Matter;
use fanlight_wire::limits::{REPORT_DAYS_MAX, REPORT_ROWS_MAX};
use fanlight_wire::{Code, Refusal, SessionId};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::control::Control;
use crate::http::{Asked, Denied, Form, Page, csv, download, json, link};
use crate::policies::{Bundle, questions};
use crate::routes::{own_group, session_of};
use crate::servers::Scope;
use crate::store::receipts as kept;
use crate::store::reports::{self as read, AuditRow, Day, Filter, Lasted, OUTCOMES, SessionRow};

/// One address of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report<'a> {
    Sessions,
    Session(&'a str),
    Summary,
    Audit,
    Receipts(&'a str),
}

impl<'a> Report<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        Some(match segments.as_slice() {
            ["reports", "sessions"] => Self::Sessions,
            ["reports", "sessions", session] => Self::Session(session),
            ["reports", "summary"] => Self::Summary,
            ["audit"] => Self::Audit,
            ["sessions", session, "receipts"] => Self::Receipts(session),
            _ => return None,
        })
    }

    /// Has it this address at the public door too?
    pub(crate) const fn is_public(self) -> bool {
        matches!(self, Self::Receipts(_))
    }
}

#[derive(Serialize)]
struct Sessions {
    from: String,
    to: String,
    sessions: Vec<SessionRow>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: SessionRow,
    who: Vec<read::AgentRow>,
}

#[derive(Serialize)]
struct Summary {
    from: String,
    to: String,
    sessions: u32,
    outcomes: BTreeMap<&'static str, u32>,
    days: Vec<Day>,
    durations: Vec<Lasted>,
}

#[derive(Serialize)]
struct Audit {
    from: String,
    to: String,
    lines: Vec<AuditRow>,
    next: Option<String>,
}

/// A range as it was asked for, and what else.
struct Question {
    from: String,
    to: String,
    filter: Filter,
    form: Option<Form>,
}

pub(crate) async fn answer(
    control: &Control,
    report: Report<'_>,
    asked: &Asked<'_>,
) -> Result<Response<Bytes>, Denied> {
    match report {
        Report::Sessions => sessions(control, asked).await,
        Report::Session(session) => session_in(control, session_of(session)?).await,
        Report::Summary => summary(control, asked).await,
        Report::Audit => audit(control, asked).await,
        Report::Receipts(session) => receipts(control, asked, session).await,
    }
}

async fn sessions(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Question { from, to, filter, form } = question(control, asked.query).await?;
    let page = Page::of(asked.query)?;
    let after = page.after_number()?;
    let most = if form.is_some() { REPORT_ROWS_MAX + 1 } else { page.limit + 1 };
    let rows = control.store().ask(move |connection| read::sessions(connection, &filter, after, most)).await?;
    if let Some(form) = form {
        let rows: Vec<SessionRow> = whole(rows)?.into_iter().map(|(_, row)| row).collect();
        return Ok(exported(&format!("sessions-{from}-{to}"), form, &rows));
    }
    let (rows, next) = page.closed(rows, |(place, _)| place.to_string());
    let sessions = Sessions { from, to, sessions: rows.into_iter().map(|(_, row)| row).collect(), next };
    Ok(link(json(StatusCode::OK, &sessions), asked.query, sessions.next.as_deref()))
}

async fn session_in(control: &Control, session: SessionId) -> Result<Response<Bytes>, Denied> {
    let found = control.store().ask(move |connection| read::session(connection, &session.to_string())).await?;
    let (row, who) = found.ok_or_else(|| Refusal::new(Code::Session, "G-52"))?;
    Ok(json(StatusCode::OK, &Shown { row, who }))
}

async fn summary(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Question { from, to, filter, .. } = question(control, asked.query).await?;
    let summed = control
        .store()
        .ask(move |connection| Ok((read::days(connection, &filter)?, read::durations(connection, &filter)?)));
    let (days, durations) = summed.await?;
    let of = |name: &'static str| {
        let sum = days.iter().filter(|day| day.outcome == name).map(|day| day.sessions).sum();
        (name, sum)
    };
    let outcomes: BTreeMap<_, u32> = OUTCOMES.into_iter().map(of).collect();
    let sessions = outcomes.values().sum();
    Ok(json(StatusCode::OK, &Summary { from, to, sessions, outcomes, days, durations }))
}

async fn audit(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Question { from, to, filter, form } = question(control, asked.query).await?;
    let page = Page::of(asked.query)?;
    let after = page.after_number()?;
    let most = if form.is_some() { REPORT_ROWS_MAX + 1 } else { page.limit + 1 };
    let rows = control.store().ask(move |connection| read::audit(connection, &filter, after, most)).await?;
    if let Some(form) = form {
        return Ok(exported(&format!("audit-{from}-{to}"), form, &whole(rows)?));
    }
    let (lines, next) = page.closed(rows, |line| line.id.to_string());
    let audit = Audit { from, to, lines, next };
    Ok(link(json(StatusCode::OK, &audit), asked.query, audit.next.as_deref()))
}

/// `GET /v1/sessions/<session>/receipts`: a file that `fanlight verify-receipts` checks. For the group's own server too.
async fn receipts(control: &Control, asked: &Asked<'_>, session: &str) -> Result<Response<Bytes>, Denied> {
    let own = own_group(&asked.caller, Scope::Receipts)?.map(ToString::to_string);
    let session = session_of(session)?;
    let found = control.store().ask(move |connection| {
        let id = session.to_string();
        let Some((group, version)) = kept::session_of(connection, &id)? else { return Ok(None) };
        if own.is_some_and(|own| own != group) {
            return Ok(None);
        }
        let bundle = match fanlight_wire::GroupId::new(group.as_str()) {
            Ok(group) => crate::store::policies::version(connection, &group, version)?,
            Err(_) => None,
        };
        Ok(Some((group, bundle, kept::receipts(connection, &id)?)))
    });
    let (group, version, chain) = found.await?.ok_or_else(|| Refusal::new(Code::Session, "G-52"))?;
    let bundle = version.and_then(|version| serde_json::from_str::<Bundle>(&version.bundle).ok());
    let words = questions(&bundle.unwrap_or_default());
    let texts = Matter::ALL.map(|matter| words.about(matter).text.clone());
    let file = control.book().signer.file(&session, &group, chain, texts);
    // Serialising our own answers cannot fail: plain fields, string keys.
    let content = serde_json::to_vec_pretty(&file).unwrap_or_default();
    Ok(download(&format!("receipts-{session}.json"), "application/json", content))
}

/// The range and the filters of a query. Without a range: the last week.
async fn question(control: &Control, query: &str) -> Result<Question, Denied> {
    let mut named: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let form = match named.remove("format").as_deref() {
        None => None,
        Some("csv") => Some(Form::Csv),
        Some("json") => Some(Form::Json),
        Some(_) => return Err(wrong("\"format\" is csv or json.").into()),
    };
    let outcome = named.remove("outcome");
    if outcome.as_deref().is_some_and(|outcome| !OUTCOMES.contains(&outcome)) {
        return Err(wrong("\"outcome\" is connected, refused, unanswered, interrupted or running.").into());
    }
    let now = i64::try_from(control.clock().unix_seconds()).unwrap_or(i64::MAX);
    let (from, to) = (named.remove("from"), named.remove("to"));
    let days = control.store().ask(move |connection| {
        let to = to.map_or_else(|| read::day_of(connection, now), Ok)?;
        let from = from.map_or_else(|| read::day_of(connection, now - 6 * 86_400), Ok)?;
        Ok((read::range(connection, &from, &to)?, from, to))
    });
    let (range, from, to) = days.await?;
    let too_far = || {
        let sentence = format!("\"from\" and \"to\" are days like 2026-11-21, at most {REPORT_DAYS_MAX} days in all.");
        Refusal::new(Code::Input, "limits::REPORT_DAYS_MAX").saying(sentence)
    };
    let (first, until) = range.ok_or_else(too_far)?;
    let filter = Filter {
        from: first,
        until,
        group: named.remove("group"),
        agent: named.remove("agent"),
        outcome,
        session: named.remove("session"),
        what: named.remove("what"),
        who: named.remove("who"),
    };
    Ok(Question { from, to, filter, form })
}

fn wrong(sentence: &'static str) -> Refusal {
    Refusal::new(Code::Input, "docs/reports.md").saying(sentence)
}

/// An export is whole or refused: half a file would look like a whole one.
fn whole<T>(rows: Vec<T>) -> Result<Vec<T>, Refusal> {
    if rows.len() > REPORT_ROWS_MAX {
        let sentence = format!("More than {REPORT_ROWS_MAX} rows. Choose fewer days or another filter.");
        return Err(Refusal::new(Code::Size, "limits::REPORT_ROWS_MAX").saying(sentence));
    }
    Ok(rows)
}

fn exported<T: Serialize>(name: &str, form: Form, rows: &[T]) -> Response<Bytes> {
    // Serialising our own rows cannot fail: plain fields, string keys.
    let values: Vec<Value> = rows.iter().map(|row| serde_json::to_value(row).unwrap_or_default()).collect();
    match form {
        Form::Json => {
            let content = serde_json::to_vec_pretty(&values).unwrap_or_default();
            download(&format!("{name}.json"), "application/json", content)
        }
        Form::Csv => {
            let heads: Vec<&str> = values
                .first()
                .and_then(Value::as_object)
                .map(|row| row.keys().map(String::as_str).collect())
                .unwrap_or_default();
            let cells = values.iter().map(|row| heads.iter().map(|head| cell(&row[*head])).collect::<Vec<_>>());
            download(&format!("{name}.csv"), "text/csv; charset=utf-8", csv(&heads, cells))
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
