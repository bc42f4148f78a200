//! Server keys at rest: a hash, a name, what they are for, the last day they were used.

use std::collections::BTreeSet;

use fanlight_wire::GroupId;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::policies::group as group_row;
use crate::secrets::fixed;
use crate::servers::{Kept, Scope, Server};

/// A key as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ServerKey {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Who made it.
    pub(crate) who: String,
    /// The last day it was used, as `YYYY-MM-DD`.
    pub(crate) used: Option<String>,
    pub(crate) revoked: Option<u64>,
}

/// A group's keys, the newest first; `None` if there is no such group.
pub(crate) fn list(connection: &Connection, group: &GroupId) -> rusqlite::Result<Option<Vec<ServerKey>>> {
    if group_row(connection, group)?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT id, name, scopes, created, who, date(used_day * 86400, 'unixepoch'), revoked FROM server_keys
               WHERE group_id = ?1 ORDER BY created DESC, id";
    let mut all = connection.prepare_cached(sql)?;
    let rows = all.query_map([group.as_str()], |row| {
        let scopes = scopes_of(&row.get::<_, String>(2)?);
        let (created, revoked): (i64, Option<i64>) = (row.get(3)?, row.get(6)?);
        Ok(ServerKey {
            key: row.get(0)?,
            name: row.get(1)?,
            scopes,
            created: unsigned(created),
            who: row.get(4)?,
            used: row.get(5)?,
            revoked: revoked.map(unsigned),
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().map(Some)
}

/// `false` when the group has as many good keys as it may.
pub(crate) fn insert(connection: &Connection, kept: &Kept, key: &ServerKey, most: usize) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO server_keys (id, group_id, name, hash, scopes, created, who)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
               WHERE (SELECT count(*) FROM server_keys WHERE group_id = ?2 AND revoked IS NULL) < ?8";
    // Names of a closed set: writing them cannot fail.
    let scopes = serde_json::to_string(&key.scopes).unwrap_or_default();
    let created = i64::try_from(key.created).unwrap_or(i64::MAX);
    let values = params![
        key.key,
        kept.server.group.as_str(),
        key.name,
        kept.hash.as_slice(),
        scopes,
        created,
        key.who,
        i64::try_from(most).unwrap_or(i64::MAX)
    ];
    Ok(connection.execute(sql, values)? == 1)
}

/// `false` when the group has no such key; one that was revoked before stays so.
pub(crate) fn revoke(connection: &Connection, group: &GroupId, key: &str, at: u64) -> rusqlite::Result<bool> {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let sql = "UPDATE server_keys SET revoked = coalesce(revoked, ?3) WHERE group_id = ?1 AND id = ?2";
    Ok(connection.execute(sql, params![group.as_str(), key, at])? == 1)
}

pub(crate) fn note_use(connection: &Connection, key: &str, day: u64) -> rusqlite::Result<()> {
    let day = i64::try_from(day).unwrap_or(i64::MAX);
    let sql = "UPDATE server_keys SET used_day = max(coalesce(used_day, 0), ?2) WHERE id = ?1";
    connection.execute(sql, params![key, day]).map(drop)
}

/// Every good key of every active group.
pub(crate) fn good(connection: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let sql = "SELECT server_keys.id, group_id, hash, scopes FROM server_keys JOIN groups ON groups.id = group_id
               WHERE revoked IS NULL AND groups.active = 1";
    let mut all = connection.prepare_cached(sql)?;
    let rows = all.query_map([], kept)?;
    rows.filter_map(Result::transpose).collect()
}

/// Those of one group.
pub(crate) fn good_of(connection: &Connection, group: &GroupId) -> rusqlite::Result<Vec<Kept>> {
    Ok(good(connection)?.into_iter().filter(|kept| kept.server.group == *group).collect())
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let (key, group): (String, String) = (row.get(0)?, row.get(1)?);
    let (hash, scopes): (Vec<u8>, String) = (row.get(2)?, row.get(3)?);
    // Rows hold ids that were checked when they were made.
    let Ok(group) = GroupId::new(group) else { return Ok(None) };
    let server = Server { group, key: key.into(), scopes: scopes_of(&scopes) };
    Ok(Some(Kept { hash: fixed(&hash), server }))
}

/// A name that this release does not know gives nothing.
fn scopes_of(text: &str) -> BTreeSet<Scope> {
    let names: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    names.into_iter().filter_map(|name| serde_json::from_value(name).ok()).collect()
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
