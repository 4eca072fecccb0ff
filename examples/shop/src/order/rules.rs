//! The rules of order: who may buy, what things cost, and which step follows which.

use rusqlite::{Transaction, params};

use super::copies::{self, KnownCustomer};
use super::{NewLine, NewOrder, Order, OrderStatus};
use crate::customer::CustomerStatus;
use crate::entity;
use crate::events::emit;
use crate::http::{Denial, Made};

/// What the shop sells, with prices in euro cents.
const ARTICLES: [(&str, i64); 4] = [("mug", 1_200), ("shirt", 2_500), ("poster", 900), ("backpack", 6_900)];
/// A round number in place of the rate of the day.
const CZK_PER_EUR: i64 = 25;
/// Who wants more talks to sales.
const MAX_QUANTITY: i64 = 99;
/// No parcel holds more.
const MAX_LINES: usize = 50;

/// What is still to be paid for an order.
pub(super) enum Due {
    Open { customer_id: String, amount_cents: i64 },
    Nothing,
}

pub(super) fn open(
    transaction: &Transaction<'_>,
    key: Option<&str>,
    new: &NewOrder,
) -> Result<String, Denial> {
    let customer = active_customer(transaction, &new.customer_id)?;
    let id = entity::new_id("ord");
    let currency = if customer.country == "CZ" { "CZK" } else { "EUR" };
    transaction.execute(
        "INSERT INTO orders (id, key, customer_id, status, currency) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, key, new.customer_id, OrderStatus::Draft, currency],
    )?;
    Ok(id)
}

pub(super) fn add_line(
    transaction: &Transaction<'_>,
    id: &str,
    key: Option<&str>,
    new: &NewLine,
) -> Result<Made<Order>, Denial> {
    let order: Order = entity::get(transaction, id)?;
    let mut same = transaction.prepare_cached("SELECT 1 FROM lines WHERE order_id = ?1 AND key = ?2")?;
    if same.exists(params![id, key])? {
        return Ok(Made::Before(order));
    }
    require(&order, OrderStatus::Draft, "takes lines")?;
    price_cents(&new.sku, &order.currency)?;
    if !(1..=MAX_QUANTITY).contains(&new.quantity) {
        let message = format!("`quantity` is {}; 1 to {MAX_QUANTITY} are possible", new.quantity);
        return Err(Denial::unfit("quantity_invalid", message));
    }
    if order.lines.len() >= MAX_LINES {
        let message = format!("order {id} has {MAX_LINES} lines, and no order has more");
        return Err(Denial::conflict("order_full", message));
    }
    transaction.execute(
        "INSERT INTO lines (order_id, key, sku, quantity) VALUES (?1, ?2, ?3, ?4)",
        params![id, key, new.sku, new.quantity],
    )?;
    entity::get(transaction, id).map(Made::New)
}

/// Gives every line its price.
pub(super) fn prepare(transaction: &Transaction<'_>, id: &str) -> Result<Order, Denial> {
    let order: Order = entity::get(transaction, id)?;
    require(&order, OrderStatus::Draft, "can be prepared")?;
    if order.lines.is_empty() {
        let message = format!("order {id} has no lines; add one before you prepare it");
        return Err(Denial::conflict("order_empty", message));
    }
    let mut total_cents = 0;
    for line in &order.lines {
        let price_cents = price_cents(&line.sku, &order.currency)?;
        total_cents += price_cents * line.quantity;
        transaction.execute(
            "UPDATE lines SET unit_price_cents = ?3 WHERE order_id = ?1 AND sku = ?2",
            params![id, line.sku, price_cents],
        )?;
    }
    transaction.execute("UPDATE orders SET total_cents = ?2 WHERE id = ?1", params![id, total_cents])?;
    let prepared = set_status(transaction, id, OrderStatus::Prepared)?;
    emit(transaction, "order.prepared", &prepared)?;
    Ok(prepared)
}

pub(super) fn place(transaction: &Transaction<'_>, id: &str) -> Result<Order, Denial> {
    let order: Order = entity::get(transaction, id)?;
    require(&order, OrderStatus::Prepared, "can be placed")?;
    active_customer(transaction, &order.customer_id)?;
    let placed = set_status(transaction, id, OrderStatus::Placed)?;
    emit(transaction, "order.placed", &placed)?;
    Ok(placed)
}

pub(super) fn amount_due(transaction: &Transaction<'_>, id: &str) -> Result<Due, Denial> {
    let order: Order = entity::get(transaction, id)?;
    if order.status == OrderStatus::Paid {
        return Ok(Due::Nothing);
    }
    require(&order, OrderStatus::Placed, "can be paid")?;
    let amount_cents = order.total_cents.expect("an order is priced before it is placed");
    Ok(Due::Open { customer_id: order.customer_id, amount_cents })
}

/// Notes a payment. The answer of billing and its event both say so; the second of them changes nothing.
pub(super) fn mark_paid(transaction: &Transaction<'_>, id: &str) -> Result<Order, Denial> {
    let order: Order = entity::get(transaction, id)?;
    if order.status != OrderStatus::Placed {
        return Ok(order);
    }
    let paid = set_status(transaction, id, OrderStatus::Paid)?;
    emit(transaction, "order.paid", &paid)?;
    Ok(paid)
}

pub(super) fn set_status(
    transaction: &Transaction<'_>,
    id: &str,
    status: OrderStatus,
) -> Result<Order, Denial> {
    transaction.execute("UPDATE orders SET status = ?2 WHERE id = ?1", params![id, status])?;
    entity::get(transaction, id)
}

fn require(order: &Order, status: OrderStatus, what: &str) -> Result<(), Denial> {
    if order.status == status {
        return Ok(());
    }
    let code = format!("order_not_{}", status.as_str().to_lowercase());
    let message = format!("order {} is {}; only one that is {status} {what}", order.order_id, order.status);
    Err(Denial::conflict(&code, message))
}

/// The customer as order knows it, which may be a moment behind.
fn active_customer(transaction: &Transaction<'_>, id: &str) -> Result<KnownCustomer, Denial> {
    let Some(customer) = copies::known_customer(transaction, id)? else {
        let message = format!(
            "order has not heard of a customer `{id}`; if it is new, the news may still be on its way"
        );
        return Err(Denial::conflict("customer_unknown", message));
    };
    if customer.status != CustomerStatus::Active {
        let message = format!(
            "customer {id} is {} as far as order has heard; only ACTIVE customers can order",
            customer.status
        );
        return Err(Denial::conflict("customer_not_active", message));
    }
    Ok(customer)
}

fn price_cents(sku: &str, currency: &str) -> Result<i64, Denial> {
    let Some((_, euro_cents)) = ARTICLES.iter().find(|(article, _)| *article == sku) else {
        let known: Vec<_> = ARTICLES.iter().map(|(article, _)| *article).collect();
        let message = format!("the shop does not sell `{sku}`; it sells {}", known.join(", "));
        return Err(Denial::unfit("sku_unknown", message));
    };
    Ok(if currency == "CZK" { euro_cents * CZK_PER_EUR } else { *euro_cents })
}
