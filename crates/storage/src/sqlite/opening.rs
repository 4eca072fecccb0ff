//! Opening: the lock on the folder, the settings of the connections, whose file it is, and its schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::columns::ms;
use super::limits::{BUSY, LOG_BYTES, READER_CACHE_KIB, STATEMENTS, WRITER_CACHE_KIB};
use super::{Durability, migrations};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::migrations::Fit;
use crate::mutants::{self, Mutant};

/// The database within the folder of a store.
pub(super) const DATABASE_FILE: &str = "store.db";

/// The lock within the folder of a store; its content is nobody's business.
pub(super) const LOCK_FILE: &str = "lock";

/// "SIX6" in the header of the file: tells our databases from others.
const APPLICATION_ID: i32 = 0x5349_5836;

/// Older ones may lose a commit when the log is reset while another connection writes.
const OLDEST_SQLITE: i32 = 3_051_003;

/// 2025-01-01T00:00:00Z: fence epochs are minutes since then, so that they stay below 2^25 for half a century.
const FENCE_EPOCH_START_MS: i64 = 1_735_689_600_000;

/// How long a lock is waited for. Whoever has just ended may still hold it for a moment: its last thread is on its way out,
/// or a program that it has just started has not let go of what it inherited.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// The pause between two looks at it.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The log of the database within the folder of a store.
pub(super) fn log_of(folder: &Path) -> PathBuf {
    folder.join(DATABASE_FILE).with_extension("db-wal")
}

/// A file within the folder of a store that tells by its time when the last backup of it was done.
pub(super) fn backup_note(folder: &Path) -> PathBuf {
    folder.join("last-backup")
}

/// An open database, for the writer.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// The part of every fence that a restore raises.
    pub(super) fence_epoch: u64,
}

/// Takes the folder for this process; the lock ends with the file handle, however the process ends.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    std::fs::create_dir_all(folder).map_err(|cause| broken("creating the data folder", cause))?;
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|cause| broken("opening the lock file", cause))?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { path: path.display().to_string() });
            }
            Err(TryLockError::Error(cause)) => return Err(broken("locking the data folder", cause)),
        }
    }
}

/// Opens the database for writing, creates or migrates it, for a build that knows this version.
pub(super) fn open(
    file: &Path,
    durability: Durability,
    clock: &dyn Clock,
    known: u32,
) -> Result<Opened, StoreError> {
    check_files(file)?;
    let mut connection = open_writer(file, durability)?;
    migrations::prepare(&mut connection, file, known)?;
    let now_ms = ms(clock.now());
    let fence_epoch =
        first_row(&connection, now_ms).map_err(|cause| told(file, "reading the database", cause))?;
    Ok(Opened { connection, fence_epoch })
}

/// The database of a folder in which there is a store.
pub(super) fn existing(folder: &Path) -> Result<PathBuf, StoreError> {
    let file = folder.join(DATABASE_FILE);
    check_files(&file)?;
    if file.is_file() {
        return Ok(file);
    }
    Err(StoreError::Unreadable { reason: format!("there is no store in {}", folder.display()) })
}

/// Opens a database of ours, or an empty one, for writing, whatever its version.
pub(super) fn open_writer(file: &Path, durability: Durability) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        let reason = format!("SQLite {} can lose commits; 3.51.3 or newer is needed", rusqlite::version());
        return Err(StoreError::Unreadable { reason });
    }
    let connection = Connection::open(file).map_err(|cause| told(file, "opening the database", cause))?;
    check_owner(&connection, file)?;
    configure(&connection, durability).map_err(|cause| told(file, "setting the database up", cause))?;
    Ok(connection)
}

/// Opens the database for reading.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// What lies at the database's place must be able to be one, and a log is nothing without its database: a new one in its
/// place would throw away what was acknowledged.
fn check_files(file: &Path) -> Result<(), StoreError> {
    let log = file.with_extension("db-wal");
    let reason = if file.is_dir() {
        format!("{} is a folder", file.display())
    } else if !file.exists() && log.exists() {
        format!("{} is missing, and its log {} is there: put it back", file.display(), log.display())
    } else {
        return Ok(());
    };
    Err(StoreError::Unreadable { reason })
}

/// A database that is neither empty nor ours is left alone, down to its journal mode.
fn check_owner(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let read = |cause| told(file, "reading the database", cause);
    let owner: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(read)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(read)?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        Ok(())
    } else {
        let reason = format!("{} is a database of another program", file.display());
        Err(StoreError::Unreadable { reason })
    }
}

/// A store of ours that this build can work with, or an older one; returns the version of its schema.
pub(super) fn check_ours(connection: &Connection, file: &Path) -> Result<u32, StoreError> {
    let read = |cause| told(file, "reading the database", cause);
    let owner: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(read)?;
    if owner != APPLICATION_ID {
        return Err(StoreError::Unreadable { reason: format!("{} is no store of Sixpack", file.display()) });
    }
    let schema = migrations::found(connection, file, migrations::known_version())?;
    if schema.version > 0 && schema.fit() != Fit::Newer {
        return Ok(schema.version);
    }
    let (found, known) = (schema.version, schema.known);
    let reason = format!("{} has schema version {found}, this build knows 1 to {known}", file.display());
    Err(StoreError::Unreadable { reason })
}

fn configure(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise some statements are compiled anew whenever a value is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        tracing::warn!(mode, "the file system does not allow a write-ahead log");
    }
    let synchronous = match durability {
        Durability::Flushed if mutants::on(Mutant::SynchronousNormal) => "NORMAL",
        Durability::Flushed => "FULL",
        Durability::TestsOnly => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // The writer decides itself when the log is folded in; its file is cut back afterwards.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    Ok(())
}

/// The newest migration that was applied; 0 for a new database.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    let history = "SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    let tables: i64 = connection.query_row(history, [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    connection
        .query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))
}

/// Makes the one row about the store itself, and returns its fence epoch.
fn first_row(connection: &Connection, now_ms: i64) -> rusqlite::Result<u64> {
    let epoch = (now_ms - FENCE_EPOCH_START_MS).max(0) / 60_000;
    connection.execute(
        "INSERT INTO meta (one, fence_epoch, created_at) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING",
        [epoch, now_ms],
    )?;
    let epoch: i64 = connection.query_row("SELECT fence_epoch FROM meta", [], |row| row.get(0))?;
    u64::try_from(epoch).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, epoch))
}

/// Tells a file that is no database from one that cannot be read.
pub(super) fn told(file: &Path, doing: &'static str, cause: rusqlite::Error) -> StoreError {
    match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Unreadable { reason: format!("{} is not a database", file.display()) }
        }
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::PermissionDenied) => {
            let kind = std::io::ErrorKind::PermissionDenied;
            broken(doing, std::io::Error::new(kind, format!("{}: {cause}", file.display())))
        }
        _ => broken(doing, cause),
    }
}

pub(super) fn broken(
    doing: &'static str,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Broken { doing, cause: Box::new(cause) }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_database_that_may_not_be_written_to_is_a_matter_of_rights() {
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_PERM] {
            let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = told(Path::new("store.db"), "setting the database up", cause);
            let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
            assert_eq!(io.map(std::io::Error::kind), Some(std::io::ErrorKind::PermissionDenied), "{error}");
        }
    }
}
