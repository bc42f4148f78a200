//! What is kept for a time only: audit lines and session records, as long as their group's production bundle says.

use fanlight_wire::limits::{RETENTION_BATCH, RETENTION_BATCHES_MAX, RETENTION_DAYS};
use rusqlite::{Connection, params};

use super::records::seconds;

const DAY: i64 = 86_400;

/// `?1` now, `?2` seconds of a day, `?3` days where no group says, `?4` rows.
const AUDIT: &str = "
    DELETE FROM audit WHERE id IN (
        SELECT audit.id FROM audit
        LEFT JOIN policy_heads ON policy_heads.group_id = audit.group_id AND head = 'production'
        LEFT JOIN policy_versions USING (group_id, version)
        WHERE audit.at < ?1 - ?2 * coalesce(json_extract(bundle, '$.retention.audit_days'), ?3)
        LIMIT ?4)";
const SESSIONS: &str = "
    DELETE FROM sessions WHERE id IN (
        SELECT sessions.id FROM sessions
        LEFT JOIN policy_heads ON policy_heads.group_id = sessions.group_id AND head = 'production'
        LEFT JOIN policy_versions ON policy_versions.group_id = policy_heads.group_id
            AND policy_versions.version = policy_heads.version
        WHERE sessions.ended < ?1 - ?2 * coalesce(json_extract(bundle, '$.retention.sessions_days'), ?3)
        LIMIT ?4)";

/// Removes what is too old at `now` (seconds since 1970), a bounded number of rows, each batch by itself so that nobody
/// waits long behind it; how many are gone. Session records that have no end are left alone.
pub(crate) fn forget_old(connection: &Connection, now: u64) -> rusqlite::Result<usize> {
    let mut gone = 0;
    for statement in [AUDIT, SESSIONS] {
        for _ in 0..RETENTION_BATCHES_MAX {
            let values = params![seconds(now), DAY, RETENTION_DAYS, RETENTION_BATCH as i64];
            let removed = connection.prepare_cached(statement)?.execute(values)?;
            gone += removed;
            if removed < RETENTION_BATCH {
                break;
            }
        }
    }
    Ok(gone)
}
