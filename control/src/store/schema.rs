//! The tables, and how an older file becomes a newer one: one step per version, all in one transaction.

use std::cmp::Ordering;

use fanlight_wire::policy::Policy;
use rusqlite::{Connection, TransactionBehavior};

use crate::policies::from_policy;
use crate::store::policies::seed_bundle;

/// `STEPS[n]` leads from `user_version` n to n + 1. A step that has been released is never changed.
const STEPS: &[Step] = &[
    Step { sql: FIRST, after: None },
    Step { sql: POLICIES, after: Some(bundles_from_policies) },
    Step { sql: RETENTION, after: None },
    Step { sql: EVENTS, after: None },
    Step { sql: WEBHOOKS, after: None },
    Step { sql: SUGGESTIONS, after: None },
    Step { sql: RECORDS, after: None },
    Step { sql: SERVER_KEYS, after: None },
    Step { sql: PARTICULARS, after: None },
];

/// What is done to a file, and what SQL alone cannot say.
struct Step {
    sql: &'static str,
    after: Option<fn(&Connection) -> rusqlite::Result<()>>,
}

const FIRST: &str = "
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
";

/// Versions are written once: triggers hold that, whoever writes. A head is one number, so a move is one statement.
const POLICIES: &str = "
    CREATE TABLE policy_versions (
        group_id TEXT NOT NULL REFERENCES groups(id),
        version INTEGER NOT NULL,
        bundle TEXT NOT NULL,
        saved INTEGER NOT NULL,
        who TEXT NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (group_id, version)
    ) STRICT;
    CREATE TRIGGER policy_versions_are_written_once BEFORE UPDATE ON policy_versions
        BEGIN SELECT RAISE(ABORT, 'a policy version is immutable'); END;
    CREATE TRIGGER policy_versions_are_kept BEFORE DELETE ON policy_versions
        BEGIN SELECT RAISE(ABORT, 'a policy version is immutable'); END;
    CREATE TABLE policy_heads (
        group_id TEXT NOT NULL REFERENCES groups(id),
        head TEXT NOT NULL CHECK (head IN ('staging', 'production')),
        version INTEGER NOT NULL,
        moves INTEGER NOT NULL,
        PRIMARY KEY (group_id, head),
        FOREIGN KEY (group_id, version) REFERENCES policy_versions(group_id, version)
    ) STRICT;
    CREATE TABLE policy_moves (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id TEXT NOT NULL REFERENCES groups(id),
        what TEXT NOT NULL,
        version INTEGER NOT NULL,
        before INTEGER,
        at INTEGER NOT NULL,
        who TEXT NOT NULL
    ) STRICT;
    CREATE INDEX policy_moves_of_group ON policy_moves(group_id, id);
    CREATE INDEX audit_by_time ON audit(at);
    CREATE INDEX sessions_by_end ON sessions(ended);
    ALTER TABLE agents ADD COLUMN role TEXT;
";

/// What is too old is found per group without reading what is not.
const RETENTION: &str = "
    CREATE INDEX audit_of_group ON audit(group_id, at);
    CREATE INDEX sessions_of_group ON sessions(group_id, ended);
";

/// Lines get the names of the one list of events, and the word that an event is about.
const EVENTS: &str = "
    ALTER TABLE audit ADD COLUMN detail TEXT;
    UPDATE audit SET what = CASE what
        WHEN 'invite.sent' THEN 'key.created'
        WHEN 'invite.accepted' THEN 'key.used'
        WHEN 'invite.refused' THEN 'key.refused'
        WHEN 'participant.joined' THEN 'agent.joined'
        WHEN 'participant.left' THEN 'agent.left'
        ELSE what END;
";

/// Secrets are in none of these: a generation is enough to derive one.
const WEBHOOKS: &str = "
    CREATE TABLE webhooks (
        id TEXT PRIMARY KEY,
        group_id TEXT NOT NULL REFERENCES groups(id),
        url TEXT NOT NULL,
        events TEXT NOT NULL,
        active INTEGER NOT NULL,
        generation INTEGER NOT NULL DEFAULT 1,
        previous_until INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL,
        delivered_at INTEGER,
        failed_at INTEGER,
        failure TEXT
    ) STRICT;
    CREATE INDEX webhooks_of_group ON webhooks(group_id);
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        webhook TEXT NOT NULL REFERENCES webhooks(id) ON DELETE CASCADE,
        message TEXT NOT NULL,
        event TEXT NOT NULL,
        session TEXT NOT NULL,
        body TEXT NOT NULL,
        created INTEGER NOT NULL,
        due INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0,
        failure TEXT
    ) STRICT;
    CREATE INDEX deliveries_waiting ON deliveries(webhook, session, id) WHERE dead = 0;
    CREATE INDEX deliveries_of_webhook ON deliveries(webhook, dead, id);
";

/// One row per address, however often it is wished for.
const SUGGESTIONS: &str = "
    CREATE TABLE suggestions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id TEXT NOT NULL REFERENCES groups(id),
        url TEXT NOT NULL,
        agent TEXT NOT NULL,
        at INTEGER NOT NULL,
        times INTEGER NOT NULL,
        UNIQUE (group_id, url)
    ) STRICT;
";

