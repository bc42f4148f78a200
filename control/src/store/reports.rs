//! What reports and the audit page read: rows of a range of days, by filters, in pages.
//!
//! Invariant: every question is bounded by a range of at most [`REPORT_DAYS_MAX`] days and by a number of rows, so that it
//! ends before anybody's patience does.

use fanlight_wire::limits::REPORT_DAYS_MAX;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use serde::Serialize;

const DAY: i64 = 86_400;

/// Which rows are wanted. What is not named is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The first second, and the one after the last.
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) group: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) what: Option<String>,
    pub(crate) who: Option<String>,
}

/// How a session went, from its own row and those of its agents.
const OUTCOME: &str = "CASE
    WHEN ended IS NULL THEN 'running'
    WHEN end_code IS NULL THEN 'interrupted'
    WHEN EXISTS (SELECT 1 FROM session_agents WHERE session = sessions.id AND allowed IS NOT NULL) THEN 'connected'
    WHEN EXISTS (SELECT 1 FROM session_agents WHERE session = sessions.id AND role = 'agent') THEN 'refused'
    ELSE 'unanswered' END";
/// The outcomes, in the order of charts.
pub(crate) const OUTCOMES: [&str; 5] = ["connected", "refused", "unanswered", "interrupted", "running"];
/// The sessions that a filter picks.
const PICKED: &str = "sessions.created >= :from AND sessions.created < :until
    AND (:group IS NULL OR sessions.group_id = :group)
    AND (:agent IS NULL OR EXISTS (SELECT 1 FROM session_agents WHERE session = sessions.id AND agent = :agent))";

/// One session of a report. Ids and counts; no content, no names of documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SessionRow {
    pub(crate) session: String,
    pub(crate) group: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) ended: Option<i64>,
    pub(crate) duration_s: Option<i64>,
    pub(crate) outcome: String,
    pub(crate) end_code: Option<String>,
    pub(crate) policy_version: u32,
    pub(crate) agents: u32,
    pub(crate) shares: u32,
    pub(crate) takeovers: u32,
    pub(crate) refusals: u32,
}

/// One agent in one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AgentRow {
    pub(crate) agent: String,
    pub(crate) role: String,
    pub(crate) joined: i64,
    /// What the visitor said.
    pub(crate) answer: Option<String>,
    /// When the visitor let it in; none: it saw nothing.
    pub(crate) allowed: Option<i64>,
    pub(crate) left: Option<i64>,
    pub(crate) end_code: Option<String>,
    pub(crate) modes: Vec<String>,
    pub(crate) shares: u32,
    pub(crate) screens_seen: u32,
    pub(crate) cameras_seen: u32,
}

/// One day of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Day {
    /// `2026-11-21`, UTC.
    pub(crate) day: String,
    pub(crate) outcome: String,
    pub(crate) sessions: u32,
}

/// Connected sessions that lasted less than so many seconds, and not less than the step before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Lasted {
    pub(crate) under_s: Option<i64>,
    pub(crate) sessions: u32,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AuditRow {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) what: String,
    pub(crate) group: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) who: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) detail: Option<String>,
}

/// The first second of a day and of the one after the last, if both are days and not too far from each other.
pub(crate) fn range(connection: &Connection, from: &str, to: &str) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut days =
        connection.prepare_cached("SELECT unixepoch(?1), unixepoch(?2), date(?1) IS ?1 AND date(?2) IS ?2")?;
    let (from, to, whole) = days.query_row([from, to], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?))
    })?;
    let (Some(from), Some(to), true) = (from, to, whole) else { return Ok(None) };
    let until = to.saturating_add(DAY);
    let fits = from < until && until - from <= i64::from(REPORT_DAYS_MAX) * DAY;
    Ok(fits.then_some((from, until)))
}

/// The newest sessions first; `after` is the row of the last one of the page before.
pub(crate) fn sessions(
    connection: &Connection,
    filter: &Filter,
    after: Option<i64>,
    most: usize,
) -> rusqlite::Result<Vec<(i64, SessionRow)>> {
    let sql = format!(
        "SELECT rowid, id, group_id, created, ended, ended - created, {OUTCOME} AS outcome, end_code, policy_version,
             agents, shares, takeovers, refusals
         FROM sessions WHERE {PICKED} AND (:outcome IS NULL OR {OUTCOME} = :outcome)
             AND (:session IS NULL OR id = :session) AND (:after IS NULL OR rowid < :after)
         ORDER BY rowid DESC LIMIT :most"
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let Filter { from, until, group, agent, outcome, session, .. } = filter;
    let row = |row: &Row<'_>| {
        let shown = SessionRow {
            session: row.get(1)?,
            group: row.get(2)?,
            created: row.get(3)?,
            ended: row.get(4)?,
            duration_s: row.get(5)?,
            outcome: row.get(6)?,
            end_code: row.get(7)?,
            policy_version: row.get(8)?,
            agents: row.get(9)?,
            shares: row.get(10)?,
            takeovers: row.get(11)?,
            refusals: row.get(12)?,
        };
        Ok((row.get(0)?, shown))
    };
    let mut rows = connection.prepare_cached(&sql)?;
    let found = rows.query_map(
        named_params! {
            ":from": from, ":until": until, ":group": group, ":agent": agent, ":outcome": outcome,
            ":session": session, ":after": after, ":most": most
        },
        row,
    )?;
    found.collect()
}

