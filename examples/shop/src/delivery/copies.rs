//! What delivery has heard: its copy of the orders.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::Deserialize;

use crate::events::Event;
use crate::http::Denial;
use crate::order::OrderStatus;

/// How far an order has come, and whose it is, as far as delivery has heard.
pub(super) fn known_order(
    transaction: &Transaction<'_>,
    id: &str,
) -> Result<Option<(OrderStatus, String)>, Denial> {
    let mut statement =
        transaction.prepare_cached("SELECT status, customer_id FROM known_orders WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

#[derive(Deserialize)]
struct OrderNews {
    order_id: String,
    customer_id: String,
    status: OrderStatus,
}

pub(super) fn hear(transaction: &Transaction<'_>, event: &Event) -> Result<(), Denial> {
    match event.kind.as_str() {
        "order.prepared" | "order.placed" | "order.paid" => {
            let order: OrderNews = event.read()?;
            transaction.execute(
                "INSERT OR REPLACE INTO known_orders (id, customer_id, status) VALUES (?1, ?2, ?3)",
                params![order.order_id, order.customer_id, order.status],
            )?;
        }
        "order.deleted" => {
            let order: OrderNews = event.read()?;
            transaction.execute("DELETE FROM known_orders WHERE id = ?1", [&order.order_id])?;
            transaction.execute("DELETE FROM shipments WHERE order_id = ?1", [&order.order_id])?;
        }
        _ => {}
    }
    Ok(())
}
