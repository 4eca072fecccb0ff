//! Act 5: requests that stock answers while a service is down.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use shop::fault::{Fault, FaultMode};
use shop::service::ServiceName;
use sixpack::wire::{Outcome, Release};
use sixpack::{Lease, Source, wire};

use super::landscape::{ENVIRONMENT, Landscape, until};
use super::ready::{self, Data};
use super::stage::{Act, Stage};

pub(super) const ACT: Act = Act {
    number: Some(5),
    name: "stock",
    headline: "a stocked request is answered in milliseconds while billing is down",
    watch: "A rule keeps two ready customers. Then billing answers nobody; the same request as before needs nothing of it.",
    expected: "two are leased with billing down, and once it is up again all four services say that they are valid",
};

/// The rule of the file that the act applies.
const RULE: &str = "ready-customer-fr";
/// Finds our lease among others.
const HOLDER: &str = "demo, act 5";

/// What the rule keeps.
pub(super) const CONTRACT: &str = "checkout/ready-customer";

/// Plays it; the evidence is what was leased, and how long that took.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    with_stock(landscape, stage, Box::pin(asked_while_down(landscape, stage))).await
}

/// Does `act` with the rule applied and its stock full, and takes the rule and everything that was made for it away whatever
/// happened.
pub(super) async fn with_stock(
    landscape: &Landscape,
    stage: &Stage,
    act: impl Future<Output = anyhow::Result<Value>>,
) -> anyhow::Result<Value> {
    let before = landscape.rows_made().await?;
    let outcome = async {
        fill(landscape, stage).await?;
        act.await
    }
    .await;
    let code = landscape.administer(&["stock", "delete", RULE], stage).await?;
    let evidence = outcome?;
    ensure!(code == Some(0), "`sixpack stock delete` ended with {code:?}");
    until("what was in stock is undone", || async {
        let now = landscape.rows_made().await?;
        Ok(if now == before { Ok(()) } else { Err(format!("{now:?} and not {before:?}")) })
    })
    .await?;
    Ok(evidence)
}

/// Applies the rule and waits until it has what it keeps.
async fn fill(landscape: &Landscape, stage: &Stage) -> anyhow::Result<()> {
    let code = landscape.administer(&["apply", "-f", landscape.stock_file()?], stage).await?;
    ensure!(code == Some(0), "`sixpack apply` ended with {code:?}");
    until("the rule has its stock", || async {
        let rule = landscape.client.get_stock_rule(ENVIRONMENT, RULE).await?;
        let is_full = rule.stock.ready >= u64::from(rule.target);
        Ok(if is_full { Ok(()) } else { Err(format!("{:?}", rule.stock)) })
    })
    .await?;
    landscape.sixpack(&["stock"], stage).await?;
    Ok(())
}

async fn asked_while_down(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let billing = landscape.shop.admin(ServiceName::Billing);
    billing.set_fault(&Fault::new(FaultMode::Down)).await?;
    stage.say("\nbilling is down\n");
    let taken = taken(landscape, stage).await;
    billing.set_fault(&Fault::new(FaultMode::None)).await?;
    let Taken { by_person, by_program, took } = taken?;
    stage.say("\nbilling is up again\n");

    let mut services = Vec::new();
    for data in [data(&by_person.dataset.output)?, data(by_program.json())?] {
        services.push(ready::what_services_say(landscape, &data).await?);
    }
    let evidence = json!({
        "billing": "down", "took_ms": took.as_secs_f64() * 1000.0,
        "outputs": [by_person.dataset.output, by_program.json()], "services": services
    });
    landscape.client.release_lease(&by_person.id, &Release::new(by_person.fence, Outcome::Used)).await?;
    by_program.release().await?;
    Ok(evidence)
}

/// What was leased while billing was down.
struct Taken {
    by_person: wire::Lease,
    by_program: Lease,
    /// From the call of the program to its lease.
    took: Duration,
}

/// Requests what is in stock as a person and as a program, with billing down before and after.
async fn taken(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Taken> {
    let billing = landscape.shop.admin(ServiceName::Billing);
    ensure!(billing.health().await.is_err(), "billing answers, although it should be down");
    let arguments =
        ["request", CONTRACT, "--set", "country=FR", "--source", "stock_only", "--holder", HOLDER];
    let code = landscape.sixpack(&arguments, stage).await?;
    ensure!(code == Some(0), "`sixpack request` ended with {code:?}");
    let by_person = landscape.lease_of(HOLDER).await?;

    let request = landscape.client.request(CONTRACT).input(json!({ "country": "FR" }));
    let request = request.source(Source::StockOnly).holder("demo, act 5 by the Rust SDK");
    let began = Instant::now();
    let by_program = request.send().await?;
    let took = began.elapsed();
    let data = data(by_program.json())?;
    stage.say(format!(
        "\n  another one by the Rust SDK, leased {:.1} ms after the call: {} with {}",
        took.as_secs_f64() * 1000.0,
        data.customer_id,
        data.order_id
    ));
    let account = landscape.shop.billing.account(&data.account_id).await;
    ensure!(account.is_err(), "billing answers, although it should still be down");
    Ok(Taken { by_person, by_program, took })
}

fn data(output: &Value) -> anyhow::Result<Data> {
    Data::deserialize(output).context("the output cannot be read")
}
