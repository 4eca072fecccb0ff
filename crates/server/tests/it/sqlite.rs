//! Where a server keeps what it has: a folder with a SQLite store.

use std::sync::Arc;

use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Durability, Store};
use tempfile::TempDir;

pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The store, opened anew; nobody else has it.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let settings = Settings { durability: Durability::TestsOnly, ..Settings::default() };
        Arc::new(SqliteStore::open(self.0.path(), settings).unwrap())
    }
}
