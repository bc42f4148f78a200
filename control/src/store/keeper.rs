//! The one connection, and what becomes of it when its file does not stay where it was.
//!
//! Invariant: a statement runs only on the file that is at the path now. A file that was moved away, replaced or damaged
//! is let go, and the one that is at the path is opened as soon as there is one; none is ever made while the process
//! runs, because an empty store would answer for one that holds groups and an audit trail.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{SchemaError, bring_up_to_date, prepare};

/// The file is not there, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the file is not there")]
    Gone(#[source] std::io::Error),
    #[error("the file is damaged ({0}); restore a backup")]
    Damaged(String),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// Keeps a connection to the file at a path.
#[derive(Debug)]
pub(super) struct Keeper {
    /// `None`: in memory, which does not get lost.
    path: Option<PathBuf>,
    held: Option<Held>,
    /// Complained of once, until it works again.
    complained: bool,
}

#[derive(Debug)]
struct Held {
    connection: Connection,
    /// Device and inode.
    file: Option<(u64, u64)>,
}

impl Keeper {
    /// Opens the file, or makes it; checks that it is whole and brings its schema up to date.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Unusable> {
        let mut connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        whole(&connection)?;
        bring_up_to_date(&mut connection)?;
        let file = path.map(identity).transpose().map_err(Unusable::Gone)?;
        Ok(Self { path: path.map(Into::into), held: Some(Held { connection, file }), complained: false })
    }

    /// The connection to the file that is at the path now; `None` while there is none that can be used.
    pub(super) fn connection(&mut self) -> Option<&Connection> {
        if let Some(path) = &self.path {
            let there = identity(path).ok();
            if self.held.as_ref().is_some_and(|held| there.is_none() || held.file != there) {
                self.let_go();
            }
        }
        if self.held.is_none() {
            match self.reopened() {
                Ok(held) => {
                    tracing::info!("the store is back");
                    self.held = Some(held);
                    self.complained = false;
                }
                Err(error) => {
                    if !self.complained {
                        tracing::error!(%error, "the store cannot be used; running sessions go on");
                        self.complained = true;
                    }
                }
            }
        }
        self.held.as_ref().map(|held| &held.connection)
    }

    /// A statement has failed like this: is the connection still good for anything?
    pub(super) fn judge(&mut self, error: ErrorCode) {
        let lasting = [
            ErrorCode::CannotOpen,
            ErrorCode::NotADatabase,
            ErrorCode::DatabaseCorrupt,
            ErrorCode::SystemIoFailure,
            ErrorCode::ReadOnly,
        ];
        if self.path.is_some() && lasting.contains(&error) {
            self.let_go();
        }
    }

    fn reopened(&self) -> Result<Held, Unusable> {
        let path = self.path.as_deref().unwrap_or_else(|| Path::new(""));
        let file = identity(path).map_err(Unusable::Gone)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        whole(&connection)?;
        prepare(&connection)?;
        Ok(Held { connection, file: Some(file) })
    }

    fn let_go(&mut self) {
        let Some(Held { connection, .. }) = self.held.take() else { return };
        // The log beside the path may belong to another file by now: it is neither written back nor removed.
        if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "a store that is let go may tidy up after itself");
        }
    }
}

/// Every page and index is as it should be.
fn whole(connection: &Connection) -> Result<(), Unusable> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(Unusable::Damaged(verdict)) }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
