//! What is shown besides the acts, all by the Rust SDK.
//!
//! A scenario within a scenario, a composition in code, a supplier under development beside the deployed one, and data that
//! was there before.

use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Value, json};
use shop::customer::{CustomerStatus, NewCustomer};
use shop::order::OrderStatus;
use sixpack::wire::{EventFilter, SessionFilter};
use sixpack::{Lease, Source};

use super::landscape::{Landscape, until};
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

const CHANNEL: Act = Act {
    number: None,
    name: "channel",
    headline: "a change of billing, tried beside the deployed supplier",
    watch: "Two requests at once. Only one of them names the channel in which billing is being developed.",
    expected: "each account is made by the build that its request names, and nothing is left after the releases",
};

const FOUND: Act = Act {
    number: None,
    name: "found",
    headline: "a customer that was there before, found and left",
    watch: "A customer that nobody has made for a test. Two requests ask for an existing one, and one of them is given it.",
    expected: "one request has the old customer and the other a new one; the old one is still there after both releases",
};

/// Plays all of them.
pub(super) async fn play(landscape: &Landscape, stage: &Stage) -> Vec<Shown> {
    vec![
        stage.play(&NESTED, nested(landscape, stage)).await,
        stage.play(&ORCHESTRATOR, orchestrated(landscape, stage)).await,
        stage.play(&CHANNEL, Box::pin(developed(landscape, stage))).await,
        stage.play(&FOUND, Box::pin(found(landscape, stage))).await,
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

async fn developed(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let mut supplier = landscape.billing_under_development()?.start()?;
    supplier.ready().await?;
    let request = || landscape.client.request("checkout/ready-customer").holder("demo, channel");
    let named = request().channel(landscape.channel());
    let (plain, named) = tokio::try_join!(request().send(), named.send())?;
    let makers = [maker_of_payment(landscape, &plain).await?, maker_of_payment(landscape, &named).await?];
    stage.say(format!("  without a channel     billing {}", makers[0]));
    stage.say(format!("  in {:<18} billing {}", landscape.channel(), makers[1]));
    ensure!(makers[0] == "deployment", "the plain request was served by {}", makers[0]);
    ensure!(makers[1] == "dev", "the request in the channel was served by {}", makers[1]);
    for lease in [plain, named] {
        lease.release().await?;
    }
    landscape.until_nothing_is_left().await?;
    supplier.drain().await?;
    Ok(json!({ "made_by": makers }))
}

async fn found(landscape: &Landscape, stage: &Stage) -> anyhow::Result<Value> {
    let customers = &landscape.shop.customer;
    let new = NewCustomer {
        email: "old@shop.test".to_owned(),
        name: "Olga Old".to_owned(),
        country: "CZ".to_owned(),
    };
    let old = customers.register("the demo itself", &new).await?.customer_id;
    customers.verify(&old).await?;
    customers.activate(&old).await?;
    let request = || {
        let request = landscape.client.request("customer/active-customer").input(json!({ "country": "CZ" }));
        request.source(Source::FindFirst).holder("demo, found")
    };
    let (first, second) = tokio::try_join!(request().send(), request().send())?;
    let mut origins = Vec::new();
    for lease in [&first, &second] {
        let Buyer { customer_id } = lease.output()?;
        let origin = landscape.client.dataset(lease.dataset_id()).await?.origin;
        let origin = origin.map(|origin| origin.to_string()).unwrap_or_default();
        stage.say(format!("  {customer_id} was {origin}"));
        ensure!((customer_id == old) == (origin == "found"), "{customer_id} was {origin}");
        origins.push(origin);
    }
    origins.sort();
    ensure!(origins == ["found", "made"], "the customers were {origins:?}");
    for lease in [first, second] {
        lease.release().await?;
    }
    until("what was made is gone", || async {
        let left = customers.active_in("CZ", "").await?;
        Ok(if left.len() == 1 { Ok(()) } else { Err(format!("{} customers are in CZ", left.len())) })
    })
    .await?;
    ensure!(customers.customer(&old).await?.status == CustomerStatus::Active, "the old customer was touched");
    customers.delete_customer(&old).await?;
    landscape.until_nothing_is_left().await?;
    Ok(json!({ "origins": origins }))
}

/// The mode of the supplier that has made the account of a dataset.
async fn maker_of_payment(landscape: &Landscape, lease: &Lease) -> anyhow::Result<String> {
    let dataset = landscape.client.dataset(lease.dataset_id()).await?;
    let payment = dataset.parts.iter().find(|part| part.path == "payment").map(|part| part.id.clone());
    let filter = EventFilter { dataset: Some(dataset.id), ..EventFilter::default() };
    let mut events = landscape.client.events(&filter, Some(0));
    let session = loop {
        let event = events.next().await?;
        if event.kind == "task.done" && event.dataset_id == payment {
            break event.session_id;
        }
    };
    let filter = SessionFilter { domain: Some("billing".to_owned()), ..SessionFilter::default() };
    let sessions = landscape.client.sessions(&filter).await?.items;
    let maker = sessions.into_iter().find(|found| Some(&found.id) == session.as_ref());
    Ok(maker.map_or_else(|| "nobody that is known".to_owned(), |maker| maker.mode))
}
