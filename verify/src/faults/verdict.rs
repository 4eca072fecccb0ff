//! The verdict: what consumers remember and what the world really holds, against what the servers say.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::audit::{self, Audit};
use super::journal::{Act, End, Level, Operation};
use super::linear::{self, Searched};
use super::made::{self, Compared, Killed};
use super::{holding, kept, logs, places, rules, stuck};
use crate::api::Api;
use crate::effects::Effects;
use crate::guard::Entry;

/// Events that come at all come closer together than this.
const QUIET: Duration = Duration::from_secs(1);

/// What the rule counts and what is listed may differ while something comes into stock; they agree within this time, in which nothing
/// is made any more.
const AGREE_LIMIT: Duration = Duration::from_secs(5);

/// Nothing is waited for any longer than this once nothing is struck: beyond the bound, what is late can still be told by name.
const WAIT_US: u64 = stuck::REST_LIMIT_US + 5_000_000;

/// What consumers, and whoever strikes, remember.
pub(crate) struct Remembered {
    pub(crate) history: Vec<Operation>,
    /// The log of the system under test.
    pub(crate) guard: Vec<Entry>,
    /// When the last strike was over, in microseconds since 1970.
    pub(crate) healed_us: u64,
    /// Suppliers that were killed.
    pub(crate) killed: Vec<Killed>,
}

/// Everything that the servers say at the end.
pub(crate) struct Found {
    requests: Vec<Value>,
    leases: BTreeMap<String, Value>,
    /// With all of their parts.
    datasets: Vec<Value>,
    debts: Vec<Value>,
    events: Vec<Value>,
    /// What the token of all consumers and their environment may have, and what of it is counted as taken.
    limits: Value,
}

/// What was compared, and everything that is wrong.
pub(crate) struct Verdict {
    pub(crate) facts: Value,
    pub(crate) audit: Audit,
    pub(crate) searched: Searched,
    pub(crate) compared: Compared,
    pub(crate) expired: usize,
    pub(crate) leased_again: usize,
    pub(crate) levels: usize,
    pub(crate) repeated_effects: usize,
    pub(crate) wrong: Vec<String>,
}

