//! Act 8: the data is given back, and nothing is left of it.

use anyhow::ensure;
use serde_json::{Value, json};
use sixpack::wire::LeaseStatus;

use super::landscape::Landscape;
use super::ready::Ready;
use super::stage::{Act, Stage};

pub(super) const ACT: Act = Act {
    number: Some(8),
    name: "release",
    headline: "the data is given back",
    watch: "The suppliers undo it, newest first; then the services hear of it from each other.",
    expected: "nothing is left in the four databases, neither of the data nor of the checkout, the failure, the stock or what drifted",
};

/// Plays it; the evidence is what the services count.
pub(super) async fn play(landscape: &Landscape, stage: &Stage, ready: &Ready) -> anyhow::Result<Value> {
    let code = landscape.sixpack(&["lease", "release", &ready.lease.id], stage).await?;
    ensure!(code == Some(0), "`sixpack lease release` ended with {code:?}");
    let counts = landscape.until_nothing_is_left().await?;
    for (service, counts) in &counts {
        let rows = counts.own.iter().chain(&counts.copies);
        let rows = rows.map(|(table, rows)| format!("{rows} {table}")).collect::<Vec<_>>().join(", ");
        stage.say(format!("  {:<9} {rows}", service.as_str()));
    }
    let lease = landscape.client.lease(&ready.lease.id).await?;
    ensure!(lease.status == LeaseStatus::Released, "the lease is {}", lease.status);
    let counts: Value =
        counts.into_iter().map(|(service, counts)| (service.as_str().to_owned(), json!(counts))).collect();
    Ok(json!({ "lease_id": lease.id, "lease": lease.status, "counts": counts }))
}
