//! A PostgreSQL store that changes behind the back of a server: restored, or set up so that it may lose what it acknowledges.

use std::time::Duration;

use sixpack_storage::StoreError;
use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{PostgresStore, Settings, presence};
use sixpack_storage::restores::Restores;
use sixpack_storage::tokens::Tokens;
use sixpack_storage::wakeups::{Reach, Wakeups};

use crate::postgres_opening::settings;

/// Far beyond what anything here takes.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_works_with_no_store_that_was_restored_behind_its_back() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let ours = PostgresStore::open(&address, settings()).await.unwrap();
    ours.check().await.unwrap();
    let restoring = PostgresStore::open(&address, settings()).await.unwrap();
    restoring.after_restore("a dump").await.unwrap();
    // Whoever did it goes on, and so does whoever comes behind it.
    restoring.check().await.unwrap();
    PostgresStore::open(&address, settings()).await.unwrap().check().await.unwrap();
    let told = ours.check().await;
    assert!(matches!(told, Err(StoreError::Restored)), "{told:?}");

    // The database was started anew with the restore, and all connections are made anew.
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{}'",
        address.schema()
    );
    server.run(&kill).await;
    let refused = async {
        loop {
            match ours.ping().await {
                Err(StoreError::Restored) => return,
                // A connection that was lost unnoticed.
                Err(StoreError::Unavailable { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(SOON, refused).await.expect("no connection is used any more");
}

#[tokio::test]
async fn the_last_step_of_a_restore_waits_until_no_server_is_there() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let serving = PostgresStore::open(&address, settings()).await.unwrap();
    // It is known to be there when it hears itself.
    tokio::time::timeout(SOON, serving.heard()).await.unwrap();
    assert_eq!(serving.reach(), Reach::Proven);
    let Err(StoreError::Busy { reason }) = presence::nobody_serves(&address).await else {
        panic!("it is restored beside a server");
    };
    assert!(reason.contains("1 servers of") && reason.contains("stop them first"), "{reason}");
    drop(serving);
    let alone = async { while presence::nobody_serves(&address).await.is_err() {} };
    tokio::time::timeout(SOON, alone).await.expect("its presence ends with it");
}

#[tokio::test]
async fn a_database_that_may_lose_what_it_acknowledges_from_now_on_is_found_out() {
    let server = PostgresServer::start(&[]);
    let address = server.new_address();
    let store = PostgresStore::open(&address, Settings::default()).await.unwrap();
    store.check().await.unwrap();
    server.run("ALTER SYSTEM SET synchronous_commit = off").await;
    server.run("SELECT pg_reload_conf()").await;
    let found_out = async {
        loop {
            match store.check().await {
                // Its process has not read its settings yet.
                Ok(()) => {}
                Err(StoreError::Unsuitable { reason }) => return reason,
                other => panic!("{other:?}"),
            }
        }
    };
    let reason = tokio::time::timeout(SOON, found_out).await.expect("it is found out");
    assert!(reason.contains("synchronous_commit = off"), "{reason}");
}
