//! Migration measured: how long writes wait while a store in PostgreSQL with very many datasets is brought up to date.
//!
//! ```text
//! today's store writes a little -> taken over into a store of the older version -> copied until there are enough
//! for each version: load as before -> up, under it -> those of before go, those of now stay -> finalize, under it
//! ```
//!
//! It begins with the version before the newest change that brings rows to a new form, so that one is always among what is
//! measured, and goes on to the newest. The program of the build before is not at hand: writes of before are statements that
//! name the columns of the older schema and no others, beside what of today's code works with it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sixpack_storage::conformance::retention::used_up;
use sixpack_storage::conformance::{Fixture, PostgresServer};
use sixpack_storage::migrations::Step;
use sixpack_storage::postgres::migrations::{Migrator, newest};
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::{Clock, Durability, ManualClock, StoreError, SystemClock};
use tokio_postgres::Client;

use crate::database::{self, Copies};
use crate::load::{Load, Writers};

/// Datasets that today's store makes, leases and undoes before they are copied.
pub(crate) const ORIGINALS: u32 = 100;

/// Leases that are held, and renewed all the time.
const HELD: u32 = 64;

/// How long the load runs before a migration begins, for a figure to compare with.
const BEFORE: Duration = Duration::from_secs(10);

/// The longest that a write may wait.
pub(crate) const AIM_MS: u64 = 2_000;

/// Tables that tell of the schema itself, and those that a store makes when it is opened.
pub(crate) const NOT_TAKEN_OVER: [&str; 3] = ["refinery_schema_history", "schema_change", "meta"];

/// Measures every version in turn, in a database of its own with PostgreSQL's own settings.
pub(crate) async fn measure(datasets: u64) -> Result<Value, Box<dyn Error>> {
    let server = PostgresServer::start(&[]);
    let (newest, moving) = newest();
    let address = server.new_address();
    let begun = Instant::now();
    let held = older_store(&server, &address, moving - 1).await?;
    let client = database::connect_to(&server.url(), address.schema()).await?;
    let made = database::multiply(&client, Copies::Datasets(datasets)).await?;
    client
        .batch_execute(
            "UPDATE lease SET ttl_ms = 3600000, expires_at = sixpack_now() + 3600000 WHERE status = 0",
        )
        .await?;
    let filled_s = begun.elapsed().as_secs_f64();
    let mut versions = Vec::new();
    let mut longest_ms = 0;
    for version in moving..=newest {
        let (told, longest) = bring(&server, &address, version, &held).await?;
        longest_ms = longest_ms.max(longest);
        versions.push(told);
    }
    Ok(json!({
        "store": "postgres", "from": moving - 1, "to": newest, "filled": made, "filled_s": filled_s.round(),
        "longest_write_ms": longest_ms, "aim_longest_write_ms_below": AIM_MS, "versions": versions,
    }))
}

/// Brings the store to one version from the one before it; returns what is to be told, and the longest write.
async fn bring(
    server: &PostgresServer,
    address: &Address,
    version: u32,
    held: &Held,
) -> Result<(Value, u64), Box<dyn Error>> {
    let load = Arc::new(Load::default());
    let url = server.url();
    let mut older = Writers::start(&load, &url, address, version - 1, held).await?;
    older.begin_by_hand().await?;
    let older_kinds = older.kinds();
    tokio::time::sleep(BEFORE).await;
    let mut told = Map::new();
    let mut longest = 0;
    let mut phase = |name: &str, begun: Instant, more: Value| {
        let span = begun.elapsed();
        let (mut figures, most_ms) = load.take(span);
        // What comes before it is there to compare with.
        longest = longest.max(if name == "before" { 0 } else { most_ms });
        figures["more"] = more;
        told.insert(name.to_owned(), figures);
    };
    phase("before", Instant::now() - BEFORE, json!({ "written_by": older_kinds }));

    let begun = Instant::now();
    let mut migrator = Migrator::begin_as(address, Durability::Flushed, version).await?;
    migrator.step().await?;
    let expanded_s = begun.elapsed().as_secs_f64();
    let mut newer = Writers::start(&load, &url, address, version, held).await?;
    let mut steps: u64 = 1;
    while migrator.step().await? == Step::More {
        steps += 1;
    }
    let moved = migrator.schema().await?.moved;
    drop(migrator);
    let more = json!({
        "expanded_after_s": round(expanded_s), "steps": steps, "moved": moved, "newer_beside_older": newer.kinds(),
    });
    phase("up", begun, more);

    // Those who write the form of before are gone, as they are when their servers are replaced.
    older.stop().await?;
    newer.begin_by_hand().await?;
    let begun = Instant::now();
    let moved = loop {
        // Until the database has noticed that they are.
        match finalize(address, version).await {
            Err(StoreError::Busy { .. }) => tokio::task::yield_now().await,
            other => break other? - moved,
        }
    };
    // Those that are under way count as well.
    newer.stop().await?;
    phase("finalize", begun, json!({ "moved": moved }));
    told.insert("version".to_owned(), version.into());
    told.insert("failed_writes".to_owned(), load.failures());
    Ok((Value::Object(told), longest))
}

