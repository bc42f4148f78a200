//! Webhooks and their queue. Each statement is harmless when it runs twice.

use std::collections::BTreeSet;

use fanlight_wire::GroupId;
use fanlight_wire::limits::{
    WEBHOOK_DEAD_LIFE, WEBHOOK_DEAD_MAX, WEBHOOK_QUEUE_MAX, WEBHOOK_UNDER_WAY_MAX, WEBHOOKS_UNDER_WAY_MAX,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::policies::group as group_row;
use super::records::seconds;

const COLUMNS: &str = "webhooks.id, url, events, active, generation, previous_until, webhooks.created, delivered_at, \
    failed_at, webhooks.failure";

/// A webhook without its secret, which is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) events: BTreeSet<String>,
    pub(crate) active: bool,
    /// Of its secret.
    #[serde(skip)]
    pub(crate) generation: u32,
    /// Seconds since 1970 until which the secret before is good too.
    #[serde(skip)]
    pub(crate) previous_until: u64,
    pub(crate) created: u64,
    pub(crate) delivered_at: Option<u64>,
    pub(crate) failed_at: Option<u64>,
    pub(crate) failure: Option<String>,
}

impl Webhook {
    /// Generations of its secret that are good now, the newest first.
    pub(crate) fn good_generations(&self, now: u64) -> impl Iterator<Item = u32> {
        let before = (now < self.previous_until).then(|| self.generation.saturating_sub(1));
        std::iter::once(self.generation).chain(before)
    }
}

/// A message to queue.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) id: String,
    pub(crate) event: &'static str,
    /// Empty: of no session.
    pub(crate) session: String,
    pub(crate) body: String,
    pub(crate) at: u64,
}

/// A message whose time has come.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) row: i64,
    pub(crate) webhook: Webhook,
    pub(crate) id: String,
    pub(crate) event: String,
    /// Empty without one.
    pub(crate) session: String,
    pub(crate) body: String,
    pub(crate) attempts: u32,
}

/// What became of a try.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) attempts: u32,
    pub(crate) at: u64,
    pub(crate) sentence: String,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    Again { due: u64 },
    Dead,
}

/// A message as an operator sees it.
#[derive(Debug, Serialize)]
pub(crate) struct Delivery {
    pub(crate) delivery: i64,
    pub(crate) message: String,
    pub(crate) event: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) session: String,
    pub(crate) created: u64,
    /// When it is tried next; of a dead one, when it was last.
    pub(crate) due: u64,
    pub(crate) attempts: u32,
    pub(crate) dead: bool,
    pub(crate) failure: Option<String>,
}

/// SQLite's integers are signed; none of ours is negative.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|value| value.try_into().ok()))
}

fn webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let events: String = row.get(2)?;
    Ok(Webhook {
        id: row.get(0)?,
        url: row.get(1)?,
        // Written by us.
        events: serde_json::from_str(&events).unwrap_or_default(),
        active: row.get(3)?,
        generation: row.get(4)?,
        previous_until: unsigned(row, 5)?.unwrap_or(0),
        created: unsigned(row, 6)?.unwrap_or(0),
        delivered_at: unsigned(row, 7)?,
        failed_at: unsigned(row, 8)?,
        failure: row.get(9)?,
    })
}

