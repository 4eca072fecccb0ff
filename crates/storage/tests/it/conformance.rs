//! The conformance suite over SQLite.

use std::sync::Arc;

use sixpack_storage::ManualClock;
use sixpack_storage::conformance::Fixture;
use sixpack_storage::sqlite::{Durability, Settings, SqliteStore};

pub(crate) async fn open() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Fixture::start());
    let settings = Settings { clock: Arc::new(clock.clone()), readers: 2, durability: Durability::TestsOnly };
    let store = SqliteStore::open(folder.path(), settings).unwrap();
    Fixture::new(Arc::new(store), clock, folder)
}

sixpack_storage::conformance_suite!(crate::conformance::open);
