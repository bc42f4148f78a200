//! Versions of bundles, the two heads of each group, and their history.
//!
//! Invariant: a head moves in one transaction, and only if it still is where the mover has seen it; what a version holds
//! never changes. A job that runs late meets a head that has moved on, and does nothing.

use fanlight_wire::GroupId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use super::records::seconds;
use crate::policies::Bundle;

/// The two pointers of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Head {
    Staging,
    Production,
}

impl Head {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// Where a head points, and how often it has moved: the same version twice is not the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) head: Head,
    pub(crate) version: u32,
    pub(crate) moves: u32,
}

impl Mark {
    /// RFC 9110 §8.8.3.
    pub(crate) fn etag(self) -> String {
        format!("\"{}-{}-{}\"", self.head.label(), self.version, self.moves)
    }
}

/// A group as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) active: bool,
}

/// One version, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) version: u32,
    /// Its JSON.
    pub(crate) bundle: String,
    pub(crate) saved: u64,
    pub(crate) who: String,
    pub(crate) note: String,
}

/// One line of the history: a version was saved, published or rolled back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Move {
    pub(crate) what: String,
    pub(crate) version: u32,
    pub(crate) before: Option<u32>,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) who: String,
}

/// Who does something, when.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) who: String,
    pub(crate) at: u64,
}

/// What came of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moved {
    To(Mark),
    /// Somebody else was faster: the head is here.
    Stale(Mark),
    /// No such group or version.
    Absent,
}

/// Gives a group its first version, which both heads point to; a group that has one keeps what it has.
pub(crate) fn seed_bundle(
    connection: &Connection,
    group: &str,
    bundle: &Bundle,
    at: u64,
    who: &str,
) -> rusqlite::Result<()> {
    // Serialising a bundle cannot fail: plain fields, string keys.
    let text = serde_json::to_string(bundle).unwrap_or_default();
    let kept = connection.execute(
        "INSERT OR IGNORE INTO policy_versions (group_id, version, bundle, saved, who, note) VALUES (?1, 1, ?2, ?3, ?4, '')",
        params![group, text, seconds(at), who],
    )?;
    if kept == 0 {
        return Ok(());
    }
    for head in [Head::Staging, Head::Production] {
        let sql = "INSERT OR IGNORE INTO policy_heads (group_id, head, version, moves) VALUES (?1, ?2, 1, 1)";
        connection.execute(sql, params![group, head.label()])?;
    }
    note(connection, group, ("created", 1, None), &Author { who: who.to_owned(), at })
}

pub(crate) fn groups(connection: &Connection) -> rusqlite::Result<Vec<GroupRow>> {
    let mut all = connection.prepare_cached("SELECT id, name, active FROM groups ORDER BY id")?;
    let rows = all.query_map([], group_row)?;
    rows.collect()
}

pub(crate) fn group(connection: &Connection, group: &GroupId) -> rusqlite::Result<Option<GroupRow>> {
    let mut one = connection.prepare_cached("SELECT id, name, active FROM groups WHERE id = ?1")?;
    one.query_row([group.as_str()], group_row).optional()
}

fn group_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<GroupRow> {
    Ok(GroupRow { id: row.get(0)?, name: row.get(1)?, active: row.get(2)? })
}

/// A new group with its first version; `false` when there is one of that id.
pub(crate) fn create_group(
    connection: &Connection,
    group: &GroupId,
    name: &str,
    author: &Author,
) -> rusqlite::Result<bool> {
    let transaction = connection.unchecked_transaction()?;
    let made = transaction
        .execute("INSERT OR IGNORE INTO groups (id, name, active) VALUES (?1, ?2, 1)", [group.as_str(), name])?;
    if made == 1 {
        seed_bundle(&transaction, group.as_str(), &Bundle::default(), author.at, &author.who)?;
    }
    transaction.commit()?;
    Ok(made == 1)
}

pub(crate) fn rename_group(connection: &Connection, group: &GroupId, name: &str) -> rusqlite::Result<()> {
    connection.execute("UPDATE groups SET name = ?2 WHERE id = ?1", [group.as_str(), name]).map(drop)
}

/// Where a group's head points.
pub(crate) fn mark(connection: &Connection, group: &GroupId, head: Head) -> rusqlite::Result<Option<Mark>> {
    connection
        .prepare_cached("SELECT version, moves FROM policy_heads WHERE group_id = ?1 AND head = ?2")?
        .query_row([group.as_str(), head.label()], |row| Ok(Mark { head, version: row.get(0)?, moves: row.get(1)? }))
        .optional()
}

pub(crate) fn version(connection: &Connection, group: &GroupId, version: u32) -> rusqlite::Result<Option<Version>> {
    connection
        .prepare_cached(
            "SELECT version, bundle, saved, who, note FROM policy_versions WHERE group_id = ?1 AND version = ?2",
        )?
        .query_row(params![group.as_str(), version], |row| {
            Ok(Version {
                version: row.get(0)?,
                bundle: row.get(1)?,
                saved: row.get::<_, i64>(2)?.unsigned_abs(),
                who: row.get(3)?,
                note: row.get(4)?,
            })
        })
        .optional()
}

