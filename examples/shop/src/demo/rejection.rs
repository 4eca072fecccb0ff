//! Act 4: one team's service rejects, and the failure says so.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shop::fault::{Fault, FaultMode};
use shop::service::ServiceName;
use sixpack::wire::{Failure, FailureClass, RequestFilter, RequestStatus};

use super::landscape::{Landscape, until};
use super::stage::{Act, Stage};

pub(super) const ACT: Act = Act {
    number: Some(4),
    name: "rejection",
    headline: "billing rejects on purpose",
    watch: "The same request again. Look for who is to blame, in which words, whom to ask, and what was undone.",
    expected: "the failure names billing/payment-account, its owner and the reason, and what had been made is gone",
};

/// Finds our request among others.
const HOLDER: &str = "demo, act 4";
const CODE: &str = "credit_check_failed";
const MESSAGE: &str = "the credit check says no";
/// What the command line ends with when a domain said no.
const EXIT_REJECTED: i32 = 20;

/// Plays it, and mends billing whatever happened; the evidence is the failure.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let billing = landscape.shop.admin(ServiceName::Billing);
    let fault = Fault {
        code: Some(CODE.to_owned()),
        message: Some(MESSAGE.to_owned()),
        only: Some("accounts".to_owned()),
        ..Fault::new(FaultMode::Reject)
    };
    billing.set_fault(&fault).await?;
    let outcome = request_and_fail(landscape, stage).await;
    billing.set_fault(&Fault::new(FaultMode::None)).await?;
    outcome
}

async fn request_and_fail(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let before = landscape.rows_made().await?;
    let arguments = ["request", "checkout/ready-customer", "--set", "country=FR", "--holder", HOLDER];
    let code = landscape.sixpack(&arguments, stage).await?;
    ensure!(code == Some(EXIT_REJECTED), "`sixpack request` ended with {code:?} instead of {EXIT_REJECTED}");

    let failure = failure_after_undo(landscape).await?;
    ensure!(failure.path.starts_with("payment › billing/payment-account@"), "the path is {}", failure.path);
    ensure!(failure.class == FailureClass::Rejected, "the class is {}", failure.class);
    ensure!(failure.owner.team == "Billing", "the owner is {}", failure.owner.team);
    ensure!(failure.code.as_deref() == Some(CODE), "the code is {:?}", failure.code);
    ensure!(failure.message == MESSAGE, "the message is {}", failure.message);
    ensure!(failure.undo.debts.is_empty(), "debts are left: {:?}", failure.undo.debts);
    let undone = &failure.undo.done;
    ensure!(undone.iter().any(|path| path.starts_with("customer › ")), "undone was only {undone:?}");
    until("the services hold what they held before", || async {
        let now = landscape.rows_made().await?;
        Ok(if now == before { Ok(()) } else { Err(format!("{now:?} and not {before:?}")) })
    })
    .await?;
    stage.say(format!("\n  undone   {}", undone.join(", ")));
    Ok(serde_json::to_value(&failure)?)
}

/// The failure of our request once everything is undone: its first answer is a snapshot of the undoing.
async fn failure_after_undo(landscape: &Landscape) -> anyhow::Result<Failure> {
    let filter = RequestFilter { status: Some(RequestStatus::Failed), ..RequestFilter::default() };
    let failed = landscape.client.requests(&filter).await?.items;
    let ours = failed.into_iter().find(|request| request.holder == HOLDER);
    let id = ours.context("there is no failed request of this holder")?.id;
    until("everything is undone", || async {
        let failure = landscape.client.get_request(&id, 0, None).await?.failure;
        let failure = failure.context("the failed request has no failure")?;
        let pending = &failure.undo.pending;
        Ok(if pending.is_empty() { Ok(failure) } else { Err(format!("still to be undone: {pending:?}")) })
    })
    .await
}
