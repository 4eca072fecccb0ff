//! Migrations in SQLite: by whoever has the folder, ended in the middle, back to the build before, and not back behind the end.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::stock::LineCounts;
use sixpack_storage::conformance::Fixture;
use sixpack_storage::leases::{LeaseFilter, Leases, Renewed};
use sixpack_storage::migrations::{Stage, Step};
use sixpack_storage::page::Page;
use sixpack_storage::sqlite::migrations::{Migrator, finalize, status, up, up_as};
use sixpack_storage::sqlite::{Durability, Settings, SqliteStore};
use sixpack_storage::stock::Stock;
use sixpack_storage::stock_history::{NotedLevel, StockHistory};
use sixpack_storage::{ManualClock, StoreError};
use tempfile::TempDir;

/// Leases of before, of which a batch is only a part.
const BEFORE: u64 = 12_001;

/// The version with which rows got a new form, the one before it, and that of this build, which only adds.
const OLDER: u32 = 17;
const NEWER: u32 = 18;
const ADDS: u32 = 19;

/// Takes away what the last version adds.
const WITHOUT_ADDED: &str = "DROP TABLE stock_level;
         ALTER TABLE stock_line DROP COLUMN made;
         ALTER TABLE stock_line DROP COLUMN failed;";

fn settings() -> Settings {
    let clock = Arc::new(ManualClock::at(Fixture::start()));
    Settings { clock, readers: 1, durability: Durability::TestsOnly }
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("store.db")).unwrap()
}

fn count(folder: &Path, rows: &str) -> i64 {
    database(folder).query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get(0)).unwrap()
}

/// A store of the older version, with what the store itself has written: one held lease, and many that have ended.
async fn old_store() -> (TempDir, Lease) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), settings()).unwrap());
    let fixture = Fixture::new(store, ManualClock::at(Fixture::start()), ());
    let (_, lease) = fixture.leased().await;
    drop(fixture);
    let columns = "tree, environment, request, unit, holder, token, fence, 1, ttl_ms, granted_at, expires_at, ended_at, outcome, \
                   note, revoked_by";
    let back = format!(
        "{WITHOUT_ADDED}
         ALTER TABLE lease DROP COLUMN contract;
         DROP TABLE schema_change;
         DELETE FROM refinery_schema_history WHERE version > {OLDER};
         INSERT INTO lease SELECT randomblob(16), {columns} FROM lease, generate_series(2, {BEFORE})"
    );
    // SQLite has that series only in its shell.
    let series = format!(
        "(WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {BEFORE}) SELECT i FROM n)"
    );
    database(folder.path())
        .execute_batch(&back.replace(&format!("generate_series(2, {BEFORE})"), &series))
        .unwrap();
    (folder, lease)
}

async fn held_of_the_contract(store: &SqliteStore) -> usize {
    let (status, contract) = (Some(LeaseStatus::Held), Some("shop/ready-customer".to_owned()));
    let filter = LeaseFilter { status, contract, ..LeaseFilter::default() };
    store.leases(&filter, Page::first(100)).await.unwrap().rows.len()
}

fn schema(folder: &Path) -> (u32, Stage, u64) {
    let schema = status(folder).unwrap();
    (schema.version, schema.stage, schema.moved)
}

#[tokio::test]
async fn a_server_migrates_and_the_build_before_goes_on_until_it_is_finalized() {
    let (folder, lease) = old_store().await;
    let folder = folder.path();
    assert_eq!(schema(folder), (OLDER, Stage::Finalized, 0));
    let open_newer = || SqliteStore::open_as(folder, settings(), NEWER).unwrap();
    let newer = open_newer();
    assert_eq!(held_of_the_contract(&newer).await, 1);
    assert_eq!(schema(folder), (NEWER, Stage::Moved, BEFORE), "told beside a server");
    drop(newer);

    let older = Arc::new(SqliteStore::open_as(folder, settings(), OLDER).unwrap());
    // By a later clock, so that its ids are above all of before.
    let later = ManualClock::at(Fixture::start());
    later.advance_ms(1_000);
    let fixture = Fixture::new(older.clone(), later, ());
    fixture.leased().await;
    assert!(matches!(older.renew_lease(lease.id, lease.fence, None).await.unwrap(), Renewed::Until(_)));
    drop((fixture, older));
    // It leaves out what it does not know.
    database(folder).execute_batch("UPDATE lease SET contract = NULL WHERE status = 0").unwrap();
    let newer = open_newer();
    assert_eq!(held_of_the_contract(&newer).await, 2);
    assert!(matches!(finalize(folder, &mut |_| {}), Err(StoreError::InUse { .. })));
    drop(newer);

    let finalized = finalize(folder, &mut |_| {}).unwrap();
    assert_eq!((finalized.stage, finalized.moved), (Stage::Finalized, BEFORE + 2));
    assert_eq!(count(folder, "lease WHERE contract IS NULL"), 0);
    let Err(StoreError::Newer { reason }) = SqliteStore::open_as(folder, settings(), OLDER) else {
        panic!("the build before works with a version that was finalized");
    };
    assert!(reason.contains("this one knows 17"), "{reason}");
    assert_eq!(held_of_the_contract(&open_newer()).await, 2);
}