/// Holds the counts of a stock rule that makes nothing any more against the list of what is in stock.
pub(crate) async fn settled(api: &Api, rule: &str) -> anyhow::Result<Option<String>> {
    let paused = api.patch(rule, &json!({ "state": "paused" })).await?;
    ensure!(paused.status == 200, "the rule was not paused: {} {}", paused.status, paused.body);
    let begun = Instant::now();
    loop {
        let level = Level::of(&api.get(rule).await?).context("a rule without its stock")?;
        let in_stock = api.list("/v1/datasets?status=ready").await?;
        let disagrees = places::stock_disagrees(level, &in_stock);
        if disagrees.is_none() || begun.elapsed() > AGREE_LIMIT {
            return Ok(disagrees);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until everything is at rest, and reads everything that there is; writes it into a file too.
pub(crate) async fn find(api: &Api, healed_us: u64, file: &Path) -> anyhow::Result<Found> {
    while super::moments::now_us() < healed_us + WAIT_US {
        if !api.list("/v1/datasets").await?.iter().any(stuck::is_under_way) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut datasets = Vec::new();
    for dataset in api.list("/v1/datasets").await? {
        let id = dataset["id"].as_str().context("a dataset without an id")?;
        datasets.push(api.get(&format!("/v1/datasets/{id}")).await?);
    }
    let found = Found {
        requests: api.list("/v1/requests").await?,
        leases: by_id(api.list("/v1/leases").await?),
        datasets,
        debts: api.list("/v1/debts").await?,
        events: api.events(QUIET).await?,
        limits: api.get("/v1/environments/default/limits").await?,
    };
    let written = json!({
        "requests": found.requests, "leases": found.leases, "datasets": found.datasets, "debts": found.debts, "events": found.events,
        "limits": found.limits,
    });
    std::fs::write(file, written.to_string())?;
    Ok(found)
}

/// Compares everything with everything.
pub(crate) fn reach(remembered: &Remembered, found: &Found, effects: &Effects) -> Verdict {
    let Remembered { history, guard, healed_us, killed } = remembered;
    let world = effects.all();
    let mut wrong = effects.wrong();
    wrong.extend(rules::broken(history));
    wrong.extend(holding::broken(history));
    wrong.extend(holding::went_back(guard));
    wrong.extend(logs::undocumented(history));
    let levels = places::beyond_target(history, &mut wrong);
    let told = rules::leases(history);
    let mut searched = linear::search_all(history, &told);
    wrong.append(&mut searched.wrong);

    wrong.extend(stuck::requests(&found.requests, *healed_us));
    wrong.extend(stuck::leases(found.leases.values(), *healed_us));
    wrong.extend(stuck::datasets(&found.datasets, *healed_us));
    let requests = kept::requests(&by_id(found.requests.clone()), history, &mut wrong);
    let leases = kept::leases(&found.leases, history, &told, &mut wrong);
    let leased_again = kept::used_once(&found.leases, &mut wrong);
    let mut audit = audit::hold(&found.events, &found.leases);
    wrong.append(&mut audit.wrong);
    wrong.extend(places::in_one_place(&found.datasets, found.leases.values(), &found.debts, &found.events));
    wrong.extend(places::ledger(&found.datasets, &found.events));
    wrong.extend(places::counted_as_taken(&found.limits, found.leases.values()));

    let recorded = made::recorded(&found.events, &mut wrong);
    made::made_once(&recorded, &world, &mut wrong);
    let compared = made::as_recorded(&found.datasets, &recorded, &world, &mut wrong);
    let of_the_dead = made::left_behind(&world, &found.debts, &found.events, killed, &mut wrong);

    let count = |act: Act| history.iter().filter(|operation| operation.act == act).count();
    let repeated_effects = world.values().filter(|effect| effect.made > 1).count();
    let facts = json!({
        "calls": history.len(),
        "calls_nobody_answered": history.iter().filter(|operation| operation.end == End::Maybe).count(),
        "requests_acknowledged": requests.values().sum::<usize>(),
        "requests_by_status": requests,
        "leases_seen": told.len(),
        "leases_by_status": leases,
        "releases": count(Act::Release),
        "renewals": count(Act::Renew),
        "uses": guard.len(),
        "looks_at_leases": count(Act::LookAtLease),
        "levels_of_stock": levels,
        "datasets": found.datasets.len(),
        "datasets_leased_again": leased_again,
        "datasets_put_in_sequence": searched.datasets,
        "datasets_leased_again_put_in_sequence": searched.leased_again,
        "datasets_not_put_in_sequence": searched.left_out,
        "results_compared": compared.results,
        "parts_held_against_what_they_rely_on": compared.relying,
        "events": found.events.len(),
        "results_too_late": audit.late,
        "results_of_what_was_cancelled": audit.cancelled,
        "effects": {
            "made": world.len(),
            "made_more_than_once_under_one_key": repeated_effects,
            "there_at_the_end": world.values().filter(|effect| effect.there).count(),
            "listed_as_debts": found.debts.len(),
            "of_attempts_given_up_whose_supplier_was_killed": of_the_dead,
        },
        "last_request_ended_after_ms": stuck::last_ended_ms(&found.requests, *healed_us),
        "last_lease_ended_after_ms": stuck::last_ended_ms(found.leases.values(), *healed_us),
        "at_rest_after_ms": stuck::last_ended_ms(&found.datasets, *healed_us),
    });
    let expired = leases.get("expired").copied().unwrap_or_default();
    Verdict { facts, audit, searched, compared, expired, leased_again, levels, repeated_effects, wrong }
}

fn by_id(found: Vec<Value>) -> BTreeMap<String, Value> {
    found.into_iter().map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one)).collect()
}
