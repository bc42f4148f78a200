//! A copy of the store while it is in use.

use std::fs::{File, OpenOptions, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is no store that could be read: {0}")]
    Source(rusqlite::Error),
    #[error("{0} exists already; name a new file")]
    Exists(String),
    #[error("the copy cannot be written: {0}")]
    Write(#[from] io::Error),
    #[error("the copy cannot be made: {0}")]
    Copy(rusqlite::Error),
    #[error("the copy is not whole ({0}); check the disk")]
    Damaged(String),
}

/// Copies the store at `from`, as it is at one moment, into a new file that is whole, compact and readable by its owner
/// alone. The relay may run meanwhile: readers and its writer do not wait.
///
/// # Errors
/// [`BackupError`]; a file that was begun is removed.
pub fn backup(from: &Path, to: &Path) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(BackupError::Source)?;
    source.busy_timeout(fanlight_wire::limits::BACKUP_MAX).map_err(BackupError::Source)?;
    source.query_row("SELECT count(*) FROM groups", [], |_| Ok(())).map_err(BackupError::Source)?;
    // Made first and privately: nobody else reads it while it grows, and no file is overwritten.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(to.display().to_string()),
        _ => BackupError::Write(error),
    })?;
    let done = copied(&source, to);
    if done.is_err() {
        drop(std::fs::remove_file(to));
    }
    done
}

fn copied(source: &Connection, to: &Path) -> Result<(), BackupError> {
    // SQLite takes an empty file for a new one.
    source.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(BackupError::Copy)?;
    set_permissions(to, Permissions::from_mode(0o600))?;
    let copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(BackupError::Copy)?;
    let verdict: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(BackupError::Copy)?;
    if verdict != "ok" {
        return Err(BackupError::Damaged(verdict));
    }
    drop(copy);
    File::open(to)?.sync_all()?;
    // The name is kept by its folder.
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Ok(File::open(folder)?.sync_all()?)
}
