//! Sizes: what ordinary calls take among very many contracts, suppliers and open requests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::api::Api;
use crate::processes::Server;
use crate::stock::round;

const CONTRACTS: usize = 1_000;
/// Properties in each schema of input, output and facts.
const PROPERTIES: usize = 30;
const SESSIONS: usize = 10_000;
const REQUESTS: usize = 100_000;

/// Calls at one time while things are made.
const AT_ONCE: usize = 64;

/// Ordinary calls that are measured among all that.
const ASKED: usize = 200;

/// How often the one supplier that lives on says so.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Makes everything and measures.
pub(crate) async fn measure(binary: &Path) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(binary, folder.path()).await?;
    let api = server.api()?;
    let published = Instant::now();
    let keeper = open(&api, "keeper", CONTRACTS).await?;
    let publish_ms = published.elapsed().as_secs_f64() * 1000.0;
    let _beating = beat(api.clone(), keeper.clone());
    let sessions =
        many(
            &api,
            SESSIONS,
            |api, number| async move { open(&api, &format!("s-{number}"), 1).await.map(|_| ()) },
        );
    let sessions = sessions.await?;
    let requests = many(&api, REQUESTS, |api, number| async move {
        let contract = format!("sizes/c{}", number % CONTRACTS);
        let body = json!({ "contract": contract, "timeout_s": 86_400 });
        let reply = api.post("/v1/requests", &body, None).await?;
        ensure!(reply.status == 201, "a request was refused: {} {}", reply.status, reply.body);
        Ok(())
    });
    let requests = requests.await?;
    let (claim, claims) = (json!({ "max": 1, "wait_s": 0 }), format!("/v1/sessions/{keeper}/claim"));
    Ok(json!({
        "contracts": CONTRACTS, "properties": 3 * PROPERTIES, "sessions": SESSIONS, "open_requests": REQUESTS,
        "publish_all_ms": round(publish_ms),
        "open_session": sessions,
        "make_request": requests,
        "list_requests_ms": asked(|_| api.get("/v1/requests?status=building&limit=100")).await?,
        "list_sessions_ms": asked(|_| api.get("/v1/sessions?limit=100")).await?,
        "search_contracts_ms": asked(|_| api.get("/v1/environments/default/contracts?q=c7")).await?,
        "claim_ms": asked(|_| api.post(&claims, &claim, None)).await?,
        "rss_mb": server.rss_mb()?,
    }))
}

/// Opens a session with so many capabilities.
async fn open(api: &Api, instance: &str, capabilities: usize) -> anyhow::Result<String> {
    let capability = |number: usize| {
        let schema = schema(number);
        json!({ "name": format!("c{number}"), "input": schema, "output": schema, "facts": schema })
    };
    let manifest = json!({
        "environment": "default", "domain": "sizes", "instance": instance, "owner": { "team": "Bench" },
        "capabilities": (0..capabilities).map(capability).collect::<Vec<_>>(),
    });
    let reply = api.post("/v1/sessions", &manifest, None).await?;
    ensure!(reply.status == 201, "a session was refused: {} {}", reply.status, reply.body);
    Ok(reply.body["id"].as_str().context("a session without an id")?.to_owned())
}

/// A schema as large as real ones are; the empty object satisfies it.
fn schema(number: usize) -> Value {
    let property = |of: usize| {
        let described = json!({ "type": "string", "description": "what it is", "maxLength": 100 + of });
        (format!("property_{number}_{of}"), described)
    };
    let properties: serde_json::Map<String, Value> = (0..PROPERTIES).map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Keeps a session alive.
fn beat(api: Api, session: String) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            // The figures tell when the session was lost: nothing can be claimed then.
            let _beaten =
                api.post(&format!("/v1/sessions/{session}/heartbeat"), &json!({ "running": [] }), None).await;
        }
    }))
}

/// Does something many times, some at once; tells how many a second, and how long each took.
pub(crate) async fn many<F>(
    api: &Api,
    count: usize,
    once: impl Fn(Api, usize) -> F + Copy + Send + 'static,
) -> anyhow::Result<Value>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..AT_ONCE {
        let (api, next) = (api.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut latencies = Histogram::<u64>::new(3)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, anyhow::Error>(latencies);
                }
                let asked = Instant::now();
                once(api.clone(), number).await?;
                latencies.record(asked.elapsed().as_micros() as u64)?;
            }
        });
    }
    let mut all = Histogram::<u64>::new(3)?;
    while let Some(latencies) = tasks.join_next().await {
        all.add(latencies??)?;
    }
    let a_second = count as f64 / begun.elapsed().as_secs_f64();
    Ok(json!({ "at_once": AT_ONCE, "a_second": round(a_second), "ms": shown(&all) }))
}

/// Asks one call after another.
pub(crate) async fn asked<T, F: Future<Output = anyhow::Result<T>>>(
    call: impl Fn(usize) -> F,
) -> anyhow::Result<Value> {
    let mut latencies = Histogram::<u64>::new(3)?;
    for number in 0..ASKED {
        let asked = Instant::now();
        call(number).await?;
        latencies.record(asked.elapsed().as_micros() as u64)?;
    }
    Ok(shown(&latencies))
}

fn shown(latencies: &Histogram<u64>) -> Value {
    let at = |quantile: f64| round(latencies.value_at_quantile(quantile) as f64 / 1000.0);
    json!({ "p50": at(0.5), "p99": at(0.99) })
}
