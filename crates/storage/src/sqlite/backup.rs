//! Backups: a whole store in one file, made while a server goes on, looked through before anybody relies on it.
//!
//! ```text
//! made:     FILE.partial (locked) -> VACUUM INTO -> looked through -> flushed -> renamed to FILE -> folder flushed
//! restored: FILE looked through -> DIR/restoring/store.db -> migrated, leases void, fences raised -> flushed -> DIR/store.db
//! ```
//!
//! A file under its final name is whole ([`crate::stored::partial`]).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::limits::BUSY;
use super::opening::{self, DATABASE_FILE};
use super::{Settings, SqliteStore};
use crate::error::StoreError;
use crate::moving::MoveError;
use crate::restores::{Restored, Restores};
use crate::stored::partial::{Partial, PartialError, flush_folder};

/// Where a store is put together before it takes its place.
const RESTORING: &str = "restoring";

/// Tables whose rows a person wants to see counted.
const COUNTED: [&str; 7] = ["environment", "request", "tree", "dataset", "lease", "event", "token"];

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its size.
    pub bytes: u64,
    /// The version of its schema.
    pub schema_version: u32,
    /// Rows by table.
    pub rows: Vec<(&'static str, u64)>,
}

/// Why there is no backup, or no restored store.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no store to be backed up.
    #[error("there is no store in {0}")]
    NoStore(PathBuf),
    /// Something is there already, and is not to be written over.
    #[error("{0} is there already")]
    Occupied(PathBuf),
    /// Somebody else is at it.
    #[error("{0} is being written by somebody else")]
    InUse(PathBuf),
    /// The file is no whole store of ours.
    #[error("{path} is no backup that can be restored: {why}")]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{path} cannot be {doing}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PartialError> for BackupError {
    fn from(error: PartialError) -> Self {
        match error {
            PartialError::Occupied(path) => Self::Occupied(path),
            PartialError::InUse(path) => Self::InUse(path),
            PartialError::Io { path, doing, cause } => Self::Io { path, doing, cause },
        }
    }
}

/// An empty folder is made ready for a moved store as for a restored one.
impl From<BackupError> for MoveError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Io { path, doing, cause } => MoveError::Io { path, doing, cause },
            BackupError::Store(error) => MoveError::Store(error),
            BackupError::Occupied(_) => MoveError::Occupied(error.to_string()),
            BackupError::InUse(_) => MoveError::Store(StoreError::Busy { reason: error.to_string() }),
            BackupError::NoStore(_) | BackupError::Unsound { .. } => {
                MoveError::Store(StoreError::Unreadable { reason: error.to_string() })
            }
        }
    }
}

/// Writes the store in `folder` into a file that is not there yet. A server may go on in the folder meanwhile; what it commits later
/// is not in the file. It holds its log for as long as this takes.
pub fn back_up(folder: &Path, file: &Path) -> Result<Backup, BackupError> {
    let database = folder.join(DATABASE_FILE);
    if !database.is_file() {
        return Err(BackupError::NoStore(folder.to_owned()));
    }
    let partial = Partial::begin(file)?;
    let backup = match write(&database, partial.path()).and_then(|()| verify(partial.path())) {
        Ok(backup) => backup,
        Err(error) => {
            partial.discard();
            return Err(error);
        }
    };
    partial.finish()?;
    note_backup(folder);
    Ok(backup)
}

/// Leaves word for the server that shows when the last backup was done. Whoever backs up may not be allowed to write there: the
/// backup is as good without.
fn note_backup(folder: &Path) {
    let note = opening::backup_note(folder);
    if let Err(error) = std::fs::write(&note, "The time of this file is that of the last backup.\n") {
        tracing::warn!(note = %note.display(), %error, "the time of the last backup could not be noted");
    }
}

/// Looks a backup through: that it is ours and not of a newer build, that every page of it is sound, and that what refers to
/// something finds it.
pub fn verify(file: &Path) -> Result<Backup, BackupError> {
    let unsound = |why: String| BackupError::Unsound { path: file.to_owned(), why };
    let bytes = std::fs::metadata(file).map_err(|cause| io_error(file, "read", cause))?.len();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|cause| unsound(cause.to_string()))?;
    let looked = opening::check_ours(&connection, file);
    let schema_version = looked.map_err(|error| match error {
        StoreError::Unreadable { reason } => unsound(reason),
        StoreError::Broken { cause, .. } => unsound(cause.to_string()),
        other => BackupError::Store(other),
    })?;
    let rows = look_through(&connection).map_err(|cause| unsound(cause.to_string()))?.map_err(unsound)?;
    Ok(Backup { bytes, schema_version, rows })
}

