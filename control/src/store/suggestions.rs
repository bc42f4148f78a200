//! Addresses that agents would have liked to share, for the administrator to allow or to put aside (R054).

use fanlight_wire::GroupId;
use fanlight_wire::limits::SUGGESTIONS_MAX;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::policies::group as group_row;

/// One wish for one address.
#[derive(Debug)]
pub(crate) struct Suggested {
    pub(crate) group: GroupId,
    /// Without query and fragment.
    pub(crate) url: String,
    pub(crate) agent: String,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

/// What an administrator sees of all wishes for one address.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Suggestion {
    pub(crate) id: i64,
    pub(crate) url: String,
    /// Who asked last.
    pub(crate) agent: String,
    pub(crate) at: u64,
    pub(crate) times: u32,
}

/// Notes a wish; one for an address that is there already is counted. `false` if the list is full.
pub(crate) fn put(connection: &Connection, wish: &Suggested) -> rusqlite::Result<bool> {
    let Suggested { group, url, agent, at } = wish;
    let sql = "INSERT INTO suggestions (group_id, url, agent, at, times)
               SELECT ?1, ?2, ?3, ?4, 1
               WHERE EXISTS (SELECT 1 FROM suggestions WHERE group_id = ?1 AND url = ?2)
                  OR (SELECT COUNT(*) FROM suggestions WHERE group_id = ?1) < ?5
               ON CONFLICT (group_id, url) DO UPDATE SET agent = ?3, at = ?4, times = times + 1";
    let changed =
        connection.execute(sql, params![group.as_str(), url, agent, at.cast_signed(), SUGGESTIONS_MAX as i64])?;
    Ok(changed > 0)
}

/// A group's suggestions, newest first; `None` if there is no such group.
pub(crate) fn list(connection: &Connection, group: &GroupId) -> rusqlite::Result<Option<Vec<Suggestion>>> {
    if group_row(connection, group)?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT id, url, agent, at, times FROM suggestions WHERE group_id = ?1 ORDER BY at DESC, id DESC";
    let mut all = connection.prepare_cached(sql)?;
    let rows = all.query_map([group.as_str()], |row| {
        Ok(Suggestion {
            id: row.get(0)?,
            url: row.get(1)?,
            agent: row.get(2)?,
            at: row.get::<_, i64>(3)?.cast_unsigned(),
            times: row.get(4)?,
        })
    })?;
    rows.collect::<rusqlite::Result<_>>().map(Some)
}

/// Takes a suggestion off the list. `false` if it was not there.
pub(crate) fn remove(connection: &Connection, group: &GroupId, id: i64) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM suggestions WHERE group_id = ?1 AND id = ?2";
    Ok(connection.execute(sql, params![group.as_str(), id])? > 0)
}
