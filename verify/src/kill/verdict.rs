//! The verdict: what consumers remember and what the world really holds, against what the server says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use super::consumers::History;
use crate::api::Api;
use crate::effects::Effects;

/// Everything has to come to rest within this time once nobody is killed any more: leases and retries included.
const REST_LIMIT: Duration = Duration::from_secs(90);

/// A run in which little happened proves nothing.
const LEAST_REQUESTS: usize = 30;

/// Waits until everything is at rest, then compares; the report counts what was compared.
pub(crate) async fn reach(
    api: &Api,
    effects: &Effects,
    history: &History,
    log: &str,
) -> anyhow::Result<Value> {
    let mut wrong = history.wrong.clone();
    wrong.extend(rest(api).await?);
    let requests = requests(api, history, &mut wrong).await?;
    let leases = leases(api, history, &mut wrong).await?;
    let left = left_behind(api, effects, &mut wrong).await?;
    wrong.extend(log.lines().filter(|line| line.contains("panicked")).map(|line| format!("log: {line}")));
    ensure!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), first_of(&wrong));
    ensure!(
        history.requests.len() >= LEAST_REQUESTS && !history.leases.is_empty() && history.repeated > 0,
        "too little happened to prove anything: {} requests, {} leases, {} calls repeated",
        history.requests.len(),
        history.leases.len(),
        history.repeated
    );
    Ok(json!({
        "requests_acknowledged": history.requests.len(),
        "requests_by_status": requests,
        "leases_seen": history.leases.len(),
        "releases_acknowledged": history.released.len(),
        "leases_by_status": leases,
        "calls_repeated": history.repeated,
        "effects": left,
    }))
}

/// Waits until no dataset is on its way any more.
async fn rest(api: &Api) -> anyhow::Result<Vec<String>> {
    let limit = Instant::now() + REST_LIMIT;
    loop {
        let mut moving = Vec::new();
        for dataset in api.list("/v1/datasets").await? {
            let status = dataset["status"].as_str().unwrap_or_default().to_owned();
            if !matches!(status.as_str(), "gone" | "failed" | "debt") {
                moving.push(format!("dataset {} is still {status}", dataset["id"]));
            }
        }
        if moving.is_empty() || Instant::now() > limit {
            return Ok(moving);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn requests(
    api: &Api,
    history: &History,
    wrong: &mut Vec<String>,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut by_status = BTreeMap::new();
    let found: BTreeMap<String, Value> = by_id(api.list("/v1/requests").await?);
    for (key, id) in &history.requests {
        let Some(request) = found.get(id) else {
            wrong.push(format!("request {id} of key {key} was acknowledged and is lost"));
            continue;
        };
        let status = request["status"].as_str().unwrap_or_default().to_owned();
        if matches!(status.as_str(), "queued" | "building") {
            wrong.push(format!("request {id} never ended"));
        }
        *by_status.entry(status).or_default() += 1;
    }
    Ok(by_status)
}

async fn leases(
    api: &Api,
    history: &History,
    wrong: &mut Vec<String>,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut by_status = BTreeMap::new();
    let mut holders: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let found = by_id(api.list("/v1/leases").await?);
    for lease in found.values() {
        holders.entry(lease["dataset"]["id"].to_string()).or_default().push(lease);
        *by_status.entry(lease["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    for (dataset, leases) in &mut holders {
        leases.sort_by_key(|lease| lease["fence"].as_u64());
        wrong.extend(leases.windows(2).filter_map(|pair| doubled(dataset, pair[0], pair[1])));
    }
    for (id, (_, fence)) in &history.leases {
        match found.get(id) {
            None => wrong.push(format!("lease {id} was seen and is lost")),
            Some(lease) if lease["fence"].as_u64() != Some(*fence) => {
                wrong.push(format!("lease {id} was seen with fence {fence} and has {} now", lease["fence"]));
            }
            Some(_) => {}
        }
    }
    for id in &history.released {
        if found.get(id).is_none_or(|lease| lease["status"] != "released") {
            wrong.push(format!("the release of lease {id} was acknowledged and is lost"));
        }
    }
    Ok(by_status)
}

/// What is wrong with two leases on one dataset, one after the other: nobody may have used it before the second, and the
/// first must have ended.
fn doubled(dataset: &str, first: &Value, second: &Value) -> Option<String> {
    let text = |lease: &Value, field: &str| lease[field].as_str().unwrap_or_default().to_owned();
    let unused = text(first, "outcome") == "unused" && text(first, "status") == "released";
    let ended = !text(first, "ended_at").is_empty()
        && moment(&text(first, "ended_at")) <= moment(&text(second, "granted_at"));
    let fenced = first["fence"].as_u64() < second["fence"].as_u64();
    (!unused || !ended || !fenced)
        .then(|| format!("dataset {dataset} was leased twice: {first} and then {second}"))
}

/// A time in UTC as it sorts: seconds, then the fraction, which is written as short as it can be.
fn moment(text: &str) -> (String, String) {
    let text = text.trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    (seconds.to_owned(), format!("{fraction:0<9}"))
}

/// Every effect that is still there must be a listed debt: everything was given back or has expired.
async fn left_behind(api: &Api, effects: &Effects, wrong: &mut Vec<String>) -> anyhow::Result<Value> {
    let debts: BTreeSet<String> = api
        .list("/v1/debts")
        .await?
        .iter()
        .filter_map(|debt| debt["dataset_id"].as_str().map(str::to_owned))
        .collect();
    let all = effects.all();
    for (key, effect) in all.iter().filter(|(_, effect)| effect.there) {
        if !debts.contains(key) {
            wrong.push(format!("effect {key} is left behind and nobody knows of it: {effect:?}"));
        }
    }
    Ok(json!({
        "made": all.len(),
        "made_more_than_once_under_one_key": all.values().filter(|effect| effect.made > 1).count(),
        "there_at_the_end": all.values().filter(|effect| effect.there).count(),
        "listed_as_debts": debts.len(),
    }))
}

fn by_id(found: Vec<Value>) -> BTreeMap<String, Value> {
    found.into_iter().map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one)).collect()
}

fn first_of(wrong: &[String]) -> String {
    wrong.iter().take(20).map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
}