/// Puts the store of a backup into a folder in which nothing is, and makes it go on: see [`Restores::after_restore`].
pub async fn restore(file: &Path, folder: &Path, from: &str) -> Result<(Backup, Restored), BackupError> {
    let backup = verify(file)?;
    let making = make_place(folder)?;
    let _held = opening::lock(folder)?;
    let making = begin_in(folder, &making)?;
    let database = making.join(DATABASE_FILE);
    std::fs::copy(file, &database).map_err(|cause| io_error(&database, "written", cause))?;
    let store = SqliteStore::open(&making, Settings::default())?;
    let restored = store.after_restore(from).await?;
    // The log is folded into the database when the last connection goes.
    drop(store);
    put_in_place(folder, &making)?;
    Ok((backup, restored))
}

/// Makes a folder in which nothing may be; returns where in it a store is put together.
pub(super) fn make_place(folder: &Path) -> Result<PathBuf, BackupError> {
    let making = folder.join(RESTORING);
    // Looked at before anything is made in it, and again when nobody else can restore into it or serve from it.
    empty(folder, &making)?;
    make_folder(folder)?;
    Ok(making)
}

/// Makes the place anew for whoever has the folder for itself.
pub(super) fn begin_in(folder: &Path, making: &Path) -> Result<PathBuf, BackupError> {
    empty(folder, making)?;
    match std::fs::remove_dir_all(making) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(making, "removed", cause));
        }
        _ => make_folder(making)?,
    }
    Ok(making.to_owned())
}

/// Gives a store that was put together, and that nobody has open, its place in the folder.
pub(super) fn put_in_place(folder: &Path, making: &Path) -> Result<(), BackupError> {
    let (database, place) = (making.join(DATABASE_FILE), folder.join(DATABASE_FILE));
    // SQLite folds the log into the database when it is closed, and says nothing when it cannot: a full disk leaves all of it there.
    let log = opening::log_of(making);
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        return Err(io_error(&log, "folded into the database", io::ErrorKind::StorageFull.into()));
    }
    let flushed = File::open(&database).and_then(|database| database.sync_all());
    flushed.map_err(|cause| io_error(&database, "flushed", cause))?;
    std::fs::rename(&database, &place).map_err(|cause| io_error(&place, "written", cause))?;
    flush_folder(&place).map_err(|cause| io_error(&place, "flushed", cause))?;
    std::fs::remove_dir_all(making).map_err(|cause| io_error(making, "removed", cause))
}

fn write(database: &Path, partial: &Path) -> Result<(), BackupError> {
    let failed = |doing: &'static str, cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => BackupError::Store(StoreError::Full),
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            BackupError::Unsound { path: database.to_owned(), why: cause.to_string() }
        }
        _ => BackupError::Store(StoreError::Broken { doing, cause: Box::new(cause) }),
    };
    // Not only for reading: beside a server that has ended there is no index of the log, and it has to be made.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(database, flags).map_err(|cause| failed("opening the store", cause))?;
    connection.busy_timeout(BUSY).map_err(|cause| failed("opening the store", cause))?;
    opening::check_ours(&connection, database)?;
    let target = partial.to_str().ok_or_else(|| {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8");
        io_error(partial, "written", cause)
    })?;
    connection
        .execute("VACUUM INTO ?1", [target])
        .map(|_| ())
        .map_err(|cause| failed("writing a backup", cause))
}

/// Counts the rows, if every page is sound and every reference leads somewhere; says what is not.
fn look_through(connection: &Connection) -> rusqlite::Result<Result<Vec<(&'static str, u64)>, String>> {
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Ok(Err(sound));
    }
    let mut dangling = connection.prepare("PRAGMA foreign_key_check")?;
    if let Some(row) = dangling.query([])?.next()? {
        let table: String = row.get(0)?;
        return Ok(Err(format!("a row of {table} refers to one that is not there")));
    }
    let mut rows = Vec::with_capacity(COUNTED.len());
    for table in COUNTED {
        let count: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        rows.push((table, count.unsigned_abs()));
    }
    let double =
        "SELECT count(*) FROM (SELECT 1 FROM lease WHERE status = 0 GROUP BY tree HAVING count(*) > 1)";
    let double: i64 = connection.query_row(double, [], |row| row.get(0))?;
    Ok(if double == 0 { Ok(rows) } else { Err(format!("{double} datasets are leased twice")) })
}

/// A folder is empty when nothing is in it but what a restore left that did not come to its end.
fn empty(folder: &Path, making: &Path) -> Result<(), BackupError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
            return Err(BackupError::Occupied(folder.to_owned()));
        }
        Err(cause) => return Err(io_error(folder, "read", cause)),
    };
    for entry in entries {
        let entry = entry.map_err(|cause| io_error(folder, "read", cause))?;
        let left = entry.path() == making || entry.file_name() == opening::LOCK_FILE;
        if !left {
            return Err(BackupError::Occupied(entry.path()));
        }
    }
    Ok(())
}

fn make_folder(folder: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|cause| io_error(folder, "made", cause))
}

fn io_error(path: &Path, doing: &'static str, cause: io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), doing, cause }
}
