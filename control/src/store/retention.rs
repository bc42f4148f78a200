//! What is kept for a time only: audit lines and session records, as long as their group's production bundle says.

use fanlight_wire::limits::{RETENTION_BATCH, RETENTION_BATCHES_MAX, RETENTION_DAYS};
use rusqlite::{Connection, Row, params};

use super::records::seconds;

const DAY: i64 = 86_400;

/// Each group, and for how many days it keeps what; `?1` where it does not say. The last row stands for no group.
const GROUPS: &str = "
    SELECT groups.id,
        coalesce(json_extract(bundle, '$.retention.audit_days'), ?1),
        coalesce(json_extract(bundle, '$.retention.sessions_days'), ?1)
    FROM groups
    LEFT JOIN policy_heads ON policy_heads.group_id = groups.id AND head = 'production'
    LEFT JOIN policy_versions ON policy_versions.group_id = policy_heads.group_id
        AND policy_versions.version = policy_heads.version
    UNION ALL SELECT NULL, ?1, ?1";
/// `?1` group, `?2` oldest second kept, `?3` rows.
const AUDIT: &str = "
    DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE group_id IS ?1 AND at < ?2 LIMIT ?3)";
const SESSIONS: &str = "
    DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE group_id IS ?1 AND ended < ?2 LIMIT ?3)";

/// Removes what is too old at `now` (seconds since 1970), a bounded number of rows, each batch by itself so that nobody
/// waits long behind it; how many are gone. Session records that have no end are left alone.
pub(crate) fn forget_old(connection: &Connection, now: u64) -> rusqlite::Result<usize> {
    let mut groups = connection.prepare_cached(GROUPS)?;
    let row = |row: &Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let kept = groups.query_map([RETENTION_DAYS], row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let (mut gone, mut batches) = (0, RETENTION_BATCHES_MAX);
    for (group, audit_days, sessions_days) in kept {
        for (statement, days) in [(AUDIT, audit_days), (SESSIONS, sessions_days)] {
            let oldest = seconds(now).saturating_sub(DAY.saturating_mul(days));
            while batches > 0 {
                let removed =
                    connection.prepare_cached(statement)?.execute(params![group, oldest, RETENTION_BATCH as i64])?;
                gone += removed;
                if removed < RETENTION_BATCH {
                    break;
                }
                batches -= 1;
            }
        }
    }
    Ok(gone)
}
