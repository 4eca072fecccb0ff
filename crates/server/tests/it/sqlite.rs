//! Where a server keeps what it has: a folder with a SQLite store.

use std::sync::Arc;

use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Clock, Durability, ManualClock, Store, SystemClock};
use tempfile::TempDir;

/// What keeps the data.
pub(crate) const KIND: &str = "sqlite";

pub(crate) struct Place {
    folder: TempDir,
    clock: Arc<dyn Clock>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(SystemClock) }
    }

    /// One whose time is that of the clock.
    pub(crate) async fn at(clock: ManualClock) -> (Self, ManualClock) {
        (Self { clock: Arc::new(clock.clone()), ..Self::new() }, clock)
    }

    /// The store, opened anew; nobody else has it.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let clock = Arc::clone(&self.clock);
        let settings = Settings { clock, durability: Durability::TestsOnly, ..Settings::default() };
        Arc::new(SqliteStore::open(self.folder.path(), settings).unwrap())
    }
}