/// One session, whenever it was, and everybody who was in it.
pub(crate) fn session(connection: &Connection, session: &str) -> rusqlite::Result<Option<(SessionRow, Vec<AgentRow>)>> {
    let filter = Filter { until: i64::MAX, session: Some(session.to_owned()), ..Filter::default() };
    let Some((_, row)) = sessions(connection, &filter, None, 1)?.pop() else { return Ok(None) };
    let mut rows = connection.prepare_cached(
        "SELECT agent, role, joined, answer, allowed, left_at, code, modes, shares, screens, cameras
         FROM session_agents WHERE session = ?1 ORDER BY participant",
    )?;
    let agents = rows.query_map([session], |row| {
        Ok(AgentRow {
            agent: row.get(0)?,
            role: row.get(1)?,
            joined: row.get(2)?,
            answer: row.get(3)?,
            allowed: row.get(4)?,
            left: row.get(5)?,
            end_code: row.get(6)?,
            modes: row.get::<_, String>(7)?.split_whitespace().map(str::to_owned).collect(),
            shares: row.get(8)?,
            screens_seen: row.get(9)?,
            cameras_seen: row.get(10)?,
        })
    })?;
    Ok(Some((row, agents.collect::<rusqlite::Result<_>>()?)))
}

/// Sessions per day and outcome, in order.
pub(crate) fn days(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Day>> {
    let sql = format!(
        "SELECT date(created, 'unixepoch') AS day, {OUTCOME} AS outcome, count(*)
         FROM sessions WHERE {PICKED} GROUP BY day, outcome ORDER BY day, outcome"
    );
    summed(connection, &sql, filter, |row| Ok(Day { day: row.get(0)?, outcome: row.get(1)?, sessions: row.get(2)? }))
}

/// How long connected sessions lasted. The last step has no end.
pub(crate) fn durations(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Lasted>> {
    const STEPS: [i64; 6] = [60, 300, 900, 1_800, 3_600, 7_200];
    let sql = format!(
        "SELECT ended - created FROM sessions WHERE {PICKED} AND ended IS NOT NULL AND {OUTCOME} = 'connected'"
    );
    let lasted: Vec<i64> = summed(connection, &sql, filter, |row| row.get(0))?;
    let mut steps: Vec<Lasted> = STEPS.map(|step| Lasted { under_s: Some(step), sessions: 0 }).into();
    steps.push(Lasted { under_s: None, sessions: 0 });
    for seconds in lasted {
        let fits = |step: &&mut Lasted| step.under_s.is_none_or(|under| seconds < under);
        if let Some(step) = steps.iter_mut().find(fits) {
            step.sessions += 1;
        }
    }
    Ok(steps)
}

fn summed<T>(
    connection: &Connection,
    sql: &str,
    filter: &Filter,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let Filter { from, until, group, agent, .. } = filter;
    let mut rows = connection.prepare_cached(sql)?;
    rows.query_map(named_params! { ":from": from, ":until": until, ":group": group, ":agent": agent }, row)?.collect()
}

/// The newest audit lines first, older than the line `after`.
pub(crate) fn audit(
    connection: &Connection,
    filter: &Filter,
    after: Option<i64>,
    most: usize,
) -> rusqlite::Result<Vec<AuditRow>> {
    let Filter { from, until, group, session, what, who, .. } = filter;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let parameters: &[(&str, &dyn ToSql)] = named_params! {
        ":from": from, ":until": until, ":group": group, ":session": session, ":what": what, ":who": who,
        ":after": after, ":most": most
    };
    let mut rows = connection.prepare_cached(
        "SELECT id, at, what, group_id, session, who, code, detail FROM audit
         WHERE at >= :from AND at < :until AND (:group IS NULL OR group_id = :group)
             AND (:session IS NULL OR session = :session) AND (:what IS NULL OR what = :what)
             AND (:who IS NULL OR who = :who) AND (:after IS NULL OR id < :after)
         ORDER BY id DESC LIMIT :most",
    )?;
    let found = rows.query_map(parameters, |row| {
        Ok(AuditRow {
            id: row.get(0)?,
            at: row.get(1)?,
            what: row.get(2)?,
            group: row.get(3)?,
            session: row.get(4)?,
            who: row.get(5)?,
            code: row.get(6)?,
            detail: row.get(7)?,
        })
    })?;
    found.collect()
}

/// Today, as the store's days count, from seconds since 1970.
pub(crate) fn day_of(connection: &Connection, at: i64) -> rusqlite::Result<String> {
    let day = connection.query_row("SELECT date(?1, 'unixepoch')", [at], |row| row.get(0)).optional()?;
    Ok(day.unwrap_or_default())
}
