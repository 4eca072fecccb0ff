//! Faults: what PostgreSQL refuses or fails at, told apart by what is to be done about it.

use std::error::Error;

use deadpool::managed::HookError;
use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::epoch::RESTORED;
use crate::error::StoreError;

/// Why a transaction did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// PostgreSQL, or the way to it.
    Sql(tokio_postgres::Error),
    /// There was no connection to be had.
    Pool(PoolError),
    /// What is stored cannot be understood.
    Unreadable { column: usize, cause: Box<dyn Error + Send + Sync> },
    /// What was read without a lock has changed: the transaction has to begin anew.
    Again(&'static str),
    /// It has taken too long.
    Late(&'static str),
    /// The code of the transaction is wrong.
    Wrong(String),
}

/// What is to be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Carry the transaction out once more, at once: it gave way to another one, or what it read has changed.
    Again,
    /// The database, or the connection to it, is not there now; it may be in a moment.
    Later,
    /// Make room.
    Room,
    /// None: it fails every time.
    Nothing,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(cause: tokio_postgres::Error) -> Self {
        Self::Sql(cause)
    }
}

impl From<PoolError> for Fault {
    fn from(cause: PoolError) -> Self {
        Self::Pool(cause)
    }
}

impl Fault {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Sql(cause) | Self::Pool(PoolError::Backend(cause)) => remedy_of(cause),
            Self::Again(_) => Remedy::Again,
            Self::Pool(_) | Self::Late(_) => Remedy::Later,
            Self::Unreadable { .. } | Self::Wrong(_) => Remedy::Nothing,
        }
    }

    /// Whether carrying a transaction out once more, shortly, may help. Whoever has waited for long need not wait again.
    pub(super) fn is_passing(&self) -> bool {
        match self.remedy() {
            Remedy::Again => true,
            Remedy::Later => match self {
                Self::Sql(cause) => cause
                    .code()
                    .is_none_or(|code| code.code().starts_with("08") || code.code().starts_with("57P")),
                _ => false,
            },
            Remedy::Room | Remedy::Nothing => false,
        }
    }

    /// Whether PostgreSQL itself has refused, so that what it was told to do is certainly undone.
    ///
    /// One that ends over it has not refused: a commit may be in its log when it finds no room for the next piece of that, and is
    /// done when it has recovered.
    pub(super) fn is_refusal(&self) -> bool {
        let Self::Sql(cause) = self else { return false };
        let severity = cause.as_db_error().and_then(DbError::parsed_severity);
        severity == Some(Severity::Error) && self.remedy() != Remedy::Later
    }

    /// Whether PostgreSQL has answered, or nobody was asked: the statement itself is certainly undone. That a connection was lost
    /// is said by whoever stands in front of it, which does not know what has been done.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Sql(cause) => cause.code().is_some_and(|code| !code.code().starts_with("08")),
            Self::Again(_) | Self::Wrong(_) | Self::Unreadable { .. } => true,
            Self::Pool(_) | Self::Late(_) => false,
        }
    }

    /// Whether PostgreSQL does not know us, or does not let us do this.
    pub(super) fn is_denial(&self) -> bool {
        let Self::Sql(cause) = self else { return false };
        cause.code().is_some_and(|code| is_about_who(code) || *code == SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// The same, or what another transaction has written meanwhile when that is in the way: it is seen by whoever begins anew.
    pub(super) fn or_taken(self, what: &'static str) -> Self {
        match self {
            Self::Sql(cause) if cause.code() == Some(&SqlState::UNIQUE_VIOLATION) => Self::Again(what),
            other => other,
        }
    }

    /// The error of a method of which nothing was done.
    pub(super) fn told(self, doing: &'static str) -> StoreError {
        match self.remedy() {
            Remedy::Room => StoreError::Full,
            Remedy::Again | Remedy::Later if self.is_closed() => StoreError::Closed,
            Remedy::Again | Remedy::Later if self.is_of_a_restored_store() => StoreError::Restored,
            Remedy::Again | Remedy::Later => StoreError::Unavailable { doing, cause: self.into_cause() },
            Remedy::Nothing => StoreError::Broken { doing, cause: self.into_cause() },
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self, Self::Pool(PoolError::Closed))
    }

    fn is_of_a_restored_store(&self) -> bool {
        matches!(self, Self::Pool(PoolError::PostCreateHook(HookError::Message(why))) if why == RESTORED)
    }

    pub(super) fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Sql(cause) => Box::new(cause),
            Self::Pool(cause) => Box::new(cause),
            Self::Unreadable { column, cause } => format!("column {column} cannot be read: {cause}").into(),
            Self::Again(what) => format!("{what} has changed again and again meanwhile").into(),
            Self::Late(what) => format!("{what} took too long").into(),
            Self::Wrong(what) => what.into(),
        }
    }
}

/// An error without a code comes from the connection, unless a value could not be turned into what the other side has.
fn remedy_of(cause: &tokio_postgres::Error) -> Remedy {
    let Some(code) = cause.code() else {
        let is_io = cause.source().is_some_and(|source| source.is::<std::io::Error>());
        return if cause.is_closed() || is_io { Remedy::Later } else { without_code(cause) };
    };
    let anew = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // What ended the transaction was told to a statement that went beside this one, and is heard by whoever begins anew.
        SqlState::IN_FAILED_SQL_TRANSACTION,
    ];
    if anew.contains(code) {
        return Remedy::Again;
    }
    let elsewhere = [
        SqlState::QUERY_CANCELED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::OUT_OF_MEMORY,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::INSUFFICIENT_RESOURCES,
    ];
    match code.code() {
        code if code == SqlState::DISK_FULL.code() => Remedy::Room,
        // It has ended the connection, or made none, whatever the code says: a full disk, for one, has no room for what it notes of
        // its tables for the next connection, and it says XX000 then.
        _ if has_ended_connection(cause) => Remedy::Later,
        code if code.starts_with("08") || code.starts_with("57P") => Remedy::Later,
        // A password that was changed, or a database that is being moved: others of the same store go on meanwhile.
        _ if elsewhere.contains(code) || is_about_who(code) => Remedy::Later,
        _ => Remedy::Nothing,
    }
}

fn has_ended_connection(cause: &tokio_postgres::Error) -> bool {
    let severity = cause.as_db_error().and_then(DbError::parsed_severity);
    // It does not know what it was told to begin with, and never will.
    let is_ours =
        cause.code().is_some_and(|code| ["0A", "22", "42"].iter().any(|of| code.code().starts_with(of)));
    matches!(severity, Some(Severity::Fatal | Severity::Panic)) && !is_ours
}

/// Whether a connection was refused because of who asks for it, or for which database.
fn is_about_who(code: &SqlState) -> bool {
    code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME
}

/// Without a code and without an input or output: TLS, a password, time, or a value of the wrong type.
fn without_code(cause: &tokio_postgres::Error) -> Remedy {
    let text = cause.to_string();
    let ours = [
        "error serializing",
        "error deserializing",
        "invalid column",
        "query returned",
        "invalid configuration",
    ];
    if ours.iter().any(|start| text.starts_with(start)) { Remedy::Nothing } else { Remedy::Later }
}
