//! The fault trial: servers, suppliers and database are struck at random under load, and nothing may be lost, doubled or left behind.
//!
//! ```text
//! consumers ──> servers ──> store          killed, told to stop, standing still, away; every way between
//!                  ^                      them late, cut, half open, without answers, or carrying calls twice
//!               suppliers ──> the world that remembers what was really made
//! ```
//!
//! Every call of a consumer goes into one history. Rules hold the history against itself; at the end it is held against what the
//! servers say, and both against the world. Invariants bear the numbers that the documentation of the trial gives them.

mod audit;
mod cluster;
mod consumers;
mod journal;
mod linear;
mod rules;
mod strikes;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::api::Api;
use crate::disk;
use crate::effects::Effects;
pub(crate) use cluster::Store;
use cluster::{Cluster, DOMAINS};
use consumers::{Consumers, Tally};
use journal::{Act, End, Journal, Operation};
use strikes::{Deck, Strike};
use verdict::Verdict;

/// How many consumers ask at once.
const CONSUMERS: usize = 8;

/// So much time goes by between two strikes, in milliseconds: from hardly started to well under way.
const LIFE_MS: std::ops::Range<u64> = 20..400;

/// Everything has to come to rest within this time once nothing is struck any more: what moves again within ten seconds, and then
/// a lease of three that somebody holds for too long, its expiry within five, and the undo.
const REST_LIMIT: Duration = Duration::from_secs(20);

/// Progress is told once in so many strikes.
const PROGRESS_EVERY: u32 = 20;

/// So many faults are told; more of them say the same.
const TOLD_MAX: usize = 20;

/// What a server logs of a commit in SQLite that is not known to be done.
const NO_ROOM_TO_FINISH: &str = "there was no room to finish a commit with";

const SCENARIO: &str = r#"
scenario: verify/chain
owner: { team: Verify }
description: One effect in each domain.
steps:
  first:  { uses: first/step, with: {} }
  second: { uses: second/step, with: { after: "${{ steps.first.id }}" } }
  beside: { uses: second/step, with: { after: "${{ steps.first.id }}" } }
  third:  { uses: third/step, with: { after: "${{ steps.second.id }}" } }
output:
  first: "${{ steps.first.id }}"
  third: "${{ steps.third.id }}"
"#;

/// The rule that keeps some of it in stock while everything is struck.
const RULE: &str = "/v1/environments/default/stock-rules/chain";

/// Few enough, for what is asked for at once, that some are served from stock, some wait in line, and some are made; and checked
/// so often that most are asked about while somebody takes them.
fn rule() -> serde_json::Value {
    json!({ "contract": "verify/chain", "target": 10, "max_age_s": 20, "check_every_s": 1 })
}

/// What is tried.
pub(crate) struct Trial {
    pub(crate) server: PathBuf,
    pub(crate) store: Store,
    pub(crate) servers: usize,
    pub(crate) strikes: u32,
    pub(crate) seed: u64,
    /// How it has a disk of its own, if it has one.
    pub(crate) disk: Option<String>,
}

/// Runs the trial; an error says what was lost, doubled or left behind, and where the history and the logs are.
pub(crate) async fn run(trial: &Trial) -> anyhow::Result<()> {
    fastrand::seed(trial.seed);
    let folder = tempfile::Builder::new().prefix("sixpack-verify-").tempdir()?;
    let outcome = attempt(trial, folder.path()).await;
    outcome.with_context(|| {
        let kept = folder.keep();
        format!(
            "seed {}; repeat with --seed {}; history and logs are in {}",
            trial.seed,
            trial.seed,
            kept.display()
        )
    })
}

async fn attempt(trial: &Trial, folder: &Path) -> anyhow::Result<()> {
    let effects = Effects::default();
    let world = effects.serve().await?;
    let mut cluster =
        Cluster::start(&trial.server, folder, trial.store, trial.servers, trial.disk.is_some()).await?;
    let outcome = strike(trial, folder, &mut cluster, &effects, &world).await;
    cluster.keep_log_of_database()?;
    if outcome.is_err() {
        cluster.keep_store()?;
    }
    outcome
}

async fn strike(
    trial: &Trial,
    folder: &Path,
    cluster: &mut Cluster,
    effects: &Effects,
    world: &str,
) -> anyhow::Result<()> {
    cluster.start_suppliers(world)?;
    let api = cluster.api().clone();
    wait_for_contracts(&api).await?;
    api.put_scenario("verify/chain", SCENARIO).await?;
    let put = api.put(RULE, &rule()).await?;
    ensure!(put.status == 201, "the rule was refused: {} {}", put.status, put.body);

    let begun = Instant::now();
    let journal = Journal::start();
    let consumers = Consumers::start(&cluster.apis(), CONSUMERS, &journal);
    let mut deck = Deck::default();
    for done in 1..=trial.strikes {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(LIFE_MS))).await;
        let strike = deck.deal(|strike| cluster.has(strike));
        journal.struck(strike.name());
        cluster.strike(strike, &journal).await.with_context(|| format!("strike {done}: {strike:?}"))?;
        if done % PROGRESS_EVERY == 0 {
            eprint(&format!("struck {done} of {} times\n", trial.strikes));
        }
    }
    cluster.heal().await?;
    let healed = Instant::now();
    let tally = cluster.see_through(consumers.stop()).await?;
    let answered_after = healed.elapsed();
    let (history, mut wrong) = journal.close(&folder.join("history.jsonl"))?;
    // What is in stock is nobody's any more, and has to be undone like everything else.
    let stock = api.get(RULE).await?["stock"].clone();
    api.delete(RULE).await?;
    let mut verdict = cluster.see_through(verdict::reach(&api, effects, &history, healed)).await??;
    wrong.append(&mut verdict.wrong);
    wrong.append(&mut cluster.wrong);
    let log = cluster.log()?;
    wrong.extend(log.lines().filter(|line| line.contains("panicked")).map(|line| format!("log: {line}")));
    ensure!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), first_of(&wrong));

    let sometimes = sometimes(cluster, &history, &tally, &verdict, trial.strikes);
    let counted: BTreeMap<&str, u64> = sometimes.iter().map(|(name, count, _)| (*name, *count)).collect();
    let facts = json!({
        "seed": trial.seed,
        "store": format!("{:?}", trial.store).to_lowercase(),
        "servers": trial.servers,
        "strikes": trial.strikes,
        "disk": trial.disk,
        "not_tried": not_tried(trial),
        "seconds": begun.elapsed().as_secs(),
        "pieces_hit_on_their_way": cluster.hits(),
        "suppliers_started_again": cluster.suppliers_replaced,
        "commits_not_confirmed_without_room": log.matches(NO_ROOM_TO_FINISH).count(),
        "slowest_start_ms": cluster.slowest_start.as_millis() as u64,
        "consumers_done_after_ms": answered_after.as_millis() as u64,
        "happened": counted,
        "found": verdict.facts,
    });
    print(&facts.to_string());
    for lacking in not_tried(trial) {
        eprint(&format!("NOT TRIED: {lacking}\n"));
    }
    enough(&sometimes, trial.strikes).with_context(|| format!("the stock at the end: {stock}"))
}

