//! What order has heard: its copy of the customers, and that billing has captured a payment.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::Deserialize;

use super::{Order, rules};
use crate::customer::CustomerStatus;
use crate::entity;
use crate::events::Event;
use crate::http::Denial;

/// A customer as far as order has heard.
pub(super) struct KnownCustomer {
    pub(super) country: String,
    pub(super) status: CustomerStatus,
}

pub(super) fn known_customer(
    transaction: &Transaction<'_>,
    id: &str,
) -> Result<Option<KnownCustomer>, Denial> {
    let mut statement =
        transaction.prepare_cached("SELECT country, status FROM known_customers WHERE id = ?1")?;
    let known = statement
        .query_row([id], |row| Ok(KnownCustomer { country: row.get(0)?, status: row.get(1)? }))
        .optional()?;
    Ok(known)
}

#[derive(Deserialize)]
struct CustomerNews {
    customer_id: String,
    country: String,
    status: CustomerStatus,
}

#[derive(Deserialize)]
struct PaymentNews {
    order_id: String,
}

pub(super) fn hear(transaction: &Transaction<'_>, event: &Event) -> Result<(), Denial> {
    match event.kind.as_str() {
        "customer.registered" | "customer.verified" | "customer.activated" => {
            let news: CustomerNews = event.read()?;
            transaction.execute(
                "INSERT OR REPLACE INTO known_customers (id, country, status) VALUES (?1, ?2, ?3)",
                params![news.customer_id, news.country, news.status],
            )?;
        }
        "customer.deleted" => {
            let news: CustomerNews = event.read()?;
            transaction.execute("DELETE FROM known_customers WHERE id = ?1", [news.customer_id])?;
        }
        "payment.captured" => {
            let news: PaymentNews = event.read()?;
            // The order may have been deleted since.
            if entity::find::<Order>(transaction, "id", &news.order_id)?.is_some() {
                rules::mark_paid(transaction, &news.order_id)?;
            }
        }
        _ => {}
    }
    Ok(())
}