async fn finalize(address: &Address, version: u32) -> Result<u64, StoreError> {
    let mut migrator = Migrator::begin_as(address, Durability::Flushed, version).await?;
    while migrator.close().await? == Step::More {}
    Ok(migrator.schema().await?.moved)
}

/// Leases that somebody holds, each with its fence.
pub(crate) type Held = Vec<(sixpack_model::ids::LeaseId, u64)>;

/// Makes a store of an older version with what today's store has written into one of today's; returns its leases that are held.
async fn older_store(
    server: &PostgresServer,
    address: &Address,
    version: u32,
) -> Result<Held, Box<dyn Error>> {
    let today = server.new_address();
    let store = PostgresStore::open(&today, Settings::default()).await?;
    let fixture = Fixture::new(Arc::new(store), ManualClock::at(SystemClock.now()), ());
    for _ in 0..ORIGINALS {
        used_up(&fixture).await;
    }
    let mut held = Held::new();
    for _ in 0..HELD {
        let (_, lease) = fixture.leased().await;
        held.push((lease.id, lease.fence));
    }
    drop(fixture);
    drop(PostgresStore::open_as(address, Settings::default(), version).await?);
    let client = database::connect_to(&server.url(), address.schema()).await?;
    take_over(&client, today.schema(), address.schema()).await?;
    client.batch_execute(&format!("DROP SCHEMA {} CASCADE", today.schema())).await?;
    Ok(held)
}

/// Copies all rows from one schema to another, of the columns that both have.
async fn take_over(client: &Client, from: &str, to: &str) -> Result<(), Box<dyn Error>> {
    // Rows come in any sequence: what they refer to is there in the end.
    client.batch_execute("SET session_replication_role = replica").await?;
    let shared = "SELECT c.relname::text, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                  WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                      AND c.relname <> ALL ($3::text[])
                      AND EXISTS (SELECT 1 FROM pg_attribute b WHERE b.attrelid = to_regclass($2 || '.' || c.relname)
                                      AND b.attname = a.attname AND NOT b.attisdropped)
                  GROUP BY c.relname";
    let left_out: Vec<&str> = NOT_TAKEN_OVER.into();
    for row in client.query(shared, &[&to, &from, &left_out]).await? {
        let (table, columns): (String, String) = (row.get(0), row.get(1));
        let copy = format!("INSERT INTO {to}.{table} ({columns}) SELECT {columns} FROM {from}.{table}");
        client.batch_execute(&copy).await?;
    }
    let sequences =
        "SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'S'";
    for row in client.query(sequences, &[&to]).await? {
        let name: String = row.get(0);
        let follow = format!(
            "SELECT setval('{to}.{name}', greatest(s.last_value, t.last_value)) FROM {to}.{name} s, {from}.{name} t"
        );
        client.batch_execute(&follow).await?;
    }
    client.batch_execute("SET session_replication_role = origin").await?;
    Ok(())
}

pub(crate) fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
