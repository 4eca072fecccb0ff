//! What happens in the seeded world: stock is kept, data is asked for, leased, given back, refused, drifts and sticks.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::world::{self, World};
use crate::api::Api;
use crate::sizes;

/// Datasets of one request of the history.
const BATCH: usize = 250;

/// Shares of all datasets, out of a hundred, that are in stock and in somebody's hands; the rest has ended, or does not go well.
const IN_STOCK: usize = 25;
const HELD: usize = 5;

/// Nothing here takes longer than this unless something is broken.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// How often stock and requests are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who asks: people, and pipelines.
const HOLDERS: [&str; 12] = [
    "ada",
    "bruno",
    "chiara",
    "dmitri",
    "elif",
    "farid",
    "ci 4711 · checkout.spec.ts",
    "ci 4712 · refund.spec.ts",
    "nightly regression",
    "load test",
    "exploratory session",
    "release 24.2",
];

/// Everything that happens, until there are so many datasets.
pub(super) async fn happen(api: &Api, world: &World, datasets: usize) -> anyhow::Result<()> {
    let domains = world.domains();
    keep_stock(api, domains, datasets * IN_STOCK / 100).await?;
    let history = datasets * (100 - IN_STOCK - HELD) / 100;
    let requests = history.div_ceil(BATCH);
    many(api, requests, move |number| {
        let contract = format!("{}/open-{}", domains[number % domains.len()], world::noun(number));
        json!({ "contract": contract, "count": BATCH, "source": "fresh", "lease": { "ttl_s": 1 }, "timeout_s": 3_600,
                "holder": HOLDERS[number % HOLDERS.len()] })
    })
    .await?;
    let held = datasets * HELD / 100;
    many(api, held.div_ceil(50), move |number| {
        let contract = format!("{}/closed-{}", domains[number % domains.len()], world::noun(number));
        json!({ "contract": contract, "count": 50, "source": "fresh", "lease": { "ttl_s": 86_400 },
                "holder": HOLDERS[number % HOLDERS.len()] })
    })
    .await?;
    wait_for_stock(api).await?;
    live(api, domains).await?;
    leave_debts(api, domains).await
}

/// What some have asked for drifts away, and is found out at hand-over.
pub(super) async fn find_drift(api: &Api, domains: &'static [&'static str]) -> anyhow::Result<()> {
    many(api, 30, move |number| {
        let contract = format!("{}/premium-profile", domains[number % 3]);
        json!({ "contract": contract, "source": "stock_first", "holder": HOLDERS[number % HOLDERS.len()] })
    })
    .await
}

/// Rules for single states and for scenarios, one that a domain refuses to fill, and one that rests.
async fn keep_stock(api: &Api, domains: &[&str], datasets: usize) -> anyhow::Result<()> {
    let each = (datasets / domains.len()).max(1);
    for domain in domains {
        let name = format!("{domain}-accounts");
        put_rule(api, &name, &json!({ "contract": format!("{domain}/active-account"), "target": each }))
            .await?;
        let name = format!("{domain}-first-purchases");
        let scenario = format!("{domain}/first-purchase");
        put_rule(api, &name, &json!({ "contract": scenario, "input": { "country": "CZ" }, "target": 3 }))
            .await?;
    }
    for domain in &domains[..domains.len().min(3)] {
        let rule = json!({ "contract": format!("{domain}/premium-profile"), "target": 40 });
        put_rule(api, &format!("{domain}-premium"), &rule).await?;
    }
    let refused = format!("{}/blocked-account", domains[0]);
    let rule = json!({ "contract": refused, "input": { "country": "DE" }, "target": 2 });
    put_rule(api, "blocked-in-germany", &rule).await?;
    let rests = format!("/v1/environments/default/stock-rules/{}-accounts", domains[domains.len() - 1]);
    let reply = api.patch(&rests, &json!({ "state": "paused" })).await?;
    ensure!(reply.status == 200, "a rule was not paused: {} {}", reply.status, reply.body);
    Ok(())
}

async fn put_rule(api: &Api, name: &str, rule: &Value) -> anyhow::Result<()> {
    let reply = api.put(&format!("/v1/environments/default/stock-rules/{name}"), rule).await?;
    ensure!(reply.status < 300, "the rule {name} was refused: {} {}", reply.status, reply.body);
    Ok(())
}

