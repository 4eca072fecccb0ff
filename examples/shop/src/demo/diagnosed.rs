//! Act 7: a test that fails asks what has become of its data.

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use sixpack::Source;
use sixpack::wire::DiagnosisVerdict;

use super::drifted::ACCOUNT;
use super::landscape::Landscape;
use super::ready::Data;
use super::stage::{Act, Stage};
use super::stocked::CONTRACT;

pub(super) const ACT: Act = Act {
    number: Some(7),
    name: "diagnosis",
    headline: "the data changes under a lease, and the diagnosis says whose part it was",
    watch: "First nothing has changed: look at the test, or at the product. Then the account is closed, and billing is named.",
    expected: "the first diagnosis is `still_valid`, the second `changed` with billing as the first to differ",
};

/// What `sixpack diagnose` ends with when the data has changed.
const CHANGED: i32 = 40;

/// Plays it; the evidence is both verdicts and what differs.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let request = landscape.client.request(CONTRACT).input(json!({ "country": "FR" }));
    let lease = request.source(Source::Fresh).holder("demo, act 7").send().await?;
    let data = Data::deserialize(lease.json()).context("the output cannot be read")?;
    stage.say(format!("{} is leased; a test that uses it fails\n", data.customer_id));

    let code = landscape.sixpack(&["diagnose", lease.id()], stage).await?;
    ensure!(code == Some(0), "`sixpack diagnose` ended with {code:?}");
    let before = lease.diagnose().await?;
    ensure!(before.verdict == DiagnosisVerdict::StillValid, "before anything happened: {}", before.message);

    landscape.shop.billing.close_account(&data.account_id).await?;
    stage.say(format!("\nsomebody closes {} in billing; another test fails\n", data.account_id));
    let code = landscape.sixpack(&["diagnose", lease.id()], stage).await?;
    ensure!(code == Some(CHANGED), "`sixpack diagnose` ended with {code:?}");
    let after = lease.diagnose().await?;
    ensure!(after.verdict == DiagnosisVerdict::Changed, "after the account was closed: {}", after.message);
    let first = after.first.as_ref().context("the diagnosis names no part")?;
    ensure!(first.contract == ACCOUNT, "not billing is named, but {}", first.contract);
    let evidence = json!({
        "lease_id": lease.id(), "before": before.verdict, "after": after.verdict, "message": after.message,
        "first": first, "differences": after.differences,
    });
    lease.release_broken("the account was closed under the lease").await?;
    Ok(evidence)
}
