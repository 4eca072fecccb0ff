//! What `cargo xtask bench` asks of a store without a server around it.
//!
//! `bench_store loop` leases datasets from stock as fast as the store alone does it, with every commit flushed.
//! `bench_store history FOLDER COPIES` copies every dataset that has ended in a store, with its request, lease and events, so
//! many times: a server that is started over it has the history of as many datasets. `bench_store prune COPIES` makes such a store
//! of a thousand datasets, and takes everything away as the sweep does while somebody else writes. Each prints one JSON object.
//! `bench_store postgres SETTING…` runs a database of its own, in a temporary folder, until its standard input ends, and prints
//! its address; `bench_store pooled SETTING…` that of PgBouncer before such a database. Of a store in such a database, `bench_store postgres-history ADDRESS ROWS` copies what has ended until the copies
//! have so many rows, and `bench_store snapshot ADDRESS` reads once and stays in its transaction until its standard input ends.
//! `bench_store migration STORE DATASETS` brings a store of an older version with so many datasets up to date, under load where that
//! is possible.

mod database;
mod file_migration;
mod load;
mod migration;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sixpack_storage::conformance::retention::used_up;
use sixpack_storage::conformance::{Fixture, StockLoop};
use sixpack_storage::retention::Retention;
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::tokens::Tokens;
use sixpack_storage::{Clock, ManualClock, StoreError, SystemClock};

/// Datasets in stock, of which two thirds are leased: what is left keeps the loop from running dry.
const STOCKED: usize = 15_000;
const TAKEN: usize = 10_000;

/// As many at once as the server is asked over connections.
const AT_ONCE: usize = 64;

/// Copies that are written by one commit.
const COPIES_A_COMMIT: u32 = 20;

/// What is copied before it is taken away.
const PRUNED_ORIGINALS: u32 = 1_000;

/// As the sweep takes them away.
const PAGE: u32 = 100;
const PRUNED_EVENTS: u32 = 2_000;
const KEEP_MS: u64 = 30 * 86_400_000;

/// The code of a root whose dataset is gone.
const GONE: u32 = 9;

/// An id of the same kind as `column`, the same for the same original and copy. Ids begin with six bytes of time; copies are
/// each a second older than the one before, as if they had been made one after another.
fn copied(column: &str) -> String {
    format!("CAST(unhex(printf('%012x', ?2 - ?1 * 1000)) || substr({column}, 7) AS BLOB)")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["loop"] => bare_loop().await?,
        ["history", folder, copies] => history(Path::new(folder), copies.parse()?)?,
        ["prune", copies] => prune(copies.parse()?).await?,
        ["postgres", ref settings @ ..] => return database::run(settings),
        ["pooled", ref settings @ ..] => return database::run_pooled(settings),
        ["postgres-history", address, rows] => database::history(address, rows.parse()?).await?,
        ["migration", "postgres", datasets] => migration::measure(datasets.parse()?).await?,
        ["migration", "sqlite", datasets] => file_migration::measure(datasets.parse()?).await?,
        ["snapshot", address] => database::hold_a_snapshot(address).await?,
        _ => {
            return Err(
                "usage: bench_store loop | bench_store history FOLDER COPIES | bench_store prune COPIES \
                 | bench_store postgres SETTING... | bench_store pooled SETTING... | bench_store postgres-history ADDRESS ROWS | bench_store snapshot ADDRESS \
                 | bench_store migration sqlite|postgres DATASETS"
                    .into(),
            );
        }
    };
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

async fn bare_loop() -> Result<Value, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let clock = ManualClock::at(SystemClock.now());
    let settings = Settings { clock: Arc::new(clock.clone()), ..Settings::default() };
    let store = SqliteStore::open(folder.path(), settings)?;
    let stock = StockLoop::filled(Fixture::new(Arc::new(store), clock, ()), STOCKED).await;
    let begun = Instant::now();
    stock.take(TAKEN, AT_ONCE).await;
    let per_s = (TAKEN as f64 / begun.elapsed().as_secs_f64()).round();
    Ok(json!({ "stocked": STOCKED, "at_once": AT_ONCE, "per_s": per_s }))
}

