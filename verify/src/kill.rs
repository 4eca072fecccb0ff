//! The kill test: server and suppliers are killed at random under load, and nothing may be lost, doubled or left behind.
//!
//! Consumers keep a history of what was acknowledged to them; the world behind the suppliers keeps what was really made.
//! At the end both are held against what the server says.

mod consumers;
mod verdict;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use crate::effects::Effects;
use crate::processes::{Server, SupplierProcess};
use consumers::Consumers;

/// Domains with a supplier each; the scenario goes through all of them.
const DOMAINS: [&str; 3] = ["first", "second", "third"];

/// How many consumers ask at once.
const CONSUMERS: usize = 8;

/// A process lives so long before it is killed, in milliseconds: from hardly started to well under way.
const LIFE_MS: std::ops::Range<u64> = 20..400;

/// Of ten kills so many hit the server.
const SERVER_OF_TEN: u8 = 6;

/// So many requests have to be served from stock.
const LEAST_SERVED: u64 = 10;

/// Progress is told once in so many kills.
const PROGRESS_EVERY: u32 = 20;

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

/// The rule that keeps some of it in stock while everything is killed.
const RULE: &str = "/v1/environments/default/stock-rules/chain";

/// Fewer than are asked for at once, so that some are served from stock, some wait in line, and some are made; and checked
/// so often that most are asked about while somebody takes them.
fn rule() -> serde_json::Value {
    json!({ "contract": "verify/chain", "target": 6, "max_age_s": 20, "check_every_s": 1 })
}

/// Runs the test; an error says what was lost, doubled or left behind.
pub(crate) async fn run(server: PathBuf, cycles: u32, seed: u64) -> anyhow::Result<()> {
    fastrand::seed(seed);
    let folder = tempfile::tempdir()?;
    let effects = Effects::default();
    let world = effects.serve().await?;
    let mut server = Server::start(&server, folder.path()).await?;
    let api = server.api()?;
    let mut suppliers = Vec::new();
    for domain in DOMAINS {
        suppliers.push(SupplierProcess::start(&api, domain, Some(world.clone()), fastrand::u64(..))?);
    }
    wait_for_contracts(&api).await?;
    api.put_scenario("verify/chain", SCENARIO).await?;
    let put = api.put(RULE, &rule()).await?;
    anyhow::ensure!(put.status == 201, "the rule was refused: {} {}", put.status, put.body);

    let begun = Instant::now();
    let consumers = Consumers::start(&api, CONSUMERS);
    let (mut of_server, mut of_suppliers) = (0u32, 0u32);
    let mut slowest_start = server.ready_after;
    for cycle in 1..=cycles {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(LIFE_MS))).await;
        if fastrand::u8(..10) < SERVER_OF_TEN {
            server.kill_and_restart().await.with_context(|| format!("cycle {cycle}, seed {seed}"))?;
            slowest_start = slowest_start.max(server.ready_after);
            of_server += 1;
        } else {
            let which = fastrand::usize(..suppliers.len());
            suppliers[which].kill_and_restart().await?;
            of_suppliers += 1;
        }
        if cycle % PROGRESS_EVERY == 0 {
            eprint(&format!("killed {cycle} of {cycles}\n"));
        }
    }
    let history = consumers.stop().await;
    let stock = api.get(RULE).await?["stock"].clone();
    // What is in stock is nobody's any more, and has to be undone like everything else.
    api.delete(RULE).await?;
    let report = verdict::reach(&api, &effects, &history, &server.log()?).await;
    let report = report.with_context(|| format!("seed {seed}; repeat with --seed {seed}"))?;
    enough(history.from_stock, cycles, seed).with_context(|| format!("the stock at the end: {stock}"))?;
    let facts = json!({
        "seed": seed,
        "cycles": cycles,
        "kills_of_server": of_server,
        "kills_of_suppliers": of_suppliers,
        "seconds": begun.elapsed().as_secs(),
        "slowest_start_ms": slowest_start.as_millis() as u64,
        "stock": { "served": history.from_stock, "refused": history.out_of_stock },
        "found": report,
    });
    print(&facts.to_string());
    Ok(())
}

/// A run in which stock served hardly anybody proves nothing about it.
fn enough(served: u64, cycles: u32, seed: u64) -> anyhow::Result<()> {
    // Twice as many as would have done at that pace, because chance is part of it.
    let needed = (2 * u64::from(cycles) * LEAST_SERVED).div_ceil(served.max(1));
    anyhow::ensure!(
        served >= LEAST_SERVED,
        "nothing was lost, but too little happened: {served} requests were served from stock in {cycles} cycles, and it takes \
         {LEAST_SERVED} to prove anything; run it with --cycles {needed} (this was --seed {seed})"
    );
    Ok(())
}

async fn wait_for_contracts(api: &crate::api::Api) -> anyhow::Result<()> {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        // The environment itself comes with the first supplier.
        let found = api.list("/v1/environments/default/contracts?kind=capability").await;
        if found.as_ref().is_ok_and(|contracts| contracts.len() >= DOMAINS.len()) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < limit, "the suppliers did not connect: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    fn a_run_that_proves_nothing_says_how_many_cycles_it_takes_and_its_seed() {
        assert!(enough(10, 8, 7).is_ok());
        let told = enough(7, 8, 42).unwrap_err().to_string();
        assert!(told.contains("7 requests were served from stock in 8 cycles"), "{told}");
        assert!(told.contains("--cycles 23 (this was --seed 42)"), "{told}");
        assert!(enough(0, 1, 1).unwrap_err().to_string().contains("--cycles 20 "));
    }
}
