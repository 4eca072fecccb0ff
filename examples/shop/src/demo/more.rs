//! What is shown besides the five acts: a scenario within a scenario, and a composition in code, both by the Rust SDK.

use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Value, json};
use shop::customer::CustomerStatus;
use shop::order::OrderStatus;

use super::landscape::Landscape;
use super::stage::{Act, Shown, Stage};

const NESTED: Act = Act {
    number: None,
    name: "nested_scenario",
    headline: "checkout/paid-customer, which goes on from checkout/ready-customer",
    watch: "Requested by the Rust SDK. The order of the inner scenario is taken on by a step of the outer one.",
    expected: "the order is paid when the lease is granted, and nothing is left after its release",
};

const ORCHESTRATOR: Act = Act {
    number: None,
    name: "orchestrator",
    headline: "qa/two-buyers, composed in code",
    watch: "Requested by the Rust SDK. The supplier of QA obtains two ready customers by name, one in FR and one in CZ.",
    expected: "two different customers are active when the lease is granted, and nothing is left after its release",
};

/// Plays both.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> Vec<Shown> {
    vec![
        stage.play(&NESTED, nested(landscape, stage)).await,
        stage.play(&ORCHESTRATOR, orchestrated(landscape, stage)).await,
    ]
}

#[derive(Deserialize)]
struct PaidCustomer {
    customer_id: String,
    order_id: String,
    charge_id: String,
}

async fn nested(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let request = landscape.client.request("checkout/paid-customer").input(json!({ "country": "CZ" }));
    let lease = request.holder("demo, nested scenario").send().await?;
    let output = lease.json().clone();
    let paid: PaidCustomer = lease.output()?;
    let order = landscape.shop.order.order(&paid.order_id).await?;
    ensure!(order.status == OrderStatus::Paid, "the order is {}", order.status);
    ensure!(order.customer_id == paid.customer_id, "the order is of another customer");
    let charge = landscape.shop.billing.find_charge(&paid.charge_id).await?;
    ensure!(charge.order_id == paid.order_id, "the charge is of another order");
    stage.say(format!(
        "  {} is {}: {} {}",
        order.order_id, order.status, charge.amount_cents, charge.currency
    ));
    lease.release().await?;
    landscape.until_nothing_is_left().await?;
    Ok(output)
}

#[derive(Deserialize)]
struct Buyer {
    customer_id: String,
}

#[derive(Deserialize)]
struct TwoBuyers {
    first: Buyer,
    second: Buyer,
}

async fn orchestrated(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let request = landscape.client.request("qa/two-buyers").input(json!({ "second_country": "CZ" }));
    let lease = request.holder("demo, orchestrator").send().await?;
    let output = lease.json().clone();
    let TwoBuyers { first, second } = lease.output()?;
    ensure!(first.customer_id != second.customer_id, "both buyers are the same customer");
    for (buyer, country) in [(first, "FR"), (second, "CZ")] {
        let customer = landscape.shop.customer.customer(&buyer.customer_id).await?;
        ensure!(customer.status == CustomerStatus::Active, "the customer is {}", customer.status);
        ensure!(customer.country == country, "the customer lives in {}, not in {country}", customer.country);
        stage.say(format!("  {} in {} is {}", customer.customer_id, customer.country, customer.status));
    }
    lease.release().await?;
    landscape.until_nothing_is_left().await?;
    Ok(output)
}
