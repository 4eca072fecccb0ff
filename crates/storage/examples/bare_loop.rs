//! The bare store loop: how many datasets a second the store alone leases from stock, with every commit flushed.
//!
//! Prints one JSON object. `cargo xtask bench --only stock` runs it before the server does the same through HTTP.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sixpack_storage::conformance::{Fixture, StockLoop};
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Clock, ManualClock, SystemClock};

/// Datasets in stock, of which two thirds are leased: what is left keeps the loop from running dry.
const STOCKED: usize = 15_000;
const TAKEN: usize = 10_000;

/// As many at once as the server is asked over connections.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let clock = ManualClock::at(SystemClock.now());
    let settings = Settings { clock: Arc::new(clock.clone()), ..Settings::default() };
    let store = SqliteStore::open(folder.path(), settings)?;
    let stock = StockLoop::filled(Fixture::new(Arc::new(store), clock, ()), STOCKED).await;
    let begun = Instant::now();
    stock.take(TAKEN, AT_ONCE).await;
    let per_s = (TAKEN as f64 / begun.elapsed().as_secs_f64()).round();
    writeln!(std::io::stdout(), "{}", json!({ "stocked": STOCKED, "at_once": AT_ONCE, "per_s": per_s }))?;
    Ok(())
}