/// Who was in a session, and its consent receipts: written once, and gone with the session's record, never before.
const RECORDS: &str = "
    CREATE TABLE session_agents (
        session TEXT NOT NULL,
        participant INTEGER NOT NULL,
        agent TEXT NOT NULL,
        role TEXT NOT NULL,
        joined INTEGER NOT NULL,
        answer TEXT,
        allowed INTEGER,
        left_at INTEGER,
        code TEXT,
        modes TEXT NOT NULL,
        shares INTEGER NOT NULL,
        screens INTEGER NOT NULL,
        cameras INTEGER NOT NULL,
        PRIMARY KEY (session, participant)
    ) STRICT;
    CREATE INDEX session_agents_of_agent ON session_agents(agent, session);
    CREATE INDEX sessions_by_creation ON sessions(created);
    CREATE TABLE receipts (
        session TEXT NOT NULL,
        seq INTEGER NOT NULL,
        record TEXT NOT NULL,
        hash TEXT NOT NULL,
        signature TEXT,
        PRIMARY KEY (session, seq)
    ) STRICT;
    CREATE TRIGGER receipts_are_written_once BEFORE UPDATE ON receipts
        BEGIN SELECT RAISE(ABORT, 'a receipt is immutable'); END;
    CREATE TRIGGER receipts_are_kept BEFORE DELETE ON receipts
        WHEN EXISTS (SELECT 1 FROM sessions WHERE id = OLD.session)
        BEGIN SELECT RAISE(ABORT, 'a receipt stays as long as its session'); END;
    CREATE TRIGGER sessions_take_their_records AFTER DELETE ON sessions
        BEGIN
            DELETE FROM session_agents WHERE session = OLD.id;
            DELETE FROM receipts WHERE session = OLD.id;
        END;
";

/// Keys of groups' servers: hashes only.
const SERVER_KEYS: &str = "
    CREATE TABLE server_keys (
        id TEXT PRIMARY KEY,
        group_id TEXT NOT NULL REFERENCES groups(id),
        name TEXT NOT NULL,
        hash BLOB NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        created INTEGER NOT NULL,
        who TEXT NOT NULL,
        used_day INTEGER,
        revoked INTEGER
    ) STRICT;
    CREATE INDEX server_keys_of_group ON server_keys(group_id, created);
";

/// What a session is about, in the host product's terms.
const PARTICULARS: &str = "
    ALTER TABLE sessions ADD COLUMN kind TEXT NOT NULL DEFAULT 'cobrowse';
    ALTER TABLE sessions ADD COLUMN entry TEXT NOT NULL DEFAULT 'key';
    ALTER TABLE sessions ADD COLUMN context_type TEXT;
    ALTER TABLE sessions ADD COLUMN context_id TEXT;
    ALTER TABLE sessions ADD COLUMN external_ref TEXT;
    CREATE INDEX sessions_by_reference ON sessions(group_id, external_ref) WHERE external_ref IS NOT NULL;
";

/// The version that this release reads and writes.
const NEWEST: i64 = STEPS.len() as i64;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("made by a newer release (schema {0})")]
    Newer(i64),
    #[error("made by an older release (schema {0}); restart the relay to bring it up to date")]
    Older(i64),
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// Sets what a connection needs and runs the steps that the file lacks.
pub(crate) fn bring_up_to_date(connection: &mut Connection) -> Result<(), SchemaError> {
    settle(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > NEWEST {
        return Err(SchemaError::Newer(version));
    }
    let done = usize::try_from(version).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step.sql)?;
        if let Some(after) = step.after {
            after(&transaction)?;
        }
    }
    transaction.pragma_update(None, "user_version", NEWEST)?;
    Ok(transaction.commit()?)
}

/// Sets what a connection needs to a file that another connection has brought up to date.
pub(crate) fn prepare(connection: &Connection) -> Result<(), SchemaError> {
    settle(connection)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version.cmp(&NEWEST) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(SchemaError::Newer(version)),
        Ordering::Less => Err(SchemaError::Older(version)),
    }
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode NORMAL never corrupts; FULL is what keeps an acknowledged write through a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(fanlight_wire::limits::STORE_MAX)
}

/// The policy text that each group had becomes its first version, so that nobody's rules get wider by an upgrade.
fn bundles_from_policies(connection: &Connection) -> rusqlite::Result<()> {
    let mut groups = connection.prepare("SELECT id, policy FROM groups")?;
    let rows = groups.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows {
        let (group, text) = row?;
        let policy = serde_json::from_str::<Policy>(&text);
        // A text that cannot be read was refused at every use; the group stays without a version and is refused as before.
        let Ok(policy) = policy else { continue };
        seed_bundle(connection, &group, &from_policy(&policy), 0, "upgrade")?;
    }
    connection.execute_batch("ALTER TABLE groups DROP COLUMN policy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_files_rules_become_the_first_version() {
        let mut connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(FIRST).expect("the first schema");
        connection.pragma_update(None, "user_version", 1).expect("a pragma");
        let policy = Policy { escalate_to_show: false, ..Policy::default() };
        let text = serde_json::to_string(&policy).expect("plain data");
        connection.execute("INSERT INTO groups VALUES ('old', 'Old', ?1, 1)", [text]).expect("a row");
        bring_up_to_date(&mut connection).expect("an older file");
        let kept: String = connection
            .query_row("SELECT bundle FROM policy_versions WHERE group_id = 'old'", [], |row| row.get(0))
            .expect("one version");
        let bundle = serde_json::from_str(&kept).expect("a bundle");
        assert_eq!(crate::policies::compile(&bundle, 1, None), policy);
    }

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
