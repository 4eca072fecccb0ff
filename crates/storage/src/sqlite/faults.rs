//! Faults: what SQLite refuses or fails at, told apart by what it means for the write, its batch and the store.

use rusqlite::{ErrorCode, ffi};

/// Why a write did not come to its end.
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Panicked(String),
}

/// Why a whole batch failed.
pub(super) enum BatchFault {
    /// One write failed by its own fault; the others may well succeed without it.
    One(usize, Fault),
    /// There is no room; nothing was changed.
    Full,
    /// There is no room to finish a commit with: it may be done when the process ends now, and is not otherwise.
    Unconfirmed(String),
    /// The database cannot be trusted any more.
    InDoubt(String),
}

/// What it means that beginning or ending a transaction has failed.
pub(super) fn verdict_of_control(sql: &str, cause: &rusqlite::Error) -> BatchFault {
    if cause.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        return BatchFault::Full;
    }
    let told = format!("{sql}: {}", with_code(cause));
    match (lacks_room_for_index(cause), sql) {
        (true, "COMMIT") => BatchFault::Unconfirmed(told),
        (true, _) => BatchFault::Full,
        (false, _) => BatchFault::InDoubt(told),
    }
}

/// Whether the index of the log could not be made longer, whose pieces are mapped into memory and therefore need their room first.
fn lacks_room_for_index(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}

/// Decides whether a fault is the write's own, or everybody's.
pub(super) fn verdict(fault: Fault, at: usize) -> BatchFault {
    let code = match &fault {
        // A large write is in the log in part before it is committed.
        Fault::Sql(cause) if lacks_room_for_index(cause) => return BatchFault::Full,
        Fault::Sql(cause) => cause.sqlite_error_code(),
        Fault::Panicked(_) => None,
    };
    match code {
        Some(ErrorCode::DiskFull) => BatchFault::Full,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::DatabaseBusy,
        ) => BatchFault::InDoubt(told(&fault)),
        _ => BatchFault::One(at, fault),
    }
}

pub(super) fn told(fault: &Fault) -> String {
    match fault {
        Fault::Sql(cause) => with_code(cause),
        Fault::Panicked(message) => format!("a write panicked: {message}"),
    }
}

/// With SQLite's extended code, without which "disk I/O error" may be any of forty things.
pub(super) fn with_code(cause: &rusqlite::Error) -> String {
    match cause.sqlite_error() {
        Some(error) => format!("{cause} (SQLite's code {})", error.extended_code),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi::{Error, SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMSIZE};

    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(Error::new(code), None)
    }

    #[test]
    fn only_what_the_disk_has_no_room_for_leaves_it_in_no_doubt() {
        for sql in ["BEGIN IMMEDIATE", "SAVEPOINT write", "COMMIT"] {
            assert!(matches!(verdict_of_control(sql, &failure(SQLITE_FULL)), BatchFault::Full), "{sql}");
            let BatchFault::InDoubt(told) = verdict_of_control(sql, &failure(SQLITE_IOERR_FSYNC)) else {
                panic!("{sql} goes on although nobody knows what is on the disk");
            };
            assert!(told.starts_with(sql) && told.contains("1034"), "{told}");
        }
        let no_index = failure(SQLITE_IOERR_SHMSIZE);
        assert!(matches!(verdict_of_control("COMMIT", &no_index), BatchFault::Unconfirmed(_)));
        assert!(matches!(verdict_of_control("BEGIN IMMEDIATE", &no_index), BatchFault::Full));
        assert!(matches!(verdict(Fault::Sql(no_index), 0), BatchFault::Full));
    }
}
