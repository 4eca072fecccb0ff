//! Stock measured: how fast it is filled, how fast it is handed out, and how fast expired leases are reaped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::caller::{Caller, find};
use crate::processes::{Begins, Server, SupplierProcess};

/// Three parts that depend on each other in no way, so that they are made side by side.
pub(crate) const SCENARIO: &str = r#"
scenario: bench/three-parts
owner: { team: Bench }
steps:
  one:   { uses: bench/step, with: {} }
  two:   { uses: bench/step, with: {} }
  three: { uses: bench/step, with: {} }
output:
  id: "${{ steps.three.id }}"
"#;

/// The rule that everything here is about.
pub(crate) const RULE: &str = "/v1/environments/default/stock-rules/bench";

/// Datasets of the figure for filling.
const FILLED: u32 = 1_000;

/// Datasets that are there before they are handed out.
const STOCKED: u32 = 50_000;

/// Connections that ask at once.
pub(crate) const CONNECTIONS: usize = 64;

/// Handed out in one measured stretch; what is left keeps the stretch from running dry.
const HANDED_OUT: u32 = 30_000;

/// Leases that expire at once.
const EXPIRING: u32 = 10_000;

/// How long those leases last: long enough to be all granted before the first ends.
const EXPIRING_TTL_S: u32 = 15;

/// Nothing here takes longer than this unless something is broken.
const PATIENCE: Duration = Duration::from_secs(300);

const FULFILLED: &[u8] = br#""status":"fulfilled""#;

/// Measures everything about stock.
pub(crate) async fn measure(binary: &Path, bench_store: &Path) -> anyhow::Result<Value> {
    let bare = bare(bench_store).await?;
    let folder = tempfile::tempdir()?;
    let server = Server::start(binary, folder.path()).await?;
    let api = server.api()?;
    let supplier = SupplierProcess::start(&api, Begins::alone("bench"))?;
    crate::bench::wait_for_supplier(&api).await?;
    api.put_scenario("bench/three-parts", SCENARIO).await?;

    let first = fill(&api, FILLED).await?;
    let all = fill(&api, STOCKED).await?;
    api.patch(RULE, &json!({ "state": "paused" })).await?;
    drop(supplier);
    let mut handed_out = hand_out(&api, &server, HANDED_OUT, 3_600).await?;
    let bare_per_s = bare["per_s"].as_f64().context("the loop over the bare store tells no speed")?;
    let per_s = handed_out["per_s"].as_f64().context("a figure without a speed")?;
    handed_out["of_the_bare_store"] = json!(round(per_s / bare_per_s));
    let reaped = expire(&api, &server).await?;
    Ok(json!({
        "refill_1000": { "seconds": round(first.as_secs_f64()), "aim_below_s": 2 },
        "refill_50000": { "per_s": round(f64::from(STOCKED - FILLED) / all.as_secs_f64()) },
        "bare_store": bare,
        "lease_from_stock": handed_out,
        "expiry_storm_10000": reaped,
        "rss_mb": server.rss_mb()?,
    }))
}

/// What the store alone does, without HTTP and engine around it.
async fn bare(bench_store: &Path) -> anyhow::Result<Value> {
    let done = tokio::process::Command::new(bench_store).arg("loop").output().await?;
    ensure!(
        done.status.success(),
        "the loop over the bare store failed: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// Sets the target and waits until that many are there.
pub(crate) async fn fill(api: &Api, target: u32) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let rule = json!({ "contract": "bench/three-parts", "target": target });
    let reply = api.put(RULE, &rule).await?;
    ensure!(reply.status < 300, "the rule was refused: {} {}", reply.status, reply.body);
    loop {
        let rule = api.get(RULE).await?;
        let ready = rule["stock"]["ready"].as_u64().context("a rule without a level")?;
        if ready >= u64::from(target) {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < PATIENCE, "stock is not filled: {rule}");
        // Looking has a cost of its own: it counts what is there.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Takes so many datasets on all connections.
pub(crate) async fn hand_out(api: &Api, server: &Server, count: u32, ttl_s: u32) -> anyhow::Result<Value> {
    let cpu = server.cpu_ms()?;
    let (all, span) = take(&[api], count, ttl_s).await?;
    let at = |quantile: f64| round(all.value_at_quantile(quantile) as f64 / 1000.0);
    Ok(json!({
        "connections": CONNECTIONS,
        "per_s": round(f64::from(count) / span.as_secs_f64()),
        "aim_per_s": 10_000,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "aim_p99_below_ms": 15,
        "server_cpu_us_each": round((server.cpu_ms()? - cpu) as f64 * 1000.0 / f64::from(count)),
    }))
}

/// The same from each server in turn; returns how long each took, and all of them together.
pub(crate) async fn take(
    apis: &[&Api],
    count: u32,
    ttl_s: u32,
) -> anyhow::Result<(Histogram<u64>, Duration)> {
    let left = Arc::new(AtomicU32::new(count));
    let failed = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for api in apis.iter().cycle().take(CONNECTIONS) {
        let (left, failed) = (Arc::clone(&left), Arc::clone(&failed));
        let body =
            json!({ "contract": "bench/three-parts", "source": "stock_only", "lease": { "ttl_s": ttl_s } });
        let mut caller = Caller::connect(api, "/v1/requests", &body).await?;
        tasks.spawn(async move {
            let mut latencies = Histogram::<u64>::new(3)?;
            let take = |left: u32| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let asked = Instant::now();
                let answer = caller.call().await?;
                if find(answer, FULFILLED).is_none() {
                    failed.store(true, Ordering::Relaxed);
                    anyhow::bail!("nothing was handed out: {}", String::from_utf8_lossy(answer));
                }
                latencies.record(asked.elapsed().as_micros() as u64)?;
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Histogram::<u64>::new(3)?;
    while let Some(latencies) = tasks.join_next().await {
        all.add(latencies??)?;
    }
    Ok((all, begun.elapsed()))
}

/// Grants many leases that end together, and waits until all are reaped.
async fn expire(api: &Api, server: &Server) -> anyhow::Result<Value> {
    hand_out(api, server, EXPIRING, EXPIRING_TTL_S).await?;
    // The last of them ends so long after it was granted; only what comes after that is the reaper's.
    tokio::time::sleep(Duration::from_secs(u64::from(EXPIRING_TTL_S))).await;
    let begun = Instant::now();
    loop {
        let held = api.get("/v1/leases?status=expired&limit=1").await?;
        let environments = api.get("/v1/environments").await?;
        let held_now = environments["items"][0]["leases"].as_u64().context("no count of leases")?;
        if held_now <= u64::from(HANDED_OUT) {
            ensure!(held["items"].as_array().is_some_and(|items| !items.is_empty()), "nothing has expired");
            return Ok(json!({ "seconds": round(begun.elapsed().as_secs_f64()), "aim_below_s": 30 }));
        }
        ensure!(begun.elapsed() < PATIENCE, "leases are not reaped: {held_now} are held");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
