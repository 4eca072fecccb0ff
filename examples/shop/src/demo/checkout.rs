//! Act 3: the product itself, run on the leased data.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use shop::client::Refusal;
use shop::delivery::NewShipment;
use shop::order::OrderStatus;

use super::landscape::{Landscape, until};
use super::ready::Ready;
use super::stage::{Act, Stage};

pub(super) const ACT: Act = Act {
    number: Some(3),
    name: "checkout",
    headline: "the real checkout, run on that data",
    watch: "This is the product under test: it places, pays and ships. No service rejects the data.",
    expected: "the order is paid, billing shows the charge of its total, and delivery has scheduled it",
};

/// Plays it; the evidence is what the services say afterwards.
pub(super) async fn play(landscape: &Landscape, stage: &Stage, ready: &Ready) -> anyhow::Result<Value> {
    let shop = &landscape.shop;
    let order_id = &ready.data.order_id;
    let placed = shop.order.place(order_id).await?;
    stage.say(format!("  placed   {order_id} is {}", placed.status));

    // The checkout is written for services that hear of each other late: it asks again, for as long as that is the reason.
    let late = ["order_unknown", "order_not_placed"];
    let paid = until("billing has heard of the order", || async {
        unless_late(shop.order.pay(order_id).await, &late)
    })
    .await?;
    stage.say(format!("  paid     {order_id} is {}", paid.status));

    let new = NewShipment {
        order_id: order_id.clone(),
        address_id: ready.data.address_id.clone(),
        slot: ready.data.slot.clone(),
    };
    let key = format!("checkout of {order_id}");
    let shipment = until("delivery has heard of the payment", || async {
        unless_late(shop.delivery.ship(&key, &new).await, &["order_not_paid"])
    })
    .await?;
    stage.say(format!("  shipped  {} is {} in the {}", shipment.shipment_id, shipment.status, shipment.slot));

    let order = shop.order.order(order_id).await?;
    ensure!(order.status == OrderStatus::Paid, "the order is {}", order.status);
    let charge = shop.billing.charge_by_key(&format!("pay-{order_id}")).await?;
    let charge = charge.context("billing shows no charge")?;
    ensure!(charge.amount_cents == ready.data.total_cents, "{} cents were charged", charge.amount_cents);
    ensure!(charge.account_id == ready.data.account_id, "another account was charged");
    let shipment = shop.delivery.shipment(&shipment.shipment_id).await?;
    Ok(json!({ "order": order, "charge": charge, "shipment": shipment }))
}

/// `Ok(Err(…))` when the service has not heard the news yet.
fn unless_late<T>(answer: Result<T, Refusal>, late: &[&str]) -> anyhow::Result<Result<T, String>> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(refusal) if late.contains(&refusal.code.as_str()) => Ok(Err(refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}
