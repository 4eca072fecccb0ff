//! The verdict: what consumers remember and what the world really holds, against what the server says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::audit::{self, Audit};
use super::journal::{Act, End, Operation};
use super::rules::{self, Told};
use super::{REST_LIMIT, linear};
use crate::api::Api;
use crate::effects::Effects;

/// What a dataset can be in that has not come to its end.
const UNDER_WAY: [&str; 8] =
    ["pending", "building", "checking", "ready", "leased", "suspect", "quarantined", "undoing"];

/// Events that come at all come closer together than this.
const QUIET: Duration = Duration::from_secs(1);

/// What was compared, and everything that is wrong.
pub(crate) struct Verdict {
    pub(crate) facts: Value,
    pub(crate) audit: Audit,
    pub(crate) expired: usize,
    pub(crate) repeated_effects: usize,
    pub(crate) wrong: Vec<String>,
}

/// Waits until everything is at rest, then compares.
pub(crate) async fn reach(
    api: &Api,
    effects: &Effects,
    history: &[Operation],
    healed: Instant,
) -> anyhow::Result<Verdict> {
    let mut wrong = rest(api, healed).await?;
    let rested_after = healed.elapsed();
    wrong.extend(rules::broken(history));
    let told = rules::leases(history);
    let (searched, unexplained) = linear::broken(history, &told);
    wrong.extend(unexplained);
    let requests = requests(api, history, &mut wrong).await?;
    let found = by_id(api.list("/v1/leases").await?);
    let leases = leases(&found, history, &told, &mut wrong);
    let world = effects.all();
    wrong.extend(effects.wrong());
    let left = left_behind(api, effects, &mut wrong).await?;
    let mut audit = audit::hold(&api.events(QUIET).await?, &found, &world);
    wrong.append(&mut audit.wrong);
    let count = |act: Act| history.iter().filter(|operation| operation.act == act).count();
    let facts = json!({
        "calls": history.len(),
        "calls_nobody_answered": history.iter().filter(|operation| operation.end == End::Maybe).count(),
        "requests_acknowledged": requests.values().sum::<usize>(),
        "requests_by_status": requests,
        "leases_seen": told.len(),
        "leases_by_status": leases,
        "releases": count(Act::Release),
        "renewals": count(Act::Renew),
        "datasets_put_in_sequence": searched,
        "events": audit.events,
        "results_that_came_too_late": audit.orphaned,
        "effects": left,
        "at_rest_after_ms": rested_after.as_millis() as u64,
    });
    Ok(Verdict {
        facts,
        expired: leases.get("expired").copied().unwrap_or_default(),
        repeated_effects: world.values().filter(|effect| effect.made > 1).count(),
        audit,
        wrong,
    })
}

/// I13: waits until no dataset is on its way any more.
async fn rest(api: &Api, healed: Instant) -> anyhow::Result<Vec<String>> {
    loop {
        let mut moving = Vec::new();
        for status in UNDER_WAY {
            for dataset in api.list(&format!("/v1/datasets?status={status}")).await? {
                moving.push(format!("dataset {} is still {status}", dataset["id"]));
            }
        }
        if moving.is_empty() || healed.elapsed() > REST_LIMIT {
            return Ok(moving);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// I1: what was acknowledged is there, and has ended.
async fn requests(
    api: &Api,
    history: &[Operation],
    wrong: &mut Vec<String>,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut by_status = BTreeMap::new();
    let found = by_id(api.list("/v1/requests").await?);
    let acknowledged: BTreeMap<&str, &str> = history
        .iter()
        .filter(|operation| operation.act == Act::Ask && operation.end == End::Ok)
        .map(|operation| (operation.answer.id.as_str(), operation.subject.as_str()))
        .collect();
    for (id, key) in acknowledged {
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

/// I1, I3 and I6: every lease that was seen is there as it was, and no dataset was in two hands.
fn leases(
    found: &BTreeMap<String, Value>,
    history: &[Operation],
    told: &BTreeMap<&str, Told<'_>>,
    wrong: &mut Vec<String>,
) -> BTreeMap<String, usize> {
    let mut by_status = BTreeMap::new();
    let mut holders: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for lease in found.values() {
        holders.entry(lease["dataset"]["id"].to_string()).or_default().push(lease);
        *by_status.entry(lease["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    for (dataset, leases) in &mut holders {
        leases.sort_by_key(|lease| lease["fence"].as_u64());
        wrong.extend(leases.windows(2).filter_map(|pair| doubled(dataset, pair[0], pair[1])));
    }
    for (id, seen) in told {
        let fence = seen.lease.fence;
        match found.get(*id) {
            None => wrong.push(format!("lease {id} was seen and is lost")),
            Some(lease) if lease["fence"].as_u64() != Some(fence) => {
                wrong.push(format!("lease {id} was seen with fence {fence} and has {} now", lease["fence"]));
            }
            Some(_) => {}
        }
    }
    for release in history.iter().filter(|call| call.act == Act::Release && call.end == End::Ok) {
        let lease = found.get(&release.subject);
        if lease
            .is_none_or(|lease| lease["status"] != "released" || lease["outcome"].as_str() != release.outcome)
        {
            wrong.push(format!(
                "the release of lease {} was acknowledged and is lost: {lease:?}",
                release.subject
            ));
        }
    }
    by_status
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

/// I10: every effect that is still there must be a listed debt: everything was given back or has expired.
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
