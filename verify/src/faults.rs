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
mod holding;
mod journal;
mod kept;
mod linear;
mod logs;
mod made;
pub(crate) mod moments;
mod places;
mod rules;
mod sometimes;
mod strikes;
mod stuck;
mod verdict;
mod watching;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::api::Api;
use crate::disk;
use crate::effects::Effects;
use crate::progress::progress;
pub(crate) use cluster::Store;
use cluster::{Cluster, DOMAINS};
use consumers::Consumers;
use journal::Journal;
use strikes::Deck;
use verdict::Remembered;
use watching::Watcher;

/// How many consumers ask at once, half of them testers, half pipelines.
const CONSUMERS: usize = 16;

/// So much time goes by between two strikes, in milliseconds: from hardly started to well under way.
const LIFE_MS: std::ops::Range<u64> = 20..400;

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
    let watcher = Watcher::start(cluster.apis(), cluster.counting(), RULE, &journal);
    let mut deck = Deck::default();
    for done in 1..=trial.strikes {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(LIFE_MS))).await;
        let strike = deck.deal(|strike| cluster.has(strike));
        journal.struck(strike.name());
        cluster.strike(strike, &journal).await.with_context(|| format!("strike {done}: {strike:?}"))?;
        if done % PROGRESS_EVERY == 0 {
            progress(&format!("struck {done} of {} times", trial.strikes));
        }
    }
    cluster.heal().await?;
    // From here on every bound counts.
    let (healed, healed_us) = (Instant::now(), moments::now_us());
    consumers.heal();
    journal.struck("healed");
    cluster.wait_until_ready().await?;
    let (tally, guard) = cluster.see_through(consumers.finish()).await?;
    let answered_after = healed.elapsed();
    let retries = watcher.stop().await?;
    let (history, mut wrong) = journal.close(&folder.join("history.jsonl"))?;
    let stock = api.get(RULE).await?["stock"].clone();
    wrong.extend(cluster.see_through(verdict::settled(&api, RULE)).await??);
    // What is in stock is nobody's any more, and has to be undone like everything else.
    api.delete(RULE).await?;
    let file = folder.join("found.json");
    let found = cluster.see_through(verdict::find(&api, healed_us, &file)).await??;
    let killed = std::mem::take(&mut cluster.killed);
    let remembered = Remembered { history, guard, healed_us, killed };
    let mut verdict = verdict::reach(&remembered, &found, effects);
    wrong.append(&mut verdict.wrong);
    wrong.append(&mut cluster.wrong);
    wrong.extend(cluster.alarms()?);
    let counted = sometimes::counted(cluster, &remembered.history, &tally, &verdict, retries, trial.strikes);
    let happened: BTreeMap<&str, u64> = counted.iter().map(|(name, count, _)| (*name, *count)).collect();
    let facts = json!({
        "seed": trial.seed,
        "store": format!("{:?}", trial.store).to_lowercase(),
        "servers": trial.servers,
        "strikes": trial.strikes,
        "kills": cluster.kills(),
        "disk": trial.disk,
        "not_tried": not_tried(trial),
        "seconds": begun.elapsed().as_secs(),
        "pieces_hit_on_their_way": cluster.hits(),
        "suppliers_started_again": cluster.suppliers_replaced,
        "commits_not_confirmed_without_room": cluster.log()?.matches(NO_ROOM_TO_FINISH).count(),
        "slowest_start_ms": cluster.slowest_start.as_millis() as u64,
        "consumers_done_after_ms": answered_after.as_millis() as u64,
        "happened": happened,
        "found": verdict.facts,
    });
    // What happened helps whoever looks for the reason as well.
    std::fs::write(folder.join("report.json"), facts.to_string())?;
    ensure!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), first_of(&wrong));
    print(&facts.to_string());
    for lacking in not_tried(trial) {
        progress(&format!("NOT TRIED: {lacking}"));
    }
    sometimes::enough(&counted, trial.strikes).with_context(|| format!("the stock at the end: {stock}"))
}

/// What was left out, and why.
fn not_tried(trial: &Trial) -> Vec<String> {
    trial.disk.is_none().then(|| format!("disk_full: {}", disk::LACKING)).into_iter().collect()
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

fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}