/// Waits until every rule that is filled is full.
async fn wait_for_stock(api: &Api) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let rules = api.list("/v1/environments/default/stock-rules").await?;
        let is_short = |rule: &&Value| {
            let starved = rule["stock"].get("starved").is_some();
            rule["state"] == "active" && !starved && rule["stock"]["ready"].as_u64() < rule["target"].as_u64()
        };
        let Some(short) = rules.iter().find(is_short) else { return Ok(()) };
        ensure!(begun.elapsed() < PATIENCE, "stock is not filled: {short}");
        // Looking has a cost of its own: it counts what is there.
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What testers and pipelines do in a day: most of it is served from stock, some is made, some is refused or waits.
async fn live(api: &Api, domains: &'static [&'static str]) -> anyhow::Result<()> {
    let domain = move |number: usize| domains[number % domains.len()];
    let holder = |number: usize| HOLDERS[number % HOLDERS.len()];
    many(api, 2_000, move |number| {
        json!({ "contract": format!("{}/active-account", domain(number)), "holder": holder(number / 7) })
    })
    .await?;
    many(api, 600, move |number| {
        // One country of three is refused by some.
        let country = ["FR", "CZ", "DE"][number % 3];
        let contract = world::scenario(domain(number), number / 3);
        json!({ "contract": contract, "input": { "country": country }, "holder": holder(number) })
    })
    .await?;
    many(api, 200, move |number| {
        let contract = format!("{}/verified-{}", domain(number), world::noun(number));
        json!({ "contract": contract, "holder": holder(number) })
    })
    .await?;
    many(api, 120, move |number| {
        let contract = format!("{}/blocked-{}", domain(number), world::noun(number / 3));
        let country = if number % 2 == 0 { "DE" } else { "FR" };
        json!({ "contract": contract, "input": { "country": country }, "holder": holder(number) })
    })
    .await?;
    // These stay under way for whoever looks.
    for number in 0..40 {
        let contract = format!("{}/migrated-{}", domain(number), world::noun(number));
        let body = json!({ "contract": contract, "timeout_s": 86_400, "holder": holder(number) });
        ask(api, &body, 0).await?;
    }
    release_some(api).await
}

/// Some give back what they have, with what they found.
async fn release_some(api: &Api) -> anyhow::Result<()> {
    let held = api.get("/v1/leases?status=held&limit=400").await?;
    let outcomes = [
        json!({ "outcome": "used" }),
        json!({ "outcome": "unused" }),
        json!({ "outcome": "broken", "note": "the total was wrong" }),
    ];
    for (number, lease) in held["items"].as_array().context("a list without items")?.iter().enumerate() {
        let mut body = outcomes[if number % 10 == 0 { 2 } else { number % 2 }].clone();
        body["fence"] = lease["fence"].clone();
        let path = format!("/v1/leases/{}/release", lease["id"].as_str().context("a lease without an id")?);
        let reply = api.post(&path, &body, None).await?;
        ensure!(reply.status == 200, "a lease was not released: {} {}", reply.status, reply.body);
    }
    Ok(())
}

/// Things that nobody can undo.
async fn leave_debts(api: &Api, domains: &'static [&'static str]) -> anyhow::Result<()> {
    many(api, 60, move |number| {
        let contract = format!("{}/archived-{}", domains[number % domains.len()], world::noun(number));
        json!({ "contract": contract, "lease": { "ttl_s": 1 }, "holder": HOLDERS[number % HOLDERS.len()] })
    })
    .await
}

/// Makes many requests, some at one time, and waits for the end of each.
async fn many(
    api: &Api,
    count: usize,
    body: impl Fn(usize) -> Value + Copy + Send + Sync + 'static,
) -> anyhow::Result<()> {
    sizes::many(api, count, move |api, number| async move { ask(&api, &body(number), 60).await }).await?;
    Ok(())
}

/// Makes a request; whatever comes of it is part of what is seeded.
async fn ask(api: &Api, body: &Value, wait_s: u64) -> anyhow::Result<()> {
    let reply = api.post(&format!("/v1/requests?wait_s={wait_s}"), body, None).await?;
    ensure!(reply.status == 201, "a request was refused: {} {}", reply.status, reply.body);
    Ok(())
}
