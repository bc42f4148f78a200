//! Agents as an operator manages them.

use fanlight_wire::GroupId;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::policies::group as group_row;
use crate::secrets::Hash;

/// An agent without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Agent {
    pub(crate) agent: String,
    /// Display name.
    pub(crate) name: String,
    pub(crate) role: Option<String>,
    pub(crate) active: bool,
}

/// What an agent signs in with, stretched.
pub(crate) struct Secret {
    pub(crate) salt: [u8; 16],
    pub(crate) hash: Hash,
}

/// A group's agents; `None` if there is no such group.
pub(crate) fn agents(connection: &Connection, group: &GroupId) -> rusqlite::Result<Option<Vec<Agent>>> {
    if group_row(connection, group)?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT agent, name, role, active FROM agents WHERE group_id = ?1 ORDER BY agent";
    let mut all = connection.prepare_cached(sql)?;
    let rows = all.query_map([group.as_str()], |row| {
        Ok(Agent { agent: row.get(0)?, name: row.get(1)?, role: row.get(2)?, active: row.get(3)? })
    })?;
    rows.collect::<rusqlite::Result<_>>().map(Some)
}

/// Has the group this agent? `None` if there is no such group.
pub(crate) fn is_there(connection: &Connection, group: &GroupId, agent: &str) -> rusqlite::Result<Option<bool>> {
    if group_row(connection, group)?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM agents WHERE group_id = ?1 AND agent = ?2)";
    connection.query_row(sql, [group.as_str(), agent], |row| row.get(0)).map(Some)
}

/// There shall be this agent; without a secret only one that is there is changed.
pub(crate) fn put(
    connection: &Connection,
    group: &GroupId,
    agent: &Agent,
    secret: Option<&Secret>,
) -> rusqlite::Result<()> {
    let Agent { agent, name, role, active } = agent;
    let values = params![group.as_str(), agent, name, role, active];
    let Some(Secret { salt, hash }) = secret else {
        let sql = "UPDATE agents SET name = ?3, role = ?4, active = ?5 WHERE group_id = ?1 AND agent = ?2";
        return connection.execute(sql, values).map(drop);
    };
    let sql = "INSERT INTO agents (group_id, agent, name, role, active, salt, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (group_id, agent) DO UPDATE SET name = ?3, role = ?4, active = ?5, salt = ?6, hash = ?7";
    let values = params![group.as_str(), agent, name, role, active, salt.as_slice(), hash.as_slice()];
    connection.execute(sql, values).map(drop)
}

/// What an agent that signs in with the identity provider has here: nothing when it has no row of its own.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub(crate) role: Option<String>,
}

/// `None` when the group is absent or not active, or the agent is switched off.
pub(crate) fn standing(connection: &Connection, group: &GroupId, agent: &str) -> rusqlite::Result<Option<Own>> {
    if !group_row(connection, group)?.is_some_and(|row| row.active) {
        return Ok(None);
    }
    let sql = "SELECT active, role FROM agents WHERE group_id = ?1 AND agent = ?2";
    let row = connection.query_row(sql, [group.as_str(), agent], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(match row {
        None => Some(Own::default()),
        Some((true, role)) => Some(Own { role }),
        Some((false, _)) => None,
    })
}