/// Takes a history away in steps, each followed by a write of somebody else, who tells how long they waited at most.
async fn prune(copies: u32) -> Result<Value, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let clock = ManualClock::at(SystemClock.now());
    let open = || {
        let settings = Settings { clock: Arc::new(clock.clone()), ..Settings::default() };
        SqliteStore::open(folder.path(), settings).map(Arc::new)
    };
    let fixture = Fixture::new(open()?, clock.clone(), ());
    for _ in 0..PRUNED_ORIGINALS {
        used_up(&fixture).await;
    }
    drop(fixture);
    let made = history(folder.path(), copies)?;
    let rows = |store: &Connection| -> rusqlite::Result<i64> {
        let tables = ["request", "tree", "dataset", "lease", "event"];
        let count = |table: &str| {
            store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
        };
        tables.iter().map(|table| count(table)).sum()
    };
    let reader = Connection::open(folder.path().join("store.db"))?;
    let before = rows(&reader)?;
    clock.advance_ms(90 * 86_400_000);
    let store = open()?;
    let (begun, mut steps, mut longest_ms, mut waited_ms) = (Instant::now(), 0_u32, 0.0_f64, 0.0_f64);
    let (mut leases, mut trees, mut requests) = (None, None, None);
    let mut stage = 0;
    while stage < 4 {
        let at = Instant::now();
        let pruning = async {
            Ok::<bool, StoreError>(match stage {
                0 => {
                    leases = store.prune_leases(KEEP_MS, leases, PAGE).await?.next;
                    leases.is_some()
                }
                1 => {
                    trees = store.prune_trees(KEEP_MS, trees, PAGE).await?.next;
                    trees.is_some()
                }
                2 => {
                    requests = store.prune_requests(KEEP_MS, requests, PAGE).await?.next;
                    requests.is_some()
                }
                _ => store.prune_events(KEEP_MS, PRUNED_EVENTS).await?,
            })
        };
        let more = pruning.await?;
        longest_ms = longest_ms.max(at.elapsed().as_secs_f64() * 1000.0);
        let at = Instant::now();
        store.ping().await?;
        waited_ms = waited_ms.max(at.elapsed().as_secs_f64() * 1000.0);
        steps += 1;
        stage += u32::from(!more);
    }
    let after = rows(&reader)?;
    Ok(json!({
        "history": made, "rows": before, "rows_left": after, "steps": steps,
        "rows_per_s": ((before - after) as f64 / begun.elapsed().as_secs_f64()).round(),
        "longest_step_ms": longest_ms.round(), "longest_write_behind_ms": waited_ms.round(),
    }))
}

/// Copies what has ended, by the columns that the tables have: a migration changes nothing here.
fn history(folder: &Path, copies: u32) -> Result<Value, Box<dyn Error>> {
    let mut store = Connection::open(folder.join("store.db"))?;
    store.execute_batch("PRAGMA foreign_keys = ON; PRAGMA cache_size = -262144")?;
    store.execute_batch(&format!(
        "CREATE TEMP TABLE ended AS SELECT id AS tree, request FROM tree WHERE status = {GONE};
         CREATE TEMP TABLE asked AS SELECT DISTINCT request FROM ended;"
    ))?;
    let originals: u32 = store.query_row("SELECT count(*) FROM ended", [], |row| row.get(0))?;
    let tables = [
        ("request", "id IN (SELECT request FROM asked)", &["id"][..]),
        ("tree", "id IN (SELECT tree FROM ended)", &["id", "request", "lease"]),
        ("dataset", "tree IN (SELECT tree FROM ended)", &["tree"]),
        ("lease", "tree IN (SELECT tree FROM ended)", &["id", "tree", "request"]),
        ("event", "tree IN (SELECT tree FROM ended)", &["sequence", "request", "tree"]),
        ("event", "tree IS NULL AND request IN (SELECT request FROM asked)", &["sequence", "request"]),
    ];
    let statements = tables
        .into_iter()
        .map(|(table, which, ids)| copying(&store, table, which, ids))
        .collect::<Result<Vec<_>, _>>()?;
    let now = SystemClock.now().as_millisecond();
    for first in (0..copies).step_by(COPIES_A_COMMIT as usize) {
        let transaction = store.transaction()?;
        for copy in first..copies.min(first + COPIES_A_COMMIT) {
            for statement in &statements {
                transaction.prepare_cached(statement)?.execute(params![copy + 1, now])?;
            }
        }
        transaction.commit()?;
    }
    store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let count =
        |what: &str| store.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get::<_, i64>(0));
    Ok(json!({
        "originals": originals, "datasets": count("tree")?, "events": count("event")?,
        "bytes": std::fs::metadata(folder.join("store.db"))?.len(),
    }))
}

/// The statement that copies the rows of a table. `?1` is the number of the copy, `?2` the time in milliseconds.
fn copying(store: &Connection, table: &str, which: &str, ids: &[&str]) -> rusqlite::Result<String> {
    let mut statement = store.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let value = |name: &String| match (name.as_str(), ids.contains(&name.as_str())) {
        ("sequence", _) => "NULL".to_owned(),
        (name, true) => format!("iif({name} IS NULL, NULL, {})", copied(name)),
        (name, false) => name.to_owned(),
    };
    let values: Vec<String> = names.iter().map(value).collect();
    Ok(format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {which}",
        names.join(", "),
        values.join(", ")
    ))
}
