//! PostgreSQL measured: the same figures as of SQLite, with one or several servers over a database of the benchmark's own.
//!
//! Servers, database, suppliers and load share the machine. Each server has a supplier and a part of the connections, so that
//! what one server makes ready another one's supplier may carry out.

mod history;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::api::Api;
use crate::bench::{self, Part, Programs, StoreKind};
use crate::machine;
use crate::processes::{Begins, Server, SupplierProcess, cpu_ms_of};
use crate::stock::{self, round};

/// Requests in flight, and the runs a second that we aim for.
const LOADS: [(usize, Option<u32>); 3] = [(1, None), (16, None), (64, Some(1_000))];

/// Datasets that are there before they are handed out.
pub(crate) const STOCKED: u32 = 16_000;

/// Events that are read for the time from a claim to its result.
const EVENTS: usize = 2_000;

/// A database that ends with this.
struct Database {
    // Its standard input stays open as long as the database is to run.
    keeper: Child,
    url: String,
}

impl Database {
    /// Starts a database with PostgreSQL's own settings but for these; they are all durable.
    async fn start(bench_store: &Path, kind: StoreKind, settings: &[String]) -> anyhow::Result<Self> {
        let mut keeper = Command::new(bench_store)
            .arg(if kind == StoreKind::Pooled { "pooled" } else { "postgres" })
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the database")?;
        let told = keeper.stdout.take().context("it is piped")?;
        let url = BufReader::new(told).lines().next_line().await?;
        let url = url.context("the database tells no address; see above why it did not start")?;
        Ok(Self { keeper, url })
    }

    /// Processor time of the database in milliseconds: of all that have ended, and of all that are there.
    fn cpu_ms(&self) -> anyhow::Result<u64> {
        let id = self.keeper.id().context("the database is not running")?;
        let mut all = 0;
        let mut parents = vec![id];
        while let Some(parent) = parents.pop() {
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
            for child in children.split_whitespace() {
                all += cpu_ms_of(&format!("/proc/{child}/stat")).unwrap_or(0);
                parents.push(child.parse()?);
            }
        }
        Ok(all)
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.keeper.stdin.take());
        ensure!(self.keeper.wait().await?.success(), "the database did not stop");
        Ok(())
    }
}

/// How much is measured.
pub(crate) struct Wish {
    /// Seconds of load for each number of requests in flight.
    pub(crate) seconds: u64,
    /// The database by itself, or behind a pooler.
    pub(crate) kind: StoreKind,
    /// Servers.
    pub(crate) servers: usize,
    /// What the database has other than by default.
    pub(crate) settings: Vec<String>,
    /// What of it; everything but the long history when it is left out.
    pub(crate) only: Option<Part>,
    /// Rows of history.
    pub(crate) rows: u64,
    /// How long an old snapshot is held before it is measured beside it.
    pub(crate) snapshot: Duration,
    /// Datasets that are there before they are handed out; an eighth of them is left.
    pub(crate) stocked: u32,
}

/// Servers over one database.
struct Replicas {
    database: Database,
    servers: Vec<Server>,
    apis: Vec<Api>,
    suppliers: Vec<SupplierProcess>,
    _folders: Vec<tempfile::TempDir>,
}

impl Replicas {
    async fn start(
        programs: &Programs,
        kind: StoreKind,
        count: usize,
        settings: &[String],
    ) -> anyhow::Result<Self> {
        ensure!(count > 0, "there is nothing to measure without a server");
        let database = Database::start(&programs.bench_store, kind, settings).await?;
        let (mut servers, mut apis, mut suppliers) = (Vec::new(), Vec::<Api>::new(), Vec::new());
        let mut folders = Vec::new();
        for number in 1..=count {
            let folder = tempfile::tempdir()?;
            let server = Server::start_with(
                &programs.server,
                folder.path(),
                vec!["--store".to_owned(), database.url.clone()],
            )
            .await?;
            let api = apis.first().map_or_else(|| server.api(), |first| Ok(server.api_as(first)))?;
            suppliers
                .push(SupplierProcess::start(&api, Begins { instance: number, ..Begins::alone("bench") })?);
            bench::wait_for_supplier(&api).await?;
            servers.push(server);
            apis.push(api);
            folders.push(folder);
        }
        Ok(Self { database, servers, apis, suppliers, _folders: folders })
    }

    fn apis(&self) -> Vec<&Api> {
        self.apis.iter().collect()
    }

    /// Processor time of all servers together, and of the database.
    fn cpu_ms(&self) -> anyhow::Result<(u64, u64)> {
        let of_servers: anyhow::Result<Vec<u64>> = self.servers.iter().map(Server::cpu_ms).collect();
        Ok((of_servers?.iter().sum(), self.database.cpu_ms()?))
    }

