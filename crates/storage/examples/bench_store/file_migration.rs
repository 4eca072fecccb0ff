//! Migration of a file measured: how long a store in SQLite with very many datasets is away while it is brought up to date.
//!
//! Whoever migrates has the folder for itself: a server does it before it serves anybody, so that all of `up` is a time in which nobody
//! writes. What `finalize` takes is another such time, whenever somebody does that.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use sixpack_storage::conformance::Fixture;
use sixpack_storage::conformance::retention::used_up;
use sixpack_storage::migrations::Step;
use sixpack_storage::sqlite::migrations::{Migrator, newest};
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Clock, Durability, ManualClock, StoreError, SystemClock};

use crate::migration::{AIM_MS, NOT_TAKEN_OVER, ORIGINALS, round};

/// Measures every version in turn, in a folder of its own.
pub(crate) async fn measure(datasets: u32) -> Result<Value, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (newest, moving) = newest();
    let begun = Instant::now();
    older_store(folder.path(), moving - 1).await?;
    let made = crate::history(folder.path(), datasets.div_ceil(ORIGINALS))?;
    let filled_s = begun.elapsed().as_secs_f64();
    let mut versions = Vec::new();
    let mut longest = Duration::ZERO;
    for version in moving..=newest {
        let mut migrator = Migrator::begin_as(folder.path(), Durability::Flushed, version)?;
        let up = timed(|| migrator.step())?;
        let moved = migrator.schema()?.moved;
        let finalize = timed(|| migrator.close())?;
        longest = longest.max(up.all).max(finalize.all);
        versions.push(json!({
            "version": version, "moved": moved, "up": up.told(), "finalize": finalize.told(),
        }));
    }
    Ok(json!({
        "store": "sqlite", "from": moving - 1, "to": newest, "filled": made, "filled_s": filled_s.round(),
        "longest_write_ms": longest.as_millis() as u64, "aim_longest_write_ms_below": AIM_MS, "versions": versions,
    }))
}

/// How long all steps took, and the longest.
struct Taken {
    all: Duration,
    longest: Duration,
    steps: u64,
}

impl Taken {
    fn told(&self) -> Value {
        json!({
            "nobody_writes_for_s": round(self.all.as_secs_f64()), "steps": self.steps,
            "longest_step_ms": self.longest.as_millis() as u64,
        })
    }
}

fn timed(mut step: impl FnMut() -> Result<Step, StoreError>) -> Result<Taken, StoreError> {
    let mut taken = Taken { all: Duration::ZERO, longest: Duration::ZERO, steps: 0 };
    loop {
        let begun = Instant::now();
        let done = step()? == Step::Done;
        let span = begun.elapsed();
        taken.all += span;
        taken.longest = taken.longest.max(span);
        if done {
            return Ok(taken);
        }
        taken.steps += 1;
    }
}

/// Makes a store of an older version with what today's store has written into one of today's.
async fn older_store(folder: &Path, version: u32) -> Result<(), Box<dyn Error>> {
    let today = tempfile::tempdir()?;
    let store = SqliteStore::open(today.path(), Settings::default())?;
    let fixture = Fixture::new(Arc::new(store), ManualClock::at(SystemClock.now()), ());
    for _ in 0..ORIGINALS {
        used_up(&fixture).await;
    }
    drop(fixture);
    drop(SqliteStore::open_as(folder, Settings::default(), version)?);
    let store = Connection::open(folder.join("store.db"))?;
    // Rows come in any sequence: what they refer to is there in the end.
    store.execute_batch("PRAGMA foreign_keys = OFF")?;
    let file = today.path().join("store.db");
    store.execute("ATTACH ?1 AS today", [file.to_str().ok_or("temporary folders have plain names")?])?;
    let mut tables = store
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let tables = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for table in tables.iter().filter(|table| !NOT_TAKEN_OVER.contains(&table.as_str())) {
        let shared = "SELECT group_concat(o.name, ', ') FROM pragma_table_info(?1, 'main') o
                      JOIN pragma_table_info(?1, 'today') n ON n.name = o.name";
        let columns: Option<String> = store.query_row(shared, [table], |row| row.get(0))?;
        if let Some(columns) = columns {
            let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}");
            store.execute_batch(&copy)?;
        }
    }
    Ok(())
}
