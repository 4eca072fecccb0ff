//! The benchmark: what a release build does through HTTP, with authentication, every acknowledged change flushed.
//!
//! Server, supplier and load share the machine. Figures are reported as they were measured, whatever the aim.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::caller::{Caller, find};
use crate::processes::{Begins, Server, SupplierProcess};
use crate::stock::round;
use crate::{history, inputs, machine, sizes, stock};

/// Requests in flight, and the runs a second that we aim for.
const LOADS: [(usize, u32); 3] = [(1, 400), (16, 1_500), (64, 2_000)];

/// Nothing is counted before the caches are filled.
pub(crate) const WARM_UP: Duration = Duration::from_secs(2);

/// Claims that are parked for the memory figure, and how many a session may park.
const PARKED: usize = 1_000;
const PARKED_A_SESSION: usize = 8;

/// Starts are timed so often; the median counts.
pub(crate) const STARTS: usize = 5;

/// What an answer says of a request that was fulfilled.
const FULFILLED: &[u8] = br#""status":"fulfilled""#;

pub(crate) const SCENARIO: &str = r#"
scenario: bench/three-steps
owner: { team: Bench }
steps:
  one:   { uses: bench/step, with: {} }
  two:   { uses: bench/step, with: { after: "${{ steps.one.id }}" } }
  three: { uses: bench/step, with: { after: "${{ steps.two.id }}" } }
output:
  id: "${{ steps.three.id }}"
"#;

/// A part that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Scenarios of three steps.
    Runs,
    /// What bad inputs cost.
    Inputs,
    /// Ordinary calls among very many of everything.
    Sizes,
    /// Stock: filled, handed out, reaped.
    Stock,
    /// Leases from a large stock in a store with a long history.
    History,
    /// How long writes wait while a store is migrated.
    Migration,
}

/// Where servers keep what they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StoreKind {
    /// In a folder of their own.
    Sqlite,
    /// In a database that they share.
    Postgres,
    /// The same, behind a pooler in transaction mode.
    Pooled,
}

/// What is measured.
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) bench_store: PathBuf,
}

impl Programs {
    pub(crate) fn new(server: &Path, bench_store: &Path) -> anyhow::Result<Self> {
        let found =
            |path: &Path| path.canonicalize().with_context(|| format!("{} is not there", path.display()));
        Ok(Self { server: found(server)?, bench_store: found(bench_store)? })
    }
}

/// Measures one part and prints one JSON object.
pub(crate) async fn run_part(programs: &Programs, part: Part, seconds: u64) -> anyhow::Result<()> {
    let Programs { server, bench_store } = programs;
    let described = machine::describe();
    print(&match part {
        Part::Runs => json!({ "machine": described, "runs": runs(server, seconds).await? }),
        Part::Inputs => json!({ "machine": described, "bad_inputs": inputs::measure(server).await? }),
        Part::Stock => json!({ "machine": described, "stock": stock::measure(server, bench_store).await? }),
        Part::History => json!({ "machine": described, "history": history::measure(programs).await? }),
        Part::Migration => bail!("a migration is measured by itself"),
        Part::Sizes => json!({ "machine": described, "sizes": sizes::measure(server).await? }),
    })
}

/// Measures everything but the sizes and prints one JSON object.
pub(crate) async fn run(programs: &Programs, seconds: u64) -> anyhow::Result<()> {
    let Programs { server: binary, bench_store } = programs;
    let folder = tempfile::tempdir()?;
    let described = machine::describe();
    let flush_ms = machine::flush_ms(folder.path())?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Server::start(binary, tempfile::tempdir()?.path()).await?.ready_after);
    }
    let at_rest = at_rest(&mut starts, &Server::start(binary, tempfile::tempdir()?.path()).await?).await?;
    let runs = runs(binary, seconds).await?;
    let stock = stock::measure(binary, bench_store).await?;
    let bad_inputs = inputs::measure(binary).await?;
    let report = json!({
        "machine": described,
        "flush_ms": round(flush_ms),
        "settings": {
            "store": "sqlite, synchronous=FULL", "http": "loopback, keep-alive, bearer token",
            "scenario": "three no-op steps in sequence", "suppliers": 1, "seconds": seconds,
        },
        "at_rest": at_rest,
        "runs": runs,
        "stock": stock,
        "bad_inputs": bad_inputs,
    });
    print(&report)
}

/// Measures a migration of so many datasets, which needs no server, and prints one JSON object.
pub(crate) async fn migrate(programs: &Programs, store: StoreKind, datasets: u64) -> anyhow::Result<()> {
    let described = machine::describe();
    let kind = match store {
        StoreKind::Sqlite => "sqlite",
        StoreKind::Postgres => "postgres",
        StoreKind::Pooled => anyhow::bail!("migrations are measured without a pooler: --store postgres"),
    };
    let mut command = tokio::process::Command::new(&programs.bench_store);
    let done = command.args(["migration", kind, &datasets.to_string()]).output().await?;
    let told = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "the migration could not be measured: {told}");
    let told: Value = serde_json::from_slice(&done.stdout)?;
    print(&json!({ "machine": described, "migration": told }))
}

