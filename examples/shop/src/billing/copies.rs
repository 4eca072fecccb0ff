//! What billing has heard: its copies of customers and orders.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::Deserialize;

use crate::events::Event;
use crate::http::Denial;
use crate::order::OrderStatus;

/// An order as far as billing has heard.
#[derive(Deserialize)]
pub(super) struct KnownOrder {
    order_id: String,
    pub(super) customer_id: String,
    pub(super) status: OrderStatus,
    pub(super) currency: String,
    pub(super) total_cents: i64,
}

pub(super) fn country_of(transaction: &Transaction<'_>, customer_id: &str) -> Result<Option<String>, Denial> {
    let mut statement = transaction.prepare_cached("SELECT country FROM known_customers WHERE id = ?1")?;
    Ok(statement.query_row([customer_id], |row| row.get(0)).optional()?)
}

pub(super) fn known_order(transaction: &Transaction<'_>, id: &str) -> Result<Option<KnownOrder>, Denial> {
    let mut statement = transaction.prepare_cached("SELECT * FROM known_orders WHERE id = ?1")?;
    let known = statement.query_row([id], |row| {
        Ok(KnownOrder {
            order_id: row.get("id")?,
            customer_id: row.get("customer_id")?,
            status: row.get("status")?,
            currency: row.get("currency")?,
            total_cents: row.get("total_cents")?,
        })
    });
    Ok(known.optional()?)
}

#[derive(Deserialize)]
struct CustomerNews {
    customer_id: String,
    country: String,
}

#[derive(Deserialize)]
struct OrderGone {
    order_id: String,
}

pub(super) fn hear(transaction: &Transaction<'_>, event: &Event) -> Result<(), Denial> {
    match event.kind.as_str() {
        "customer.registered" => {
            let news: CustomerNews = event.read()?;
            transaction.execute(
                "INSERT OR REPLACE INTO known_customers (id, country) VALUES (?1, ?2)",
                params![news.customer_id, news.country],
            )?;
        }
        "customer.deleted" => {
            let news: CustomerNews = event.read()?;
            transaction.execute("DELETE FROM known_customers WHERE id = ?1", [news.customer_id])?;
        }
        "order.prepared" | "order.placed" | "order.paid" => {
            let order: KnownOrder = event.read()?;
            transaction.execute(
                "INSERT OR REPLACE INTO known_orders (id, customer_id, status, currency, total_cents)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![order.order_id, order.customer_id, order.status, order.currency, order.total_cents],
            )?;
        }
        "order.deleted" => {
            let order: OrderGone = event.read()?;
            transaction.execute("DELETE FROM known_orders WHERE id = ?1", [&order.order_id])?;
            transaction.execute("DELETE FROM charges WHERE order_id = ?1", [&order.order_id])?;
        }
        _ => {}
    }
    Ok(())
}
