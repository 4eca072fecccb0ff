//! The database of one service: one SQLite file, one connection, every change a transaction.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::http::Denial;

/// One connection behind a mutex. The transactions of the shop take microseconds and are made on the
/// threads of the web server; a service under real load would give them a thread of their own.
pub(crate) struct Database {
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens or creates the file with the tables of the shop and those of one service.
    pub(crate) fn open(file: &Path, schemas: &[&str]) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        // Outlives the end of the process at any moment; only a power cut may lose the last changes.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        for schema in schemas {
            connection.execute_batch(schema)?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Does all of `act` or, when it denies or fails, nothing of it.
    pub(crate) fn transaction<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Denial>,
    ) -> Result<T, Denial> {
        // A panic inside a transaction has rolled it back, so the connection is sound.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = act(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit until the year 292 million")
}
