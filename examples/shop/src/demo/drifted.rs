//! Act 6: what drifted in stock is not handed over.

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use sixpack::wire::{DatasetFilter, DatasetStatus, Outcome, QuarantineFilter, Quarantined, Release};

use super::landscape::{ENVIRONMENT, Landscape, until};
use super::ready::{self, Data};
use super::stage::{Act, Stage};
use super::stocked::{CONTRACT, with_stock};

pub(super) const ACT: Act = Act {
    number: Some(6),
    name: "drift",
    headline: "an account is closed behind everyone's back, and nobody is handed it",
    watch: "What would be handed over first is broken in billing, past Sixpack. The next request asks billing, and gets another.",
    expected: "another dataset is leased that all four services call valid, and the drifted one waits for its owner with billing named",
};

/// Finds our lease among others.
const HOLDER: &str = "demo, act 6";
/// What billing publishes.
pub(super) const ACCOUNT: &str = "billing/payment-account";

/// Plays it; the evidence is what was leased instead, and what the quarantine says.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    with_stock(landscape, stage, Box::pin(broken_and_taken(landscape, stage))).await
}

async fn broken_and_taken(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let (first, data) = handed_over_next(landscape).await?;
    let account = landscape.shop.billing.close_account(&data.account_id).await?;
    stage.say(format!(
        "\nsomebody closes {}, which is part of {first}, in billing: it is {}\n",
        account.account_id, account.status
    ));

    let arguments =
        ["request", CONTRACT, "--set", "country=FR", "--source", "stock_only", "--holder", HOLDER];
    let code = landscape.sixpack(&arguments, stage).await?;
    ensure!(code == Some(0), "`sixpack request` ended with {code:?}");
    let lease = landscape.lease_of(HOLDER).await?;
    ensure!(lease.dataset.id != first, "what drifted was handed over");
    let output = Data::deserialize(&lease.dataset.output).context("the output cannot be read")?;
    let services = ready::what_services_say(landscape, &output).await?;

    landscape.sixpack(&["quarantine"], stage).await?;
    let set_aside = set_aside(landscape, &first).await?;
    let drifted = set_aside.drifted.as_ref().context("the quarantine does not say what drifted")?;
    ensure!(drifted.contract == ACCOUNT, "not billing is named, but {}", drifted.contract);
    let evidence = json!({
        "closed": account.account_id, "in": first, "leased": lease.dataset.id, "services": services,
        "because": set_aside.because, "drifted": drifted.path, "owner": drifted.owner, "message": drifted.message,
    });
    landscape.client.release_lease(&lease.id, &Release::new(lease.fence, Outcome::Used)).await?;
    let resolve = ["quarantine", "resolve", &first, "undo", "--reason", "the account is closed for good"];
    let code = landscape.administer(&resolve, stage).await?;
    ensure!(code == Some(0), "`sixpack quarantine resolve` ended with {code:?}");
    Ok(evidence)
}

/// What has been in stock for longest; of two that were ready in the same millisecond, the one that was planned first.
async fn handed_over_next(landscape: &Landscape) -> anyhow::Result<(String, Data)> {
    let filter = DatasetFilter {
        environment: Some(ENVIRONMENT.to_owned()),
        contract: Some(CONTRACT.to_owned()),
        status: Some(DatasetStatus::Ready),
        ..DatasetFilter::default()
    };
    let ready = landscape.client.datasets(&filter).await?.items;
    let oldest =
        ready.into_iter().min_by(|one, other| (&one.ready_at, &one.id).cmp(&(&other.ready_at, &other.id)));
    let oldest = landscape.client.dataset(&oldest.context("there is nothing in stock")?.id).await?;
    let output = oldest.output.context("what is in stock has no output")?;
    Ok((oldest.id, Data::deserialize(output).context("the output cannot be read")?))
}

/// The row of this dataset.
async fn set_aside(landscape: &Landscape, dataset: &str) -> anyhow::Result<Quarantined> {
    until("what drifted is in quarantine", || async {
        let page = landscape.client.quarantine(&QuarantineFilter::default()).await?;
        Ok(page
            .items
            .into_iter()
            .find(|row| row.dataset_id == dataset)
            .ok_or_else(|| "it is not there".to_owned()))
    })
    .await
}