    /// What each server has in memory.
    fn rss_mb(&self) -> anyhow::Result<Vec<f64>> {
        self.servers.iter().map(Server::rss_mb).collect()
    }

    /// Ends all servers, without warning.
    async fn kill_servers(&mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.kill().await?;
        }
        Ok(())
    }

    /// Starts them again; their suppliers find them by themselves.
    async fn start_servers_again(&mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.kill_and_restart().await?;
        }
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        drop(self.suppliers);
        for mut server in self.servers {
            server.kill().await?;
        }
        self.database.stop().await
    }
}

/// Measures and prints one JSON object.
pub(crate) async fn run(programs: &Programs, wish: &Wish) -> anyhow::Result<()> {
    let Wish { seconds, kind, servers, settings, only, .. } = wish;
    ensure!(
        matches!(only, None | Some(Part::Runs | Part::Stock | Part::History)),
        "of PostgreSQL that is not measured"
    );
    ensure!(
        *kind == StoreKind::Postgres || *only != Some(Part::History),
        "a history is measured without a pooler: --store postgres"
    );
    let folder = tempfile::tempdir()?;
    let flush_ms = round(machine::flush_ms(folder.path())?);
    let described = machine::describe();
    let at_rest = if only.is_none() { at_rest(programs, *kind, settings).await? } else { Value::Null };
    let mut replicas = Replicas::start(programs, *kind, *servers, settings).await?;
    let mut report = json!({
        "machine": described,
        "flush_ms": flush_ms,
        "settings": {
            "store": "postgres, its own defaults: fsync, full_page_writes, synchronous_commit on; through a socket",
            "pooler": if *kind == StoreKind::Pooled { "PgBouncer, pool_mode = transaction" } else { "none" },
            "database_settings": settings, "replicas": servers, "suppliers": servers,
            "http": "loopback, keep-alive, bearer token; connections to each server in turn",
            "scenario": "three no-op steps in sequence", "seconds": seconds,
        },
        "at_rest": at_rest,
    });
    if *only == Some(Part::History) {
        report["history"] = history::measure(programs, &mut replicas, wish).await?;
    } else {
        let is_left_out = |part| *only == Some(part);
        report["runs"] =
            if is_left_out(Part::Stock) { Value::Null } else { runs(&replicas, *seconds).await? };
        report["lease_from_stock"] =
            if is_left_out(Part::Runs) { Value::Null } else { leases(&replicas, wish.stocked).await? };
    }
    replicas.stop().await?;
    bench::print(&report)
}

/// Starts of a server over a store that is there and empty, and its memory; that of the database is not counted.
async fn at_rest(programs: &Programs, kind: StoreKind, settings: &[String]) -> anyhow::Result<Value> {
    let database = Database::start(&programs.bench_store, kind, settings).await?;
    let folder = tempfile::tempdir()?;
    let start = async || {
        let store = vec!["--store".to_owned(), database.url.clone()];
        Server::start_with(&programs.server, folder.path(), store).await
    };
    // The first one makes the store.
    let made_ms = start().await?.ready_after.as_secs_f64() * 1000.0;
    let mut starts = Vec::new();
    for _ in 0..bench::STARTS {
        starts.push(start().await?.ready_after);
    }
    let mut at_rest = bench::at_rest(&mut starts, &start().await?).await?;
    at_rest["ready_ms"]["first_of_all"] = json!(round(made_ms));
    database.stop().await?;
    Ok(at_rest)
}

/// What was measured of one kind of call, in one stretch or in several.
struct Measured {
    latencies: Histogram<u64>,
    span: Duration,
    servers_ms: u64,
    database_ms: u64,
}

impl Measured {
    /// Measures what this does, which returns how long each call took and all of them together.
    async fn of(
        replicas: &Replicas,
        work: impl Future<Output = anyhow::Result<(Histogram<u64>, Duration)>>,
    ) -> anyhow::Result<Self> {
        let (servers, database) = replicas.cpu_ms()?;
        let (latencies, span) = work.await?;
        let (servers_now, database_now) = replicas.cpu_ms()?;
        Ok(Self { latencies, span, servers_ms: servers_now - servers, database_ms: database_now - database })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latencies.add(&other.latencies)?;
        self.span += other.span;
        self.servers_ms += other.servers_ms;
        self.database_ms += other.database_ms;
        Ok(())
    }

    fn per_s(&self) -> f64 {
        round(self.latencies.len() as f64 / self.span.as_secs_f64())
    }

    /// A latency, in milliseconds.
    fn at(&self, quantile: f64) -> f64 {
        round(self.latencies.value_at_quantile(quantile) as f64 / 1000.0)
    }