pub(crate) fn print(report: &Value) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(report)?)?;
    Ok(())
}

/// The middle one of starts over an empty store, and the memory of a server that does nothing, and then has claims parked.
pub(crate) async fn at_rest(starts: &mut [Duration], server: &Server) -> anyhow::Result<Value> {
    starts.sort();
    let (idle, parked) = memory(server).await?;
    Ok(json!({
        "ready_ms": { "median": round(starts[starts.len() / 2].as_secs_f64() * 1000.0), "aim_below": 200 },
        "memory_mb": {
            "idle": { "rss": idle, "aim_below": 40 },
            "parked_claims_1000": { "rss": parked, "aim_below": 120 },
        },
    }))
}

async fn memory(server: &Server) -> anyhow::Result<(f64, f64)> {
    let api = server.api()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = server.rss_mb()?;
    let mut parked = JoinSet::new();
    for session in 0..PARKED / PARKED_A_SESSION {
        let id = open_session(&api, session).await?;
        for _ in 0..PARKED_A_SESSION {
            let (api, id) = (api.clone(), id.clone());
            parked.spawn(async move {
                api.post(&format!("/v1/sessions/{id}/claim"), &json!({ "max": 10, "wait_s": 20 }), None).await
            });
        }
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let with_parked = server.rss_mb()?;
    ensure!(parked.try_join_next().is_none(), "a claim that should be parked was answered");
    Ok((idle, with_parked))
}

async fn open_session(api: &Api, number: usize) -> anyhow::Result<String> {
    let manifest = json!({
        "environment": "default", "domain": "parked", "instance": format!("parked-{number}"), "owner": { "team": "Bench" },
        "capabilities": [{ "name": "nothing", "input": true, "output": { "type": "object" } }],
    });
    let reply = api.post("/v1/sessions", &manifest, None).await?;
    ensure!(reply.status == 201, "a session was refused: {} {}", reply.status, reply.body);
    Ok(reply.body["id"].as_str().context("a session without an id")?.to_owned())
}

async fn runs(binary: &Path, seconds: u64) -> anyhow::Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(binary, folder.path()).await?;
    let api = server.api()?;
    let supplier = SupplierProcess::start(&api, Begins::alone("bench"))?;
    wait_for_supplier(&api).await?;
    api.put_scenario("bench/three-steps", SCENARIO).await?;
    let mut figures = Vec::new();
    for (in_flight, aim) in LOADS {
        load(&[&api], in_flight, WARM_UP).await?;
        let cpu = server.cpu_ms()?;
        let (latencies, span) = load(&[&api], in_flight, Duration::from_secs(seconds)).await?;
        let count = latencies.len() as f64;
        let a_second = count / span.as_secs_f64();
        let at = |quantile: f64| round(latencies.value_at_quantile(quantile) as f64 / 1000.0);
        figures.push(json!({
            "in_flight": in_flight,
            "runs_per_s": round(a_second),
            "aim_runs_per_s": aim,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "server_cpu_ms_per_run": round((server.cpu_ms()? - cpu) as f64 / count),
            "rss_mb": server.rss_mb()?,
        }));
    }
    drop(supplier);
    Ok(figures)
}

/// Makes requests one after another on so many connections, to each server in turn; returns how long each took until it was
/// fulfilled, and all of them together.
///
/// The load shares the processors with what is measured, so it does as little as it can: a connection of its own for
/// each caller, one request prepared once, and of the answer only what tells whether it was fulfilled.
pub(crate) async fn load(
    apis: &[&Api],
    in_flight: usize,
    span: Duration,
) -> anyhow::Result<(Histogram<u64>, Duration)> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for api in apis.iter().cycle().take(in_flight) {
        let stop = Arc::clone(&stop);
        let body = json!({ "contract": "bench/three-steps", "lease": { "ttl_s": 3600 } });
        let mut caller = Caller::connect(api, "/v1/requests?wait_s=30", &body).await?;
        tasks.spawn(async move {
            let mut latencies = Histogram::<u64>::new(3)?;
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let answer = caller.call().await?;
                ensure!(
                    find(answer, FULFILLED).is_some(),
                    "a run failed: {}",
                    String::from_utf8_lossy(answer)
                );
                latencies.record(asked.elapsed().as_micros() as u64)?;
            }
            Ok(latencies)
        });
    }
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Histogram::<u64>::new(3)?;
    while let Some(latencies) = tasks.join_next().await {
        all.add(latencies??)?;
    }
    Ok((all, begun.elapsed()))
}

/// Waits until the one supplier of the benchmark is connected.
pub(crate) async fn wait_for_supplier(api: &Api) -> anyhow::Result<()> {
    let limit = Instant::now() + Duration::from_secs(30);
    while api.get("/v1/environments/default/contracts/bench/step").await.is_err() {
        ensure!(Instant::now() < limit, "the supplier did not connect");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