/// What was left out, and why.
fn not_tried(trial: &Trial) -> Vec<String> {
    trial.disk.is_none().then(|| format!("disk_full: {}", disk::LACKING)).into_iter().collect()
}

/// What must have happened, how often it has, and how often it must have: a trial in which it did not proves nothing about it.
fn sometimes(
    cluster: &Cluster,
    history: &[Operation],
    tally: &Tally,
    verdict: &Verdict,
    strikes: u32,
) -> Vec<(&'static str, u64, u64)> {
    // One thing in so many strikes, and one in any case.
    let one_in = |strikes_each: u32| u64::from((strikes / strikes_each).max(1));
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let mut keys: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for asked in history.iter().filter(|call| call.act == Act::Ask && call.end == End::Ok) {
        keys.entry(&asked.subject).or_default().push(asked.server);
    }
    let elsewhere =
        keys.values().filter(|servers| servers.iter().any(|server| *server != servers[0])).count();
    let count = |holds: &dyn Fn(&Operation) -> bool| history.iter().filter(|call| holds(call)).count() as u64;
    let mut sometimes = vec![
        ("call_nobody_answered", count(&|call| call.end == End::Maybe), one_in(5)),
        (
            "request_made_again_under_its_key",
            keys.values().filter(|servers| servers.len() > 1).count() as u64,
            one_in(40),
        ),
        (
            "key_refused_for_another_request",
            count(&|call| call.answer.code == "idempotency_mismatch"),
            one_in(40),
        ),
        ("stale_or_foreign_fence_refused", count(&|call| call.answer.code == "lease_fenced"), one_in(20)),
        ("holder_came_too_late", load(&tally.came_too_late), one_in(40)),
        ("lease_expired", verdict.expired as u64, one_in(20)),
        ("served_from_stock", load(&tally.from_stock), one_in(100)),
        ("effect_made_again_under_its_key", verdict.repeated_effects as u64, one_in(20)),
        ("task_taken_from_a_lost_supplier", verdict.audit.lost as u64, one_in(20)),
    ];
    if cluster.apis().len() > 1 {
        sometimes.push(("key_known_to_another_server", elsewhere as u64, one_in(50)));
    }
    if cluster.has(Strike::DiskFull) {
        sometimes.extend([
            ("write_refused_for_lack_of_room", cluster.refused_without_room, one_in(75)),
            ("disk_full_and_recovered", cluster.found_room.into(), one_in(75)),
        ]);
    }
    if cluster.has(Strike::DatabaseLogFull) {
        sometimes.push(("database_ended_for_lack_of_room", cluster.ended_without_room.into(), one_in(75)));
    }
    for (strike, name) in Strike::all().filter(|(strike, _)| cluster.has(*strike)) {
        sometimes.push((name, cluster.struck.get(&strike).copied().unwrap_or_default().into(), 1));
    }
    sometimes
}

fn enough(sometimes: &[(&str, u64, u64)], strikes: u32) -> anyhow::Result<()> {
    let lacking = sometimes.iter().filter(|(_, count, least)| count < least);
    let lacking: Vec<String> =
        lacking.map(|(name, count, least)| format!("{name} {count} times of {least}")).collect();
    ensure!(
        lacking.is_empty(),
        "nothing was lost, but too little happened in {strikes} strikes to prove anything: {}; run it with more",
        lacking.join(", ")
    );
    Ok(())
}

async fn wait_for_contracts(api: &Api) -> anyhow::Result<()> {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        // The environment itself comes with the first supplier.
        let found = api.list("/v1/environments/default/contracts?kind=capability").await;
        if found.as_ref().is_ok_and(|contracts| contracts.len() >= DOMAINS.len()) {
            return Ok(());
        }
        ensure!(Instant::now() < limit, "the suppliers did not connect: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn first_of(wrong: &[String]) -> String {
    wrong.iter().take(TOLD_MAX).map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
}

/// Progress goes where it does not disturb the report.
fn eprint(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_proves_nothing_says_what_did_not_happen() {
        assert!(enough(&[("lease_expired", 3, 3)], 8).is_ok());
        let told = enough(&[("lease_expired", 2, 3), ("server_killed", 1, 1)], 8).unwrap_err().to_string();
        assert!(told.contains("in 8 strikes to prove anything: lease_expired 2 times of 3;"), "{told}");
    }
}
