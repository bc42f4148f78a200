//! The tables, and how an older file becomes a newer one: one step per version, all in one transaction.

use rusqlite::{Connection, TransactionBehavior};

/// `STEPS[n]` leads from `user_version` n to n + 1. A step that has been released is never changed.
const STEPS: &[&str] = &["
    CREATE TABLE groups (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        policy TEXT NOT NULL,
        active INTEGER NOT NULL DEFAULT 1
    ) STRICT;
    CREATE TABLE agents (
        group_id TEXT NOT NULL REFERENCES groups(id),
        agent TEXT NOT NULL,
        name TEXT NOT NULL,
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        active INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (group_id, agent)
    ) STRICT;
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        group_id TEXT NOT NULL,
        policy_version INTEGER NOT NULL,
        created INTEGER NOT NULL,
        ended INTEGER,
        end_code TEXT,
        agents INTEGER NOT NULL DEFAULT 0,
        shares INTEGER NOT NULL DEFAULT 0,
        takeovers INTEGER NOT NULL DEFAULT 0,
        refusals INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX sessions_open ON sessions(ended) WHERE ended IS NULL;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        what TEXT NOT NULL,
        group_id TEXT,
        session TEXT,
        who TEXT,
        code TEXT
    ) STRICT;
"];

/// The version that this release reads and writes.
const NEWEST: i64 = STEPS.len() as i64;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("made by a newer release (schema {0})")]
    Newer(i64),
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// Sets what a connection needs and runs the steps that the file lacks.
pub(crate) fn bring_up_to_date(connection: &mut Connection) -> Result<(), SchemaError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode NORMAL never corrupts; FULL is what keeps an acknowledged write through a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(fanlight_wire::limits::STORE_MAX)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > NEWEST {
        return Err(SchemaError::Newer(version));
    }
    let done = usize::try_from(version).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", NEWEST)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_brought_up_to_date_once_and_a_newer_one_is_left_alone() {
        let mut connection = Connection::open_in_memory().expect("memory");
        bring_up_to_date(&mut connection).expect("a new file");
        bring_up_to_date(&mut connection).expect("nothing to do");
        connection.pragma_update(None, "user_version", NEWEST + 1).expect("a pragma");
        let error = bring_up_to_date(&mut connection).expect_err("a newer file");
        assert!(error.to_string().contains("newer release"), "{error}");
    }
}
