//! The statements. Each is harmless when it runs twice or late.

use fanlight_wire::{Code, Event, GroupId, SessionId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::directory::Counts;
use crate::particulars::Particulars;
use crate::secrets::Hash;

/// An agent as it signs in.
#[derive(Debug, Clone)]
pub(crate) struct AgentRow {
    pub(crate) name: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    /// Its role in its group's bundle.
    pub(crate) role: Option<String>,
}

/// What a session's record gets at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionEnd {
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) code: Code,
    pub(crate) counts: Counts,
}

/// One line of the audit trail. `who` is an agent's id, `visitor`, `operator` or `p<participant>`.
#[derive(Debug, Clone)]
pub(crate) struct AuditLine {
    /// Seconds since 1970; the line's id orders lines when the clock jumps (P14).
    pub(crate) at: u64,
    pub(crate) what: Event,
    pub(crate) group: Option<GroupId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) who: Option<String>,
    pub(crate) code: Option<Code>,
    pub(crate) detail: Option<&'static str>,
}

/// An active agent of an active group.
pub(crate) fn agent(connection: &Connection, group: &GroupId, agent: &str) -> rusqlite::Result<Option<AgentRow>> {
    connection
        .prepare_cached(
            "SELECT agents.name, salt, hash, role FROM agents JOIN groups ON groups.id = group_id
             WHERE group_id = ?1 AND agent = ?2 AND agents.active = 1 AND groups.active = 1",
        )?
        .query_row([group.as_str(), agent], |row| {
            Ok(AgentRow { name: row.get(0)?, salt: row.get(1)?, hash: row.get(2)?, role: row.get(3)? })
        })
        .optional()
}

pub(crate) fn seed_group(connection: &Connection, group: &str, name: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO groups (id, name, active) VALUES (?1, ?2, 1) ON CONFLICT (id) DO UPDATE SET active = 1";
    connection.execute(sql, [group, name]).map(drop)
}

pub(crate) fn set_group_active(connection: &Connection, group: &str, active: bool) -> rusqlite::Result<()> {
    connection.execute("UPDATE groups SET active = ?2 WHERE id = ?1", params![group, active]).map(drop)
}

pub(crate) fn seed_agent(
    connection: &Connection,
    group: &str,
    agent: &str,
    name: &str,
    salt: &[u8],
    hash: &Hash,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO agents (group_id, agent, name, salt, hash) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (group_id, agent) DO UPDATE SET name = ?3, salt = ?4, hash = ?5";
    connection.execute(sql, params![group, agent, name, salt, hash.as_slice()]).map(drop)
}

pub(crate) fn insert_session(
    connection: &Connection,
    session: &SessionId,
    group: &GroupId,
    policy_version: u32,
    created: u64,
    about: &Particulars,
) -> rusqlite::Result<()> {
    let Particulars { kind, entry, context, external_ref, .. } = about;
    let (context_type, context_id) = context.as_ref().map(|context| (&context.kind, &context.id)).unzip();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO sessions
             (id, group_id, policy_version, created, kind, entry, context_type, context_id, external_ref)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            session.to_string(),
            group.as_str(),
            policy_version,
            seconds(created),
            kind.label(),
            entry.label(),
            context_type,
            context_id,
            external_ref
        ])
        .map(drop)
}

pub(crate) fn end_session(connection: &Connection, session: &SessionId, end: &SessionEnd) -> rusqlite::Result<()> {
    let SessionEnd { at, code, counts } = end;
    connection
        .prepare_cached(
            "UPDATE sessions SET ended = ?2, end_code = ?3, agents = ?4, shares = ?5, takeovers = ?6, refusals = ?7
             WHERE id = ?1 AND ended IS NULL",
        )?
        .execute(params![
            session.to_string(),
            seconds(*at),
            code.label(),
            counts.agents,
            counts.shares,
            counts.takeovers,
            counts.refusals
        ])
        .map(drop)
}

/// Sessions that were running when the process ended: sessions live in memory, so they ended with it.
pub(crate) fn close_left_open(connection: &Connection, at: u64) -> rusqlite::Result<()> {
    connection.execute("UPDATE sessions SET ended = ?1 WHERE ended IS NULL", [seconds(at)]).map(drop)
}

pub(crate) fn append(connection: &Connection, line: &AuditLine) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit (at, what, group_id, session, who, code, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            seconds(line.at),
            line.what.label(),
            line.group.as_ref().map(GroupId::as_str),
            line.session.map(|session| session.to_string()),
            line.who,
            line.code.map(Code::label),
            line.detail
        ])
        .map(drop)
}

/// SQLite's integers are signed.
pub(super) fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}