    /// What each call has had of a time that all of them took.
    fn each(&self, of_all: u64) -> f64 {
        round(of_all as f64 / self.latencies.len() as f64)
    }
}

/// Runs with each number of requests in flight.
async fn runs(replicas: &Replicas, seconds: u64) -> anyhow::Result<Value> {
    let mut figures = Vec::new();
    for (in_flight, aim) in LOADS {
        warm_up(replicas, in_flight).await?;
        let measured = runs_with(replicas, in_flight, Duration::from_secs(seconds)).await?;
        let mut figure = told_of_runs(in_flight, &measured);
        figure["aim_runs_per_s"] = json!(aim);
        figure["claim_to_result_ms"] = claim_to_result(&replicas.apis[0]).await?;
        figures.push(figure);
    }
    Ok(figures.into())
}

/// Makes the first runs with so many requests in flight.
async fn warm_up(replicas: &Replicas, in_flight: usize) -> anyhow::Result<()> {
    replicas.apis[0].put_scenario("bench/three-steps", bench::SCENARIO).await?;
    bench::load(&replicas.apis(), in_flight, bench::WARM_UP).await?;
    Ok(())
}

async fn runs_with(replicas: &Replicas, in_flight: usize, span: Duration) -> anyhow::Result<Measured> {
    Measured::of(replicas, bench::load(&replicas.apis(), in_flight, span)).await
}

fn told_of_runs(in_flight: usize, runs: &Measured) -> Value {
    json!({
        "in_flight": in_flight,
        "runs_per_s": runs.per_s(),
        "p50_ms": runs.at(0.5),
        "p99_ms": runs.at(0.99),
        "servers_cpu_ms_per_run": runs.each(runs.servers_ms),
        "database_cpu_ms_per_run": runs.each(runs.database_ms),
    })
}

/// How long the last attempts were in their suppliers' hands, by the store's clock: from the claim to the recorded result.
async fn claim_to_result(api: &Api) -> anyhow::Result<Value> {
    let requests = api.get("/v1/requests?limit=100").await?;
    let mut took = Histogram::<u64>::new(3)?;
    for request in requests["items"].as_array().context("a list without items")? {
        let lease = &request["leases"][0];
        let tree = lease["dataset"]["id"].as_str().context("a request without a lease")?;
        let dataset = api.get(&format!("/v1/datasets/{tree}")).await?;
        for event in dataset["timeline"].as_array().context("a dataset without a timeline")? {
            if let Some(ms) = event["duration_ms"].as_u64() {
                took.record(ms)?;
            }
        }
        if took.len() as usize >= EVENTS {
            break;
        }
    }
    Ok(json!({
        "p50": took.value_at_quantile(0.5), "p99": took.value_at_quantile(0.99), "of": took.len(), "aim_p50_below": 8,
    }))
}

async fn leases(replicas: &Replicas, stocked: u32) -> anyhow::Result<Value> {
    let filled = fill(replicas, stocked).await?;
    let taken = take(replicas, handed_out_of(stocked)).await?;
    let mut told = told_of_leases(&taken);
    told["connections"] = json!(stock::CONNECTIONS);
    told["in_stock"] = json!(stocked);
    told["filled_per_s"] = json!(round(f64::from(stocked) / filled.as_secs_f64()));
    told["aim_per_s"] = json!(5_000);
    told["servers_rss_mb"] = json!(replicas.rss_mb()?);
    Ok(told)
}

/// An eighth is left.
fn handed_out_of(stocked: u32) -> u32 {
    stocked - stocked / 8
}

/// Fills a line; returns how long that took.
async fn fill(replicas: &Replicas, stocked: u32) -> anyhow::Result<Duration> {
    let api = &replicas.apis[0];
    api.put_scenario("bench/three-parts", stock::SCENARIO).await?;
    // It is paused when this was measured before; there is no such rule otherwise.
    api.patch(stock::RULE, &json!({ "state": "active" })).await?;
    let filled = stock::fill(api, stocked).await?;
    api.patch(stock::RULE, &json!({ "state": "paused" })).await?;
    Ok(filled)
}

/// Hands out so many.
async fn take(replicas: &Replicas, count: u32) -> anyhow::Result<Measured> {
    Measured::of(replicas, stock::take(&replicas.apis(), count, 3_600)).await
}

fn told_of_leases(taken: &Measured) -> Value {
    json!({
        "per_s": taken.per_s(),
        "p50_ms": taken.at(0.5),
        "p99_ms": taken.at(0.99),
        "servers_cpu_us_each": taken.each(taken.servers_ms * 1000),
        "database_cpu_us_each": taken.each(taken.database_ms * 1000),
    })
}
