//! Where a town keeps what it has: a folder with a SQLite store.

use std::sync::Arc;

use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Durability, ManualClock, Store};
use tempfile::TempDir;

/// How many random sequences a test goes through: half a second each.
pub(crate) const CASES: u32 = 24;

pub(crate) struct Place(TempDir);

impl Place {
    /// A new one, whose time is that of the clock.
    pub(crate) async fn new(clock: ManualClock) -> (Self, ManualClock) {
        (Self(tempfile::tempdir().expect("a folder")), clock)
    }

    /// The store, opened anew; nobody else has it.
    pub(crate) async fn store(&self, clock: &ManualClock) -> Arc<dyn Store> {
        let clock = Arc::new(clock.clone());
        let settings = Settings { clock, durability: Durability::TestsOnly, ..Settings::default() };
        Arc::new(SqliteStore::open(self.0.path(), settings).expect("the store opens"))
    }
}
