//! History in PostgreSQL: the same figures in a new store, after millions of rows of what has ended, and beside an old snapshot.
//!
//! ```text
//! some datasets are used up -> copied, vacuumed -> passes -> a snapshot is taken, load until it is old -> passes beside it
//! ```
//!
//! A machine that others use is half as fast at some moments as at others. So each pass measures every figure in both stores, that
//! with the history and one that is new, in short stretches in turn: what they differ by is not the machine's.
//!
//! What a row costs that is copied is not measured: copies are what the product has written for the originals, with other ids and
//! times, and go into the same tables, indexes and partitions. A database that came to them over weeks would have its rows and
//! pages in another sequence. Measuring makes history itself: datasets of every pass stay leased.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{
    LOADS, Measured, Replicas, Wish, fill, handed_out_of, leases, runs_with, take, told_of_leases,
    told_of_runs, warm_up,
};
use crate::bench::{self, Programs};
use crate::history::{are_gone, lists, use_up};
use crate::progress::progress;
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

/// The length of a stretch of load in one store before it is the other's turn.
const TURN: Duration = Duration::from_secs(2);

/// Turns of each store in which leases are handed out.
const LEASE_TURNS: u32 = 4;

/// Passes with the history, and passes beside the snapshot; of their comparisons the one in the middle counts.
const PASSES: usize = 3;

/// Measures with the history, and then beside an old snapshot.
pub(super) async fn measure(programs: &Programs, aged: &mut Replicas, wish: &Wish) -> anyhow::Result<Value> {
    leases(aged, wish.stocked).await?;
    let originals = wish.stocked / STOCKED_FOR_AN_ORIGINAL;
    aged.apis[0].put_scenario("bench/three-steps", bench::SCENARIO).await?;
    for wanted in [
        json!({ "contract": "bench/three-parts", "source": "stock_only" }),
        json!({ "contract": "bench/three-steps", "source": "fresh" }),
    ] {
        use_up(&aged.apis[0], &wanted, originals).await?;
    }
    are_gone(&aged.apis[0], 2 * originals).await?;

    aged.kill_servers().await?;
    let history = multiply(programs, &aged.database.url, wish.rows).await?;
    aged.start_servers_again().await?;
    let full = passes(programs, aged, wish).await?;
    let lists = lists(&aged.apis[0]).await?;

    let snapshot = Snapshot::take(programs, &aged.database.url).await?;
    let mut load = 0;
    while let Some(left) = wish.snapshot.checked_sub(snapshot.taken_at.elapsed()) {
        let (runs, _) = bench::load(&aged.apis(), BESIDE_THE_SNAPSHOT, left.min(STRETCH)).await?;
        load += runs.len();
    }
    let waited = snapshot.taken_at.elapsed();
    let beside = passes(programs, aged, wish).await?;
    let mut held = snapshot.end().await?;
    held["held_before_measuring_s"] = json!(waited.as_secs());
    held["runs_meanwhile"] = json!(load);
    // It is older in each pass: they are not of one kind.
    let of_each: anyhow::Result<Vec<Value>> =
        beside.iter().map(|pass| compared(std::slice::from_ref(pass))).collect();
    Ok(json!({
        "history": history,
        "with_the_history": { "aim_times_as_slow_below": AIM_HISTORY, "times": compared(&full)?, "passes": told(&full) },
        "lists_ms": lists,
        "snapshot": held,
        "beside_the_snapshot": { "aim_times_as_slow_below": AIM_SNAPSHOT, "times_of_each_pass": of_each?, "passes": told(&beside) },
    }))
}

/// One figure of both stores, measured in turn.
struct Pair {
    new: Value,
    aged: Value,
}

/// What is measured: runs with so many in flight, or leases from stock.
#[derive(Clone, Copy)]
enum Figure {
    Runs(usize),
    Leases,
}

impl Figure {
    fn all() -> impl Iterator<Item = Self> {
        LOADS.into_iter().map(|(in_flight, _)| Self::Runs(in_flight)).chain([Self::Leases])
    }

    async fn of_both(self, new: &Replicas, aged: &Replicas, wish: &Wish) -> anyhow::Result<Pair> {
        match self {
            Self::Runs(in_flight) => {
                warm_up(new, in_flight).await?;
                warm_up(aged, in_flight).await?;
                let turns = wish.seconds.div_ceil(TURN.as_secs());
                let (new, aged) =
                    in_turn(turns, new, aged, |store| runs_with(store, in_flight, TURN)).await?;
                Ok(Pair { new: told_of_runs(in_flight, &new), aged: told_of_runs(in_flight, &aged) })
            }
            Self::Leases => {
                fill(new, wish.stocked).await?;
                fill(aged, wish.stocked).await?;
                let each = handed_out_of(wish.stocked) / LEASE_TURNS;
                let (new, aged) = in_turn(LEASE_TURNS.into(), new, aged, |store| take(store, each)).await?;
                Ok(Pair { new: told_of_leases(&new), aged: told_of_leases(&aged) })
            }
        }
    }

    fn name(self) -> String {
        match self {
            Self::Runs(in_flight) => format!("runs, {in_flight} in flight"),
            Self::Leases => "lease from stock".to_owned(),
        }
    }

    /// What tells its speed, and what it costs the database.
    fn fields(self) -> (&'static str, &'static str) {
        match self {
            Self::Runs(_) => ("runs_per_s", "database_cpu_ms_per_run"),
            Self::Leases => ("per_s", "database_cpu_us_each"),
        }
    }
}

