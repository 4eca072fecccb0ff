//! Opening: one server a folder, and only files that are ours.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sixpack_storage::channels::Channels;
use sixpack_storage::conformance::{Fixture, Order, Supplier};
use sixpack_storage::contracts::Contracts;
use sixpack_storage::page::Page;
use sixpack_storage::requests::Requests;
use sixpack_storage::sessions::Sessions;
use sixpack_storage::sqlite::{Durability, Settings, SqliteStore};
use sixpack_storage::stock_rules::StockRules;
use sixpack_storage::tokens::Tokens;
use sixpack_storage::{ManualClock, StoreError};

fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    let clock = Arc::new(ManualClock::at(Fixture::start()));
    SqliteStore::open(folder, Settings { clock, readers: 1, durability: Durability::TestsOnly })
}

fn refusal(folder: &Path) -> String {
    match open(folder) {
        Err(StoreError::Unreadable { reason } | StoreError::Newer { reason }) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the store was opened"),
    }
}

#[tokio::test]
async fn a_folder_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::InUse { path }) if path.ends_with("lock")));
    drop(first);
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    let fixture = Fixture::new(store.clone(), ManualClock::at(Fixture::start()), ());
    let (request, trees) = fixture.accept(Order::of(&["shop/customer"])).await;
    drop((fixture, store));
    let store = open(folder.path()).unwrap();
    assert_eq!(store.request(request.id).await.unwrap(), Some(request));
    let fixture = Fixture::new(Arc::new(store), ManualClock::at(Fixture::start()), ());
    assert_eq!(fixture.load(trees[0].id).await, trees[0]);
}

#[tokio::test]
async fn a_closed_store_takes_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.ping().await.unwrap();
    store.close();
    assert!(matches!(store.ping().await, Err(StoreError::Closed)));
    assert!(matches!(store.tokens().await, Err(StoreError::Closed)));
    // The log is folded into the database when the last connection goes.
    drop(store);
    assert!(!folder.path().join("store.db-wal").exists());
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(refusal(folder.path()).contains("another program"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "not a database, but longer than the header of one is: ".repeat(40)).unwrap();
    assert!(refusal(folder.path()).contains("not a database"));
}

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_with_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = Connection::open(folder.path().join("store.db")).unwrap();
    old.pragma_update(None, "application_id", 0x5349_5836).unwrap();
    migrations::migrations::runner().set_target(refinery::Target::Version(1)).run(&mut old).unwrap();
    old.execute_batch(
        "INSERT INTO environment VALUES (1, 'staging', 1, 0);
         INSERT INTO contract VALUES (1, 1, 'shop/customer', 1);
         INSERT INTO contract_version VALUES (1, 1, 0, '{}', 'f1', 'new', '[]', 0);
         INSERT INTO queue VALUES (1, 1, '', NULL, NULL, 60000, 0, 0);
         INSERT INTO session VALUES (zeroblob(16), 1, 'shop', 'pod-1', NULL, NULL, NULL, zeroblob(16), '[]', 0, 0, 0, NULL);
         INSERT INTO session_service VALUES (zeroblob(16), 1, 1, 1);",
    )
    .unwrap();
    drop(old);
    let store = open(folder.path()).unwrap();
    let catalogue = store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!((catalogue.contracts.len(), catalogue.in_channels.len()), (1, 0));
    let served = store.served("staging").await.unwrap();
    assert_eq!((served[0].contract.as_str(), served[0].version, served[0].sessions), ("shop/customer", 1, 1));
    assert_eq!(store.served_otherwise(10).await.unwrap(), [], "the newest version is the one on offer");
    assert_eq!(store.channels("staging").await.unwrap(), [""; 0]);
    assert_eq!(store.rules("staging", Page::first(1)).await.unwrap(), []);
}

#[tokio::test]
async fn queues_of_channels_that_are_gone_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    let fixture = Fixture::new(store.clone(), ManualClock::at(Fixture::start()), ());
    for number in 0..10 {
        let developed = Supplier::of(&["shop/a", "shop/b"]).in_channel(&format!("channel-{number}"));
        let session = fixture.supplier(developed).await;
        store.drain_session(session).await.unwrap();
    }
    drop((fixture, store));
    let database = Connection::open(folder.path().join("store.db")).unwrap();
    let count = "SELECT count(*) FROM queue WHERE channel <> ''";
    let queues: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(queues, 2, "those of the last one, until somebody else comes");
}

#[test]
fn a_folder_in_the_place_of_the_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("store.db")).unwrap();
    assert!(refusal(folder.path()).contains("is a folder"));
}

#[test]
fn a_log_without_its_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("store.db-wal");
    std::fs::write(&log, "acknowledged").unwrap();
    let reason = refusal(folder.path());
    assert!(reason.contains("store.db-wal"), "{reason}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "acknowledged");
    assert!(!folder.path().join("store.db").exists());
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let newer = "INSERT INTO refinery_schema_history VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')";
    Connection::open(folder.path().join("store.db")).unwrap().execute_batch(newer).unwrap();
    let reason = refusal(folder.path());
    assert!(reason.contains("99"), "{reason}");
}
