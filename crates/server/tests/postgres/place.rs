//! Where a server keeps what it has: a schema of the PostgreSQL server of all tests.

use std::sync::Arc;
use std::time::Duration;

use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::{Durability, ManualClock, Store};

/// Connections of one store: enough for calls that wait for each other, few enough for all tests at once.
const CONNECTIONS: usize = 4;

/// What keeps the data.
pub(crate) const KIND: &str = "postgres";

#[derive(Clone)]
pub(crate) struct Place(Address);

impl Place {
    pub(crate) fn new() -> Self {
        Self::of(PostgresServer::shared())
    }

    /// One whose time is that of the clock.
    pub(crate) async fn at(clock: ManualClock) -> (Self, ManualClock) {
        let place = Self::new();
        let clock = PostgresServer::shared().migrate_with(&place.0, clock).await;
        (place, clock)
    }

    /// A new place in a database server of the test's own.
    pub(crate) fn of(server: &PostgresServer) -> Self {
        Self(server.new_address())
    }

    /// The store, opened anew; others may have it as well.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let settings = Settings {
            connections: CONNECTIONS,
            durability: Durability::TestsOnly,
            carried: Duration::ZERO,
            ..Settings::default()
        };
        Arc::new(PostgresStore::open(&self.0, settings).await.unwrap())
    }
}
