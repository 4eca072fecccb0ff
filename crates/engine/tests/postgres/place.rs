//! Where a town keeps what it has: a schema of the PostgreSQL server of all tests.

use std::sync::Arc;
use std::time::Duration;

use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::{Durability, ManualClock, Store};

/// Connections of one store: enough for calls that wait for each other, few enough for all tests at once.
const CONNECTIONS: usize = 4;

/// How many random sequences a test goes through: four seconds each, because every step asks the database several times.
pub(crate) const CASES: u32 = 8;

#[derive(Clone)]
pub(crate) struct Place(Address);

impl Place {
    /// A new one, whose time is that of the clock.
    pub(crate) async fn new(clock: ManualClock) -> (Self, ManualClock) {
        let server = PostgresServer::shared();
        let address = server.new_address();
        let clock = server.migrate_with(&address, clock).await;
        (Self(address), clock)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.0
    }

    /// Makes parts of these datasets unreadable, as a fault of the disk or somebody's hand would.
    pub(crate) async fn spoil(&self, trees: &[sixpack_model::ids::TreeId]) {
        let ids: Vec<String> = trees.iter().map(|tree| format!("'{}'", tree.0)).collect();
        let spoil = "SET detail = 'nonsense', version = version";
        let (schema, ids) = (self.0.schema(), ids.join(", "));
        PostgresServer::shared().run(&format!("UPDATE {schema}.dataset {spoil} WHERE tree IN ({ids})")).await;
    }

    /// The store, opened anew; others may have it as well.
    pub(crate) async fn store(&self, _: &ManualClock) -> Arc<dyn Store> {
        let settings = Settings {
            connections: CONNECTIONS,
            durability: Durability::TestsOnly,
            carried: Duration::ZERO,
            ..Settings::default()
        };
        Arc::new(PostgresStore::open(&self.0, settings).await.expect("the store opens"))
    }
}
