//! Receipts in the store: written behind one another, read as a whole.

use fanlight_wire::SessionId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::receipts::{Closing, Record, Signer, chained};

/// The newest receipt of a session: its number, its hash, and whether it closes the chain.
fn newest(connection: &Connection, session: &str) -> rusqlite::Result<Option<(u64, String, bool)>> {
    connection
        .prepare_cached(
            "SELECT seq, hash, signature IS NOT NULL FROM receipts WHERE session = ?1 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([session], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?, row.get(2)?)))
        .optional()
}

/// Writes a receipt behind the newest one. Behind the closing one nothing is written.
pub(crate) fn append_receipt(connection: &Connection, session: &SessionId, record: Record) -> rusqlite::Result<()> {
    write(connection, &session.to_string(), |_| record, |_| None)
}

/// Writes the closing receipt and signs it. Repeating it is harmless.
pub(crate) fn close_receipts(connection: &Connection, closing: &Closing, signer: &Signer) -> rusqlite::Result<()> {
    write(connection, &closing.session.to_string(), |kept| closing.record(kept), |hash| Some(signer.sign(hash)))
}

fn write(
    connection: &Connection,
    session: &str,
    record: impl FnOnce(u64) -> Record,
    signature: impl FnOnce(&str) -> Option<String>,
) -> rusqlite::Result<()> {
    let before = newest(connection, session)?;
    if before.as_ref().is_some_and(|(_, _, closed)| *closed) {
        return Ok(());
    }
    let kept = before.as_ref().map_or(0, |(number, ..)| *number);
    let record = chained(record(kept), kept + 1, before.as_ref().map(|(_, hash, _)| hash.as_str()));
    let hash = record.get("hash").and_then(|hash| hash.as_str()).unwrap_or_default().to_owned();
    // Serialising JSON values cannot fail: their keys are strings.
    let text = serde_json::to_string(&record).unwrap_or_default();
    connection
        .prepare_cached("INSERT INTO receipts (session, seq, record, hash, signature) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![session, i64::try_from(kept + 1).unwrap_or(i64::MAX), text, hash, signature(&hash)])
        .map(drop)
}

/// All receipts of a session in order, and the signature of the closing one.
pub(crate) fn receipts(connection: &Connection, session: &str) -> rusqlite::Result<(Vec<Record>, Option<String>)> {
    let mut all =
        connection.prepare_cached("SELECT record, signature FROM receipts WHERE session = ?1 ORDER BY seq")?;
    let rows = all.query_map([session], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let (mut records, mut signature) = (Vec::new(), None);
    for row in rows {
        let (text, signed) = row?;
        // A text that is no record was not written here; left out, the chain shows where.
        records.extend(serde_json::from_str::<Record>(&text));
        signature = signed.or(signature);
    }
    Ok((records, signature))
}

/// Group and policy version of a session's record.
pub(crate) fn session_of(connection: &Connection, session: &str) -> rusqlite::Result<Option<(String, u32)>> {
    connection
        .prepare_cached("SELECT group_id, policy_version FROM sessions WHERE id = ?1")?
        .query_row([session], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Closes the chains of sessions that were running when the process ended.
pub(crate) fn close_interrupted(connection: &Connection, at: u64, signer: &Signer) -> rusqlite::Result<()> {
    let mut open = connection.prepare("SELECT id, group_id FROM sessions WHERE ended IS NULL")?;
    let rows = open.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows {
        let (session, group) = row?;
        let (Ok(session), Ok(group)) = (session.parse(), fanlight_wire::GroupId::new(group)) else { continue };
        close_receipts(connection, &Closing { session, group, at, code: None, wanted: None }, signer)?;
    }
    Ok(())
}
