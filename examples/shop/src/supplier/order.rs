//! What the order team publishes: an order that only needs to be placed, and one that is paid.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::{About, Capability, Check, Context, Operation, Produce, Undo, Verdict};

use super::progress::{Pause, checked, produced, stopped};
use crate::client::{BillingClient, OrderClient, Refusal};
use crate::order::{NewLine, NewOrder, Order, OrderStatus};

/// What is ordered, line by line and then over again.
const SKUS: [&str; 4] = ["mug", "shirt", "poster", "backpack"];

/// Order hears of a customer, and that it is active, a moment after customer has made it.
const UNTIL_CUSTOMER: &[&str] = &["customer_unknown", "customer_not_active"];

/// Billing hears that an order is placed a moment after order has done it.
const UNTIL_PLACED: &[&str] = &["order_unknown", "order_not_placed"];

/// `order/prepared-order`.
pub(super) struct PreparedOrder(pub(super) OrderClient);

/// `order/paid-order`.
pub(super) struct PaidOrder {
    pub(super) service: OrderClient,
    /// Order does not keep the number of the charge; billing does.
    pub(super) receipts: BillingClient,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct PreparedInput {
    /// Who orders; order may hear of the customer a moment later.
    #[schemars(extend("x-entity" = "customer"))]
    pub(super) customer_id: String,
    /// How many lines the order has.
    #[serde(default = "two_lines")]
    #[schemars(range(min = 1, max = 50))]
    pub(super) lines: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct PreparedOutput {
    #[schemars(extend("x-entity" = "order"))]
    order_id: String,
    total_cents: i64,
    currency: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct PaidInput {
    /// An order that is prepared, or already placed.
    order_id: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct PaidOutput {
    #[schemars(extend("x-entity" = "order"))]
    order_id: String,
    /// The receipt at billing.
    pub(super) charge_id: String,
    total_cents: i64,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Facts {
    #[schemars(extend("x-volatile" = true))]
    order_id: String,
    #[schemars(extend("x-volatile" = true))]
    customer_id: String,
    /// DRAFT, PREPARED, PLACED, PAID or CANCELLED.
    status: String,
    currency: String,
    lines: u64,
    total_cents: i64,
}

impl Capability for PreparedOrder {
    const NAME: &'static str = "prepared-order";
    const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Check, Operation::Undo];
    type Input = PreparedInput;
    type Output = PreparedOutput;
    type Facts = Facts;

    fn about(&self) -> About {
        About::new("An order with lines and prices that only needs to be placed.").label("pii", "none")
    }

    async fn produce(&self, cx: &Context, input: PreparedInput) -> Produce<PreparedOutput> {
        let made = self.prepare(cx.idempotency_key(), input).await.map(|order| PreparedOutput {
            total_cents: total_cents(&order),
            order_id: order.order_id,
            currency: order.currency,
        });
        produced(cx, made, UNTIL_CUSTOMER)
    }

    async fn check(&self, _: &Context, input: PreparedInput, output: PreparedOutput) -> Check<Facts> {
        checked(self.0.order(&output.order_id).await, |order| {
            let holds = order.status == OrderStatus::Prepared && order.customer_id == input.customer_id;
            Verdict::when(holds, facts(order))
        })
    }

    async fn undo(&self, cx: &Context, _: PreparedInput, output: Option<PreparedOutput>) -> Undo {
        self.delete(cx.idempotency_key(), output.map(|output| output.order_id)).await.map_err(stopped)
    }
}

impl PreparedOrder {
    /// Goes on from wherever an earlier attempt has left the order of this key.
    pub(super) async fn prepare(&self, key: &str, input: PreparedInput) -> Result<Order, Pause> {
        let order = self.0.open(key, &NewOrder { customer_id: input.customer_id }).await?;
        if order.status != OrderStatus::Draft {
            return Ok(order);
        }
        for (sku, line) in SKUS.iter().cycle().zip(1..=input.lines) {
            let new = NewLine { sku: (*sku).to_owned(), quantity: 1 };
            self.0.add_line(&order.order_id, &format!("line {line}"), &new).await?;
        }
        Ok(self.0.prepare(&order.order_id).await?)
    }

    pub(super) async fn delete(&self, key: &str, id: Option<String>) -> Result<(), Refusal> {
        let id = match id {
            Some(id) => Some(id),
            None => self.0.order_by_key(key).await?.map(|order| order.order_id),
        };
        match id {
            Some(id) => self.0.delete_order(&id).await,
            None => Ok(()),
        }
    }
}

impl Capability for PaidOrder {
    const NAME: &'static str = "paid-order";
    const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Check, Operation::Undo];
    type Input = PaidInput;
    type Output = PaidOutput;
    type Facts = Facts;

    fn about(&self) -> About {
        About::new("Takes a prepared order on: placed, and paid from the customer's account.")
            .label("pii", "none")
    }

    async fn produce(&self, cx: &Context, input: PaidInput) -> Produce<PaidOutput> {
        produced(cx, self.pay(&input.order_id).await, UNTIL_PLACED)
    }

    async fn check(&self, _: &Context, _: PaidInput, output: PaidOutput) -> Check<Facts> {
        checked(self.service.order(&output.order_id).await, |order| {
            Verdict::when(order.status == OrderStatus::Paid, facts(order))
        })
    }

    /// Nothing leads back from paid to prepared, so the order goes, and charge and shipment with it. Whoever made the
    /// order before finds nothing to undo any more.
    async fn undo(&self, _: &Context, input: PaidInput, _: Option<PaidOutput>) -> Undo {
        self.service.delete_order(&input.order_id).await.map_err(stopped)
    }
}

impl PaidOrder {
    /// Goes on from wherever an earlier attempt has left the order.
    pub(super) async fn pay(&self, id: &str) -> Result<PaidOutput, Pause> {
        let mut order = self.service.order(id).await?;
        if matches!(order.status, OrderStatus::Draft | OrderStatus::Prepared) {
            // A draft is refused in the words of the service.
            order = self.service.place(id).await?;
        }
        if order.status != OrderStatus::Paid {
            order = self.service.pay(id).await?;
        }
        // The key under which order has billing charge.
        let Some(charge) = self.receipts.charge_by_key(&format!("pay-{id}")).await? else {
            return Err(Pause::Unfinished(format!("billing shows no charge of order {id} yet")));
        };
        Ok(PaidOutput {
            total_cents: total_cents(&order),
            order_id: order.order_id,
            charge_id: charge.charge_id,
        })
    }
}

fn facts(order: Order) -> Facts {
    Facts {
        total_cents: total_cents(&order),
        order_id: order.order_id,
        customer_id: order.customer_id,
        status: order.status.to_string(),
        currency: order.currency,
        lines: order.lines.len() as u64,
    }
}

/// Nothing as long as the order is a draft.
fn total_cents(order: &Order) -> i64 {
    order.total_cents.unwrap_or(0)
}

fn two_lines() -> u32 {
    2
}
