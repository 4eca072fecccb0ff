//! Moving: a whole store in one file of lines, which the other database takes as its own.
//!
//! ```text
//! {"sixpack_export":1,"schema":2,"store":"sqlite"}
//! {"table":"environment","columns":["id","name","revision","created_at"]}
//! [1,"default",3,1767225600000]
//! {"end":"environment","rows":1,"hash":"…"}
//! …
//! {"end":"export","rows":31,"hash":"…"}
//! ```
//!
//! A row is written the same whichever database it comes from. The hash of a table is a sum over its rows, so that it is that of
//! the rows whatever their order; the one at the end is over every byte before it.
//!
//! Moving is not restoring: the store goes on where it stopped. Leases, sessions, tokens and keys stay what they are.

use std::io;
use std::path::PathBuf;

use crate::error::StoreError;
use crate::stored::partial::PartialError;

/// Rows of a table, and their hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// How many.
    pub rows: u64,
    /// Over all of them, the same in both databases.
    pub hash: String,
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The table that is at it.
    pub table: &'static str,
    /// Its rows so far.
    pub rows: u64,
}

/// Hears how far it is, now and then.
pub type Tell<'t> = &'t mut (dyn FnMut(Progress) + Send);

/// Why a store was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file is no whole export.
    #[error("{file}, line {line}: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        line: u64,
        /// What is wrong, and of which table.
        why: String,
    },
    /// The file, or the store, is of another version.
    #[error("{0}")]
    OtherVersion(String),
    /// What was written reads otherwise, so that it was not kept.
    #[error(
        "table {table}: {rows} rows with the hash {hash} were to be written, and {found_rows} with {found_hash} are there"
    )]
    Differs {
        /// Which table.
        table: &'static str,
        /// How many rows were to be written.
        rows: u64,
        /// Their hash.
        hash: String,
        /// How many are there.
        found_rows: u64,
        /// Theirs.
        found_hash: String,
    },
    /// Something is there already, and is not to be written over.
    #[error("{0}")]
    Occupied(String),
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

impl From<PartialError> for MoveError {
    fn from(error: PartialError) -> Self {
        match error {
            PartialError::Occupied(path) => Self::Occupied(format!("{} is there already", path.display())),
            PartialError::InUse(path) => {
                let reason = format!("{} is being written by somebody else", path.display());
                Self::Store(StoreError::Busy { reason })
            }
            PartialError::Io { path, doing, cause } => Self::Io { path, doing, cause },
        }
    }
}