/// A group's webhooks; `None` if there is no such group.
pub(crate) fn all(connection: &Connection, group: &GroupId) -> rusqlite::Result<Option<Vec<Webhook>>> {
    if group_row(connection, group)?.is_none() {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM webhooks WHERE group_id = ?1 ORDER BY created, id");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([group.as_str()], webhook)?.collect::<rusqlite::Result<_>>().map(Some)
}

pub(crate) fn find(connection: &Connection, group: &GroupId, id: &str) -> rusqlite::Result<Option<Webhook>> {
    let sql = format!("SELECT {COLUMNS} FROM webhooks WHERE group_id = ?1 AND id = ?2");
    connection.prepare_cached(&sql)?.query_row([group.as_str(), id], webhook).optional()
}

/// There shall be this webhook; its secret's generation stays.
pub(crate) fn put(connection: &Connection, group: &GroupId, wanted: &Webhook) -> rusqlite::Result<()> {
    let Webhook { id, url, events, active, created, .. } = wanted;
    let events = serde_json::to_string(events).unwrap_or_default();
    let sql = "INSERT INTO webhooks (id, group_id, url, events, active, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (id) DO UPDATE SET url = ?3, events = ?4, active = ?5";
    connection.execute(sql, params![id, group.as_str(), url, events, active, seconds(*created)]).map(drop)
}

/// With everything that waits for it.
pub(crate) fn remove(connection: &Connection, group: &GroupId, id: &str) -> rusqlite::Result<bool> {
    let removed = connection.execute("DELETE FROM webhooks WHERE group_id = ?1 AND id = ?2", [group.as_str(), id])?;
    Ok(removed > 0)
}

/// The next generation of its secret, with the one before good until then. Asking twice from the same generation changes
/// it once.
pub(crate) fn rotate(connection: &Connection, id: &str, from: u32, until: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE webhooks SET generation = ?2 + 1, previous_until = ?3 WHERE id = ?1 AND generation = ?2";
    connection.execute(sql, params![id, from, seconds(until)]).map(drop)
}

/// How many webhooks a message was queued for, and for how many there was no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) queued: u64,
    pub(crate) lost: u64,
}

/// Queues a message for every active webhook that has chosen its event.
pub(crate) fn queue(connection: &Connection, group: &GroupId, message: &Queued) -> rusqlite::Result<Taken> {
    let sql = "SELECT id, (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE webhook = webhooks.id AND dead = 0
               LIMIT ?3)) FROM webhooks WHERE group_id = ?1 AND active = 1 AND instr(events, ?2) > 0";
    let (Queued { id, event, session, body, at }, most) = (message, WEBHOOK_QUEUE_MAX as i64);
    let mut wanted = connection.prepare_cached(sql)?;
    let rows = wanted
        .query_map(params![group.as_str(), format!("\"{event}\""), most], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut taken = Taken::default();
    for (webhook, waiting) in rows {
        if waiting >= most {
            taken.lost += 1;
            continue;
        }
        let sql = "INSERT INTO deliveries (webhook, message, event, session, body, created, due)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
        connection.prepare_cached(sql)?.execute(params![webhook, id, event, session, body, seconds(*at)])?;
        taken.queued += 1;
    }
    Ok(taken)
}

/// How many wait, and those whose time has come: of each session and webhook only the oldest, of each webhook a few.
pub(crate) fn due(connection: &Connection, now: u64) -> rusqlite::Result<(u64, Vec<Due>)> {
    forget_dead(connection, now)?;
    let waiting = connection.query_row("SELECT count(*) FROM deliveries WHERE dead = 0", [], |row| unsigned(row, 0))?;
    let sql = format!(
        "WITH first AS (
             SELECT min(id) AS id FROM deliveries WHERE dead = 0 GROUP BY webhook, session
         ), chosen AS (
             SELECT deliveries.*, row_number() OVER (PARTITION BY webhook ORDER BY deliveries.id) AS place
             FROM first JOIN deliveries ON deliveries.id = first.id WHERE due <= ?1
         )
         SELECT {COLUMNS}, chosen.id, message, event, session, body, attempts FROM chosen JOIN webhooks ON webhooks.id = webhook
         WHERE place <= ?2 AND active = 1 ORDER BY chosen.id LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let limits = params![seconds(now), WEBHOOK_UNDER_WAY_MAX as i64, WEBHOOKS_UNDER_WAY_MAX as i64];
    let due = statement.query_map(limits, |row| {
        Ok(Due {
            webhook: webhook(row)?,
            row: row.get(10)?,
            id: row.get(11)?,
            event: row.get(12)?,
            session: row.get(13)?,
            body: row.get(14)?,
            attempts: row.get(15)?,
        })
    })?;
    Ok((waiting.unwrap_or(0), due.collect::<rusqlite::Result<_>>()?))
}

