//! History: leases from a large stock, and pages of lists, in a store in which a million datasets have ended.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::Api;
use crate::bench::Programs;
use crate::processes::{Begins, Server, SupplierProcess};
use crate::{sizes, stock};

/// Datasets that are made, leased, used and undone before they are copied.
const ORIGINALS: u32 = 1_000;

/// How often each of them is copied.
const COPIES: u32 = 1_000;

/// What is in stock while leases are measured without a history, and with one.
const STOCKED: u32 = 32_000;
const STOCKED_LATER: u32 = 100_000;

/// Leases of one measured stretch.
const HANDED_OUT: u32 = 30_000;

/// Releases at one time.
const AT_ONCE: usize = 16;

/// Pages of lists, the first of each: as they are asked for, and with filters that find nothing in all of the history.
const LISTS: [&str; 10] = [
    "/v1/datasets?limit=100",
    "/v1/datasets?status=gone&limit=100",
    "/v1/datasets?contract=bench/three-parts&limit=100",
    "/v1/datasets?contract=bench/step&limit=100",
    "/v1/datasets?contract=bench/step&status=quarantined&limit=100",
    "/v1/requests?limit=100",
    "/v1/requests?contract=bench/three-parts&limit=100",
    "/v1/leases?limit=100",
    "/v1/leases?status=expired&limit=100",
    "/v1/leases?holder=nobody&limit=100",
];

/// Nothing here takes longer than this unless something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures leases in an empty store, gives it a history, and measures them again.
pub(crate) async fn measure(programs: &Programs) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let mut server = Server::start(&programs.server, folder.path()).await?;
    let api = server.api()?;
    let supplier = SupplierProcess::start(&api, Begins::alone("bench"))?;
    crate::bench::wait_for_supplier(&api).await?;
    api.put_scenario("bench/three-parts", stock::SCENARIO).await?;

    stock::fill(&api, STOCKED).await?;
    api.patch(stock::RULE, &json!({ "state": "paused" })).await?;
    let empty = stock::hand_out(&api, &server, HANDED_OUT, 3_600).await?;
    use_up(&api, &json!({ "contract": "bench/three-parts", "source": "stock_only" }), ORIGINALS).await?;
    are_gone(&api, ORIGINALS).await?;

    server.kill().await?;
    let multiplied = multiply(programs, folder.path()).await?;
    server.kill_and_restart().await?;
    let ready_ms = server.ready_after.as_secs_f64() * 1000.0;
    api.patch(stock::RULE, &json!({ "state": "active" })).await?;
    stock::fill(&api, STOCKED_LATER).await?;
    api.patch(stock::RULE, &json!({ "state": "paused" })).await?;
    drop(supplier);
    let full = stock::hand_out(&api, &server, HANDED_OUT, 3_600).await?;
    let p99 = |figure: &Value| figure["p99_ms"].as_f64().context("a figure without a p99");
    Ok(json!({
        "empty": { "in_stock": STOCKED, "lease_from_stock": empty },
        "full": { "in_stock": STOCKED_LATER, "history": multiplied, "lease_from_stock": full },
        "p99_of_empty": stock::round(p99(&full)? / p99(&empty)?), "aim_p99_of_empty_below": 1.3,
        "lists_ms": lists(&api).await?,
        "ready_ms": stock::round(ready_ms),
        "rss_mb": server.rss_mb()?,
    }))
}

/// What a page of each list takes.
pub(crate) async fn lists(api: &Api) -> anyhow::Result<Value> {
    let mut taken = serde_json::Map::new();
    for path in LISTS {
        taken.insert(path.to_owned(), sizes::asked(|_| api.get(path)).await?);
    }
    Ok(taken.into())
}

/// Leases so many datasets and gives each of them back as used.
pub(crate) async fn use_up(api: &Api, wanted: &Value, count: u32) -> anyhow::Result<()> {
    let mut releasing = JoinSet::new();
    for _ in 0..count {
        if releasing.len() >= AT_ONCE {
            releasing.join_next().await.context("some run")???;
        }
        let (api, wanted) = (api.clone(), wanted.clone());
        releasing.spawn(async move {
            let reply = api.post("/v1/requests?wait_s=10", &wanted, None).await?;
            let lease = &reply.body["leases"][0];
            let id = lease["id"].as_str().with_context(|| format!("no lease: {}", reply.body))?;
            let release = json!({ "fence": lease["fence"], "outcome": "used" });
            let reply = api.post(&format!("/v1/leases/{id}/release"), &release, None).await?;
            ensure!(reply.status < 300, "a release was refused: {} {}", reply.status, reply.body);
            anyhow::Ok(())
        });
    }
    while let Some(released) = releasing.join_next().await {
        released??;
    }
    Ok(())
}

/// Waits until so many datasets are gone.
pub(crate) async fn are_gone(api: &Api, count: u32) -> anyhow::Result<()> {
    let begun = Instant::now();
    while api.list("/v1/datasets?status=gone").await?.len() < count as usize {
        ensure!(begun.elapsed() < PATIENCE, "datasets are not undone");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn multiply(programs: &Programs, folder: &std::path::Path) -> anyhow::Result<Value> {
    let mut command = tokio::process::Command::new(&programs.bench_store);
    let done = command.arg("history").arg(folder.join("data")).arg(COPIES.to_string()).output().await?;
    let told = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "the history could not be written: {told}");
    Ok(serde_json::from_slice(&done.stdout)?)
}
