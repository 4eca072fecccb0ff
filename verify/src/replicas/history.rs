//! History in PostgreSQL: the same figures in an empty store, after millions of rows of what has ended, and beside an old snapshot.
//!
//! ```text
//! empty, twice -> some datasets are used up -> copied, vacuumed -> full -> a snapshot is taken, load until it is old -> beside it
//! ```
//!
//! What a row costs that is copied is not measured: copies are what the product has written for the originals, with other ids and
//! times, and go into the same tables, indexes and partitions. A database that came to them over weeks would have its rows and
//! pages in another sequence. Measuring makes history itself: datasets of every round stay leased.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{Replicas, Wish, leases, runs};
use crate::bench::{self, Programs};
use crate::history::{are_gone, lists, use_up};
use crate::stock::round;

/// Datasets that are used up before they are copied: one from stock for so many in stock, and as many that are made at once.
const STOCKED_FOR_AN_ORIGINAL: u32 = 64;

/// Requests in flight while the snapshot grows old.
const BESIDE_THE_SNAPSHOT: usize = 16;

/// The longest stretch of that load: how often it is looked whether the snapshot is old enough.
const STRETCH: Duration = Duration::from_secs(10);

/// How many times as slow it may be: with the history, and beside the old snapshot.
const AIM_HISTORY: f64 = 1.3;
const AIM_SNAPSHOT: f64 = 2.0;

/// Measures all four rounds.
pub(super) async fn measure(
    programs: &Programs,
    replicas: &mut Replicas,
    wish: &Wish,
) -> anyhow::Result<Value> {
    let first = round_of(replicas, wish).await?;
    let empty = round_of(replicas, wish).await?;
    let originals = wish.stocked / STOCKED_FOR_AN_ORIGINAL;
    for wanted in [
        json!({ "contract": "bench/three-parts", "source": "stock_only" }),
        json!({ "contract": "bench/three-steps", "source": "fresh" }),
    ] {
        use_up(&replicas.apis[0], &wanted, originals).await?;
    }
    are_gone(&replicas.apis[0], 2 * originals).await?;

    replicas.kill_servers().await?;
    let history = multiply(programs, &replicas.database.url, wish.rows).await?;
    replicas.start_servers_again().await?;
    let full = round_of(replicas, wish).await?;
    let lists = lists(&replicas.apis[0]).await?;

    let snapshot = Snapshot::take(programs, &replicas.database.url).await?;
    let mut load = 0;
    while let Some(left) = wish.snapshot.checked_sub(snapshot.taken_at.elapsed()) {
        load += bench::load(&replicas.apis(), BESIDE_THE_SNAPSHOT, left.min(STRETCH)).await?.0;
    }
    let waited = snapshot.taken_at.elapsed();
    let beside = round_of(replicas, wish).await?;
    let mut held = snapshot.end().await?;
    held["held_before_measuring_s"] = json!(waited.as_secs());
    held["runs_meanwhile"] = json!(load);
    Ok(json!({
        "empty_again_to_empty": compared(&first, &empty)?,
        "full_to_empty": { "aim_times_as_slow_below": AIM_HISTORY, "times": compared(&empty, &full)? },
        "snapshot_to_full": { "aim_times_as_slow_below": AIM_SNAPSHOT, "times": compared(&full, &beside)? },
        "snapshot_to_empty": compared(&empty, &beside)?,
        "empty": first, "empty_again": empty,
        "history": history, "full": full, "lists_ms": lists,
        "snapshot": held, "beside_the_snapshot": beside,
    }))
}

/// Runs with each number of requests in flight, and leases from stock.
async fn round_of(replicas: &Replicas, wish: &Wish) -> anyhow::Result<Value> {
    let runs = runs(replicas, wish.seconds).await?;
    Ok(json!({ "runs": runs, "lease_from_stock": leases(replicas, wish.stocked).await? }))
}

/// How many times as slow, and as costly, the later round is.
fn compared(before: &Value, later: &Value) -> anyhow::Result<Value> {
    let mut slowest: f64 = 0.0;
    let mut each = Vec::new();
    let rows = |figures: &Value| -> anyhow::Result<Vec<Value>> {
        let runs = figures["runs"].as_array().context("figures without runs")?;
        Ok(runs.iter().chain([&figures["lease_from_stock"]]).cloned().collect())
    };
    for (before, later) in rows(before)?.iter().zip(rows(later)?) {
        let (what, speed, cost) = match before["in_flight"].as_u64() {
            Some(in_flight) => {
                (format!("runs, {in_flight} in flight"), "runs_per_s", "database_cpu_ms_per_run")
            }
            None => ("lease from stock".to_owned(), "per_s", "database_cpu_us_each"),
        };
        let times = |name: &str, of: &Value, to: &Value| -> anyhow::Result<f64> {
            let figure = |figures: &Value| figures[name].as_f64().with_context(|| format!("no {name}"));
            // What is too little to be counted is taken for the least that could be.
            Ok(round(figure(of)? / figure(to)?.max(0.01)))
        };
        let slower = times(speed, before, &later)?;
        slowest = slowest.max(slower);
        each.push(json!({
            "what": what, "as_slow": slower, "p50": times("p50_ms", &later, before)?, "p99": times("p99_ms", &later, before)?,
            "database_cpu": times(cost, &later, before)?,
        }));
    }
    Ok(json!({ "slowest": slowest, "each": each }))
}

async fn multiply(programs: &Programs, url: &str, rows: u64) -> anyhow::Result<Value> {
    let mut command = Command::new(&programs.bench_store);
    let done = command.arg("postgres-history").arg(url).arg(rows.to_string()).output().await?;
    let told = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "the history could not be written: {told}");
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// Somebody who has read once, and sees nothing of what was written since.
struct Snapshot {
    // It lets go when its standard input is closed.
    holder: Child,
    told: Lines<BufReader<ChildStdout>>,
    taken_at: Instant,
}

impl Snapshot {
    async fn take(programs: &Programs, url: &str) -> anyhow::Result<Self> {
        let mut holder = Command::new(&programs.bench_store)
            .arg("snapshot")
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting whoever holds the snapshot")?;
        let mut told = BufReader::new(holder.stdout.take().context("it is piped")?).lines();
        told.next_line().await?.context("no snapshot could be taken; see above why")?;
        Ok(Self { holder, told, taken_at: Instant::now() })
    }

    /// Lets go of it; returns what that was like for the database.
    async fn end(mut self) -> anyhow::Result<Value> {
        drop(self.holder.stdin.take());
        let last = self.told.next_line().await?.context("nothing was told of the snapshot")?;
        ensure!(self.holder.wait().await?.success(), "the snapshot was not held to its end");
        Ok(serde_json::from_str(&last)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_all_figures_is_told_with_each() {
        let figures = |runs: f64, leases: f64, cpu: f64| {
            json!({
                "runs": [{ "in_flight": 64, "runs_per_s": runs, "p50_ms": 8.0, "p99_ms": 20.0, "database_cpu_ms_per_run": cpu }],
                "lease_from_stock": { "per_s": leases, "p50_ms": 4.0, "p99_ms": 9.0, "database_cpu_us_each": 0.0 },
            })
        };
        let told = compared(&figures(600.0, 3000.0, 1.5), &figures(500.0, 1500.0, 3.0)).unwrap();
        assert_eq!(told["slowest"], json!(2.0));
        assert_eq!(told["each"][0]["as_slow"], json!(1.2));
        assert_eq!(told["each"][0]["database_cpu"], json!(2.0));
        assert_eq!(told["each"][1]["what"], "lease from stock");
        assert!(compared(&json!({}), &json!({})).is_err());
    }
}
