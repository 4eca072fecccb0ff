//! Opening: one server a folder, and only files that are ours.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sixpack_storage::conformance::{Fixture, Order};
use sixpack_storage::page::Page;
use sixpack_storage::requests::Requests;
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
        Err(StoreError::Unreadable { reason }) => reason,
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

#[tokio::test]
async fn an_older_store_keeps_what_it_has_and_gets_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = |store| Fixture::new(Arc::new(store), ManualClock::at(Fixture::start()), ());
    let first = fixture(open(folder.path()).unwrap());
    let (request, _) = first.accept(Order::of(&["shop/customer"])).await;
    drop(first);
    let older = "DROP TABLE stock_rule; DELETE FROM refinery_schema_history WHERE version > 1;";
    Connection::open(folder.path().join("store.db")).unwrap().execute_batch(older).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(store.request(request.id).await.unwrap(), Some(request));
    assert_eq!(store.rules("staging", Page::first(1)).await.unwrap(), []);
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