/// What became of a try at a message.
pub(crate) fn record(connection: &Connection, message: &Due, tried: &Attempt) -> rusqlite::Result<()> {
    let Attempt { attempts, at, sentence, outcome } = tried;
    let (row, webhook) = (message.row, &message.webhook.id);
    if *outcome == Outcome::Delivered {
        connection.execute("DELETE FROM deliveries WHERE id = ?1", [row])?;
        let sql = "UPDATE webhooks SET delivered_at = ?2 WHERE id = ?1";
        return connection.execute(sql, params![webhook, seconds(*at)]).map(drop);
    }
    let (dead, due) = match outcome {
        Outcome::Again { due } => (false, *due),
        Outcome::Delivered | Outcome::Dead => (true, *at),
    };
    let sql = "UPDATE deliveries SET attempts = ?2, due = ?3, dead = ?4, failure = ?5 WHERE id = ?1";
    connection.execute(sql, params![row, attempts, seconds(due), dead, sentence])?;
    let sql = "UPDATE webhooks SET failed_at = ?2, failure = ?3 WHERE id = ?1";
    connection.execute(sql, params![webhook, seconds(*at), sentence])?;
    let sql = "DELETE FROM deliveries WHERE webhook = ?1 AND dead = 1 AND id <= (SELECT id FROM deliveries
               WHERE webhook = ?1 AND dead = 1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    connection.execute(sql, params![webhook, WEBHOOK_DEAD_MAX as i64]).map(drop)
}

/// A page of a webhook's messages that are dead, or that wait, oldest first, after a given one.
pub(crate) fn list(
    connection: &Connection,
    webhook: &str,
    dead: bool,
    after: i64,
    most: usize,
) -> rusqlite::Result<Vec<Delivery>> {
    let sql = "SELECT id, message, event, session, created, due, attempts, dead, failure FROM deliveries
               WHERE webhook = ?1 AND dead = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![webhook, dead, after, most as i64], |row| {
        Ok(Delivery {
            delivery: row.get(0)?,
            message: row.get(1)?,
            event: row.get(2)?,
            session: row.get(3)?,
            created: unsigned(row, 4)?.unwrap_or(0),
            due: unsigned(row, 5)?.unwrap_or(0),
            attempts: row.get(6)?,
            dead: row.get(7)?,
            failure: row.get(8)?,
        })
    })?;
    rows.collect()
}

/// Waiting and dead messages of a webhook.
pub(crate) fn counts(connection: &Connection, webhook: &str) -> rusqlite::Result<(u64, u64)> {
    let count = |dead: bool| {
        let sql = "SELECT count(*) FROM deliveries WHERE webhook = ?1 AND dead = ?2";
        connection.prepare_cached(sql)?.query_row(params![webhook, dead], |row| unsigned(row, 0))
    };
    Ok((count(false)?.unwrap_or(0), count(true)?.unwrap_or(0)))
}

/// One dead message, or all of a webhook's, are tried again from now on; how many.
pub(crate) fn replay(connection: &Connection, webhook: &str, one: Option<i64>, now: u64) -> rusqlite::Result<usize> {
    let sql = "UPDATE deliveries SET dead = 0, attempts = 0, due = ?2
               WHERE webhook = ?1 AND dead = 1 AND (?3 IS NULL OR id = ?3)";
    connection.execute(sql, params![webhook, seconds(now), one])
}

fn forget_dead(connection: &Connection, now: u64) -> rusqlite::Result<()> {
    let oldest = seconds(now.saturating_sub(WEBHOOK_DEAD_LIFE.as_secs()));
    let sql = "DELETE FROM deliveries WHERE dead = 1 AND created < ?1";
    connection.prepare_cached(sql)?.execute([oldest]).map(drop)
}