/// A head with the version it points to.
pub(crate) fn headed(
    connection: &Connection,
    group: &GroupId,
    head: Head,
) -> rusqlite::Result<Option<(Mark, Version)>> {
    let Some(mark) = mark(connection, group, head)? else { return Ok(None) };
    Ok(version(connection, group, mark.version)?.map(|version| (mark, version)))
}

/// What a new session pins: the production head of an active group.
pub(crate) fn in_force(connection: &Connection, group: &GroupId) -> rusqlite::Result<Option<Version>> {
    let active: Option<bool> = connection
        .prepare_cached("SELECT active FROM groups WHERE id = ?1")?
        .query_row([group.as_str()], |row| row.get(0))
        .optional()?;
    if active != Some(true) {
        return Ok(None);
    }
    Ok(headed(connection, group, Head::Production)?.map(|(_, version)| version))
}

/// Keeps a new version and points staging to it, if staging still is where `seen` says.
pub(crate) fn save(
    connection: &Connection,
    group: &GroupId,
    seen: &str,
    (bundle, remark): (&str, &str),
    author: &Author,
) -> rusqlite::Result<Moved> {
    let transaction = connection.unchecked_transaction()?;
    let Some(now) = mark(&transaction, group, Head::Staging)? else { return Ok(Moved::Absent) };
    if now.etag() != seen {
        return Ok(Moved::Stale(now));
    }
    let newest: u32 = transaction.query_row(
        "SELECT max(version) FROM policy_versions WHERE group_id = ?1",
        [group.as_str()],
        |row| row.get(0),
    )?;
    let version = newest.saturating_add(1);
    transaction.execute(
        "INSERT INTO policy_versions (group_id, version, bundle, saved, who, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![group.as_str(), version, bundle, seconds(author.at), author.who, remark],
    )?;
    let mark = point(&transaction, group, now, version)?;
    note(&transaction, group.as_str(), ("saved", version, Some(now.version)), author)?;
    transaction.commit()?;
    Ok(Moved::To(mark))
}

/// Points production to a version that exists, if production still is where `seen` says. `what` is `published` or
/// `rolled_back`; only a version that was in production before can be rolled back to.
pub(crate) fn move_production(
    connection: &Connection,
    group: &GroupId,
    seen: &str,
    (what, to): (&'static str, u32),
    author: &Author,
) -> rusqlite::Result<Moved> {
    let transaction = connection.unchecked_transaction()?;
    let Some(now) = mark(&transaction, group, Head::Production)? else { return Ok(Moved::Absent) };
    if now.etag() != seen {
        return Ok(Moved::Stale(now));
    }
    if version(&transaction, group, to)?.is_none() {
        return Ok(Moved::Absent);
    }
    let mark = point(&transaction, group, now, to)?;
    note(&transaction, group.as_str(), (what, to, Some(now.version)), author)?;
    transaction.commit()?;
    Ok(Moved::To(mark))
}

/// The newest version that was in production before the one that is, and differs from it.
pub(crate) fn previous_production(connection: &Connection, group: &GroupId, now: u32) -> rusqlite::Result<Option<u32>> {
    connection
        .query_row(
            "SELECT before FROM policy_moves WHERE group_id = ?1 AND what IN ('published', 'rolled_back')
             AND version = ?2 AND before <> ?2 ORDER BY id DESC LIMIT 1",
            params![group.as_str(), now],
            |row| row.get(0),
        )
        .optional()
}

/// Was this version ever in production?
pub(crate) fn was_in_production(connection: &Connection, group: &GroupId, version: u32) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM policy_moves WHERE group_id = ?1 AND version = ?2 AND what IN ('created', 'published'))",
        params![group.as_str(), version],
        |row| row.get(0),
    )
}

/// That running sessions were narrowed to this version.
pub(crate) fn note_enforced(
    connection: &Connection,
    group: &GroupId,
    version: u32,
    author: &Author,
) -> rusqlite::Result<()> {
    note(connection, group.as_str(), ("enforced", version, None), author)
}

/// Newest first, at most `most` lines older than the line `before`.
pub(crate) fn history(
    connection: &Connection,
    group: &GroupId,
    before: i64,
    most: usize,
) -> rusqlite::Result<Vec<(i64, Move)>> {
    let mut lines = connection.prepare_cached(
        "SELECT id, what, version, before, at, who FROM policy_moves
         WHERE group_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let rows = lines.query_map(params![group.as_str(), before, most as i64], |row| {
        let line = Move {
            what: row.get(1)?,
            version: row.get(2)?,
            before: row.get(3)?,
            at: row.get::<_, i64>(4)?.unsigned_abs(),
            who: row.get(5)?,
        };
        Ok((row.get(0)?, line))
    })?;
    rows.collect()
}

fn point(transaction: &Transaction<'_>, group: &GroupId, from: Mark, version: u32) -> rusqlite::Result<Mark> {
    let to = Mark { version, moves: from.moves.saturating_add(1), ..from };
    transaction.execute(
        "UPDATE policy_heads SET version = ?3, moves = ?4 WHERE group_id = ?1 AND head = ?2",
        params![group.as_str(), from.head.label(), to.version, to.moves],
    )?;
    Ok(to)
}

fn note(
    connection: &Connection,
    group: &str,
    (what, version, before): (&str, u32, Option<u32>),
    author: &Author,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO policy_moves (group_id, what, version, before, at, who) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![group, what, version, before, seconds(author.at), author.who],
        )
        .map(drop)
}