/// Measures in both stores so many times, in turn which comes first.
async fn in_turn<'r, F>(
    turns: u64,
    new: &'r Replicas,
    aged: &'r Replicas,
    measure: impl Fn(&'r Replicas) -> F,
) -> anyhow::Result<(Measured, Measured)>
where
    F: Future<Output = anyhow::Result<Measured>>,
{
    let (mut of_new, mut of_aged) = (measure(new).await?, measure(aged).await?);
    for turn in 1..turns {
        if turn % 2 == 0 {
            of_new.add(&measure(new).await?)?;
            of_aged.add(&measure(aged).await?)?;
        } else {
            of_aged.add(&measure(aged).await?)?;
            of_new.add(&measure(new).await?)?;
        }
    }
    Ok((of_new, of_aged))
}

/// All figures of both stores, so many times; each pass has a store that is new.
async fn passes(programs: &Programs, aged: &Replicas, wish: &Wish) -> anyhow::Result<Vec<Vec<Pair>>> {
    let mut passes = Vec::new();
    for number in 1..=PASSES {
        let new = Replicas::start(programs, wish.kind, wish.servers, &wish.settings).await?;
        let mut pairs = Vec::new();
        for figure in Figure::all() {
            let pair = figure.of_both(&new, aged, wish).await?;
            let (speed, _) = figure.fields();
            progress(&format!(
                "pass {number}: {}: {} new, {} aged",
                figure.name(),
                pair.new[speed],
                pair.aged[speed]
            ));
            pairs.push(pair);
        }
        new.stop().await?;
        passes.push(pairs);
    }
    Ok(passes)
}

/// How many times as slow, and as costly, the aged store is: the middle of all passes, and the least and the most.
fn compared(passes: &[Vec<Pair>]) -> anyhow::Result<Value> {
    let mut slowest: f64 = 0.0;
    let mut each = Vec::new();
    for (index, figure) in Figure::all().enumerate() {
        let (speed, cost) = figure.fields();
        let times = |name: &str, more_is_faster: bool| -> anyhow::Result<[f64; 3]> {
            let mut times = Vec::new();
            for pass in passes {
                let Pair { new, aged } = &pass[index];
                let of = |figures: &Value| figures[name].as_f64().with_context(|| format!("no {name}"));
                let (of, to) = if more_is_faster { (of(new)?, of(aged)?) } else { (of(aged)?, of(new)?) };
                // What is too little to be counted is taken for the least that could be.
                times.push(of / to.max(0.01));
            }
            times.sort_by(f64::total_cmp);
            let (least, most) = (times.first().context("no pass")?, times.last().context("no pass")?);
            Ok([times[times.len() / 2], *least, *most].map(round))
        };
        let slower = times(speed, true)?;
        slowest = slowest.max(slower[0]);
        each.push(json!({
            "what": figure.name(), "as_slow": slower, "p50": times("p50_ms", false)?, "p99": times("p99_ms", false)?,
            "database_cpu": times(cost, false)?,
        }));
    }
    Ok(json!({ "slowest": slowest, "middle_least_most": each }))
}

fn told(passes: &[Vec<Pair>]) -> Value {
    let told = |pair: &Pair| json!({ "new": pair.new, "aged": pair.aged });
    passes.iter().map(|pass| pass.iter().map(told).collect::<Value>()).collect()
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

    fn figures(runs: f64, leases: f64, cpu: f64) -> Vec<Value> {
        let runs = |in_flight| json!({ "in_flight": in_flight, "runs_per_s": runs, "p50_ms": 8.0, "p99_ms": 20.0, "database_cpu_ms_per_run": cpu });
        let leases = json!({ "per_s": leases, "p50_ms": 4.0, "p99_ms": 9.0, "database_cpu_us_each": 0.0 });
        LOADS.into_iter().map(|(in_flight, _)| runs(in_flight)).chain([leases]).collect()
    }

    fn pass(new: Vec<Value>, aged: Vec<Value>) -> Vec<Pair> {
        new.into_iter().zip(aged).map(|(new, aged)| Pair { new, aged }).collect()
    }

    #[test]
    fn the_middle_of_all_passes_counts_and_the_slowest_of_all_figures_is_told() {
        let told = compared(&[
            pass(figures(600.0, 3000.0, 1.5), figures(500.0, 1500.0, 3.0)),
            pass(figures(300.0, 1500.0, 1.5), figures(300.0, 1000.0, 1.5)),
            pass(figures(600.0, 3000.0, 1.5), figures(200.0, 1000.0, 1.5)),
        ])
        .unwrap();
        assert_eq!(told["slowest"], json!(2.0));
        let each = &told["middle_least_most"];
        assert_eq!(each[0]["as_slow"], json!([1.2, 1.0, 3.0]));
        assert_eq!(each[0]["database_cpu"], json!([1.0, 1.0, 2.0]));
        assert_eq!(each[3]["what"], "lease from stock");
        assert_eq!(each[3]["as_slow"], json!([2.0, 1.5, 3.0]));
    }

    #[test]
    fn what_was_not_measured_is_not_compared() {
        assert!(compared(&[]).is_err());
        assert!(compared(&[pass(vec![json!({}); 4], vec![json!({}); 4])]).is_err());
    }
}