#[tokio::test]
async fn a_migration_that_was_ended_in_the_middle_goes_on_where_it_was() {
    let (folder, _) = old_store().await;
    let folder = folder.path();
    let begin = || Migrator::begin_as(folder, Durability::TestsOnly, NEWER).unwrap();
    let mut migrator = begin();
    assert_eq!(migrator.step().unwrap(), Step::More);
    assert_eq!(schema(folder), (NEWER, Stage::Expanded, 0));
    migrator.step().unwrap();
    assert!(matches!(up(folder, &mut |_| {}), Err(StoreError::InUse { .. })), "there is one at a time");
    drop(migrator);
    let (_, stage, moved) = schema(folder);
    assert!(stage == Stage::Expanded && 0 < moved && moved < BEFORE, "{moved}");
    let migrated = up_as(folder, NEWER, Durability::TestsOnly, &mut |_| {}).unwrap();
    assert_eq!((migrated.version, migrated.stage, migrated.moved), (NEWER, Stage::Moved, BEFORE));

    database(folder).execute_batch("UPDATE lease SET contract = NULL").unwrap();
    // A new one for each step: whatever it is ended behind, the next one goes on.
    let steps = std::iter::from_fn(|| (begin().close().unwrap() == Step::More).then_some(())).count();
    assert!(steps > 4, "{steps}");
    assert_eq!(schema(folder), (NEWER, Stage::Finalized, 2 * BEFORE));
    assert_eq!(count(folder, "lease WHERE contract IS NULL"), 0);
}

#[tokio::test]
async fn a_store_of_an_older_version_is_brought_over_all_that_follow() {
    let (folder, _) = old_store().await;
    let folder = folder.path();
    let migrated = up(folder, &mut |_| {}).unwrap();
    assert_eq!((migrated.version, migrated.stage), (ADDS, Stage::Moved));
    assert_eq!(count(folder, "lease WHERE contract IS NULL"), 0);
    assert_eq!(count(folder, "schema_change WHERE version = 18 AND finalized_at IS NOT NULL"), 1);
}

#[tokio::test]
async fn what_a_version_adds_is_left_as_it_is_by_the_build_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(SqliteStore::open_as(folder, settings(), NEWER).unwrap());
    assert_eq!(schema(folder), (NEWER, Stage::Finalized, 0));
    let newer = SqliteStore::open(folder, settings()).unwrap();
    assert_eq!(schema(folder), (ADDS, Stage::Moved, 0));
    let contract = "shop/customer".parse().unwrap();
    let line = newer.line("staging", &contract, &json!({})).await.unwrap();
    let counts = LineCounts { made: 3, ..LineCounts::default() };
    newer.count_in_lines(vec![(line, counts)]).await.unwrap();
    let level = NotedLevel { line, ready: 2, coming: 0, target: 2 };
    assert_eq!(newer.note_levels(vec![level]).await.unwrap(), 1);
    drop(newer);

    drop(SqliteStore::open_as(folder, settings(), NEWER).unwrap());
    // As it writes them.
    database(folder)
        .execute_batch(
            "INSERT INTO stock_line (contract, input, hits, misses) SELECT contract, '{}', 0, 0 FROM stock_line WHERE true
                 ON CONFLICT DO NOTHING;
             INSERT INTO stock_line (contract, input, hits, misses) SELECT contract, '[]', 0, 0 FROM stock_line;
             UPDATE stock_line SET hits = hits + 1, misses = misses + 2",
        )
        .unwrap();
    let newer = SqliteStore::open(folder, settings()).unwrap();
    let lines = newer.lines(None, 10).await.unwrap();
    let of_both = LineCounts { hits: 1, misses: 2, ..counts };
    assert_eq!((lines[0].counts, lines[1].counts.made), (of_both, 0));
    let history = newer.stock_history(&[line], Timestamp::UNIX_EPOCH, 300).await.unwrap();
    assert_eq!((history[0].samples.len(), history[0].samples[0].counts), (1, counts));
    drop(newer);

    assert_eq!(finalize(folder, &mut |_| {}).unwrap().stage, Stage::Finalized);
    let older = SqliteStore::open_as(folder, settings(), NEWER);
    assert!(matches!(older, Err(StoreError::Newer { .. })));
}

#[test]
fn a_new_store_is_finalized_and_a_folder_without_one_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(status(folder.path()), Err(StoreError::Unreadable { .. })));
    assert!(matches!(up(folder.path(), &mut |_| {}), Err(StoreError::Unreadable { .. })));
    drop(SqliteStore::open(folder.path(), settings()).unwrap());
    let schema = status(folder.path()).unwrap();
    assert_eq!((schema.version, schema.stage), (schema.known, Stage::Finalized));
    assert_eq!(up(folder.path(), &mut |_| {}).unwrap(), schema);
}
