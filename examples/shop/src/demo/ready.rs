//! Act 2: the same state requested from Sixpack, and leased.

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use shop::billing::AccountStatus;
use shop::customer::CustomerStatus;
use shop::order::OrderStatus;
use sixpack::wire::{CheckVerdict, Lease};

use super::landscape::Landscape;
use super::stage::{Act, Stage};

pub(super) const ACT: Act = Act {
    number: Some(2),
    name: "ready_customer",
    headline: "checkout/ready-customer, requested",
    watch: "One request; the tree shows which team's supplier is at work, in the sequence that the bindings allow.",
    expected: "the data is leased, its evidence is valid, and all four services say the same when asked directly",
};

/// Finds our lease among others.
const HOLDER: &str = "demo, act 2";

/// The output of `checkout/ready-customer`.
#[derive(Clone, Deserialize)]
pub(super) struct Data {
    pub(super) customer_id: String,
    pub(super) account_id: String,
    pub(super) address_id: String,
    pub(super) slot: String,
    pub(super) order_id: String,
    pub(super) total_cents: i64,
}

/// What the act leaves for the next ones.
pub(super) struct Ready {
    pub(super) lease: Lease,
    pub(super) data: Data,
}

/// Plays it; the evidence is the lease and what the services say.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> anyhow::Result<(Ready, Value)> {
    let arguments = ["request", "checkout/ready-customer", "--set", "country=FR", "--holder", HOLDER];
    let code = landscape.sixpack(&arguments, stage).await?;
    ensure!(code == Some(0), "`sixpack request` ended with {code:?}");

    let lease = landscape.lease_of(HOLDER).await?;
    let data = Data::deserialize(&lease.dataset.output).context("the output cannot be read")?;
    let evidence = lease.dataset.evidence.as_ref().context("the lease has no evidence")?;
    ensure!(
        evidence.verdict == CheckVerdict::Valid && (evidence.checked, evidence.of) == (4, 4),
        "the evidence is not valid for four parts of four: {evidence:?}"
    );
    let services = what_services_say(landscape, &data).await?;
    for (service, says) in services.as_object().into_iter().flatten() {
        stage.say(format!("  {service:<9} says {}", says.as_str().unwrap_or_default()));
    }
    let evidence = json!({ "lease_id": lease.id, "output": lease.dataset.output, "verdict": evidence.verdict,
                           "checked": evidence.checked, "services": services });
    Ok((Ready { lease, data }, evidence))
}

/// Asks each service, past Sixpack.
pub(super) async fn what_services_say(landscape: &Landscape, data: &Data) -> anyhow::Result<Value> {
    let shop = &landscape.shop;
    let customer = shop.customer.customer(&data.customer_id).await?;
    let account = shop.billing.account(&data.account_id).await?;
    let address = shop.delivery.address(&data.address_id).await?;
    let order = shop.order.order(&data.order_id).await?;
    ensure!(customer.status == CustomerStatus::Active, "the customer is {}", customer.status);
    ensure!(customer.country == "FR", "the customer lives in {}, not in FR", customer.country);
    ensure!(account.status == AccountStatus::Open, "the account is {}", account.status);
    ensure!(address.serviceable, "no van goes to the address");
    ensure!(order.status == OrderStatus::Prepared, "the order is {}", order.status);
    ensure!(order.currency == account.currency, "the account cannot pay the order");
    let owners = [&account.customer_id, &address.customer_id, &order.customer_id];
    ensure!(owners.iter().all(|owner| **owner == customer.customer_id), "the parts are of several customers");
    Ok(json!({
        "customer": format!("{} is {}", customer.customer_id, customer.status),
        "billing": format!("{} is {} in {}", account.account_id, account.status, account.currency),
        "delivery": format!("{} lies in zone {}, serviceable", address.address_id, address.zone),
        "order": format!("{} is {}, {} lines", order.order_id, order.status, order.lines.len()),
    }))
}
