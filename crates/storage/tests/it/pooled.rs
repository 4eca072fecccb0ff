//! The conformance suite over PostgreSQL behind PgBouncer in transaction mode.

use std::sync::Arc;
use std::time::Duration;

use sixpack_storage::conformance::{Fixture, PgBouncer, PostgresServer};
use sixpack_storage::postgres::{PostgresStore, Settings};
use sixpack_storage::{Durability, ManualClock};

/// Connections of one store: enough for writes that wait for each other, few enough for all tests at once.
const CONNECTIONS: usize = 4;

pub(crate) async fn open() -> Fixture {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let clock = server.migrate_with(&address, ManualClock::at(Fixture::start())).await;
    let settings = Settings {
        connections: CONNECTIONS,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        ..Settings::default()
    };
    let pooled = PgBouncer::shared().address(address.schema());
    let store = PostgresStore::open(&pooled, settings).await.unwrap();
    Fixture::new(Arc::new(store), clock, ())
}

sixpack_storage::conformance_suite!(crate::pooled::open);
