//! Order: what customers want to have, from the first line to the payment.
//!
//! ```text
//! DRAFT --prepare--> PREPARED --place--> PLACED --pay, or billing says it is captured--> PAID
//!   \------------------\--------------------\---(drift only)--> CANCELLED
//!    \------------------\--------------------\------------------------\--delete--> (gone)
//! ```
//!
//! Order serves only customers that are active in its own copy, which it has from customer's events.

mod copies;
mod rules;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::billing::NewCharge;
use crate::client::BillingClient;
use crate::entity::{self, Entity};
use crate::events::emit;
use crate::http::{Body, Denial, Key, Made};
use crate::service::{Domain, Service};
use crate::state::states;

pub(crate) const DOMAIN: Domain = Domain {
    schema: "
        CREATE TABLE IF NOT EXISTS orders (
            id TEXT PRIMARY KEY, key TEXT UNIQUE, customer_id TEXT NOT NULL, status TEXT NOT NULL,
            currency TEXT NOT NULL, total_cents INTEGER);
        CREATE TABLE IF NOT EXISTS lines (
            seq INTEGER PRIMARY KEY, order_id TEXT NOT NULL, key TEXT, sku TEXT NOT NULL,
            quantity INTEGER NOT NULL, unit_price_cents INTEGER, UNIQUE (order_id, key));
        CREATE TABLE IF NOT EXISTS known_customers (
            id TEXT PRIMARY KEY, country TEXT NOT NULL, status TEXT NOT NULL);",
    own: &["orders", "lines"],
    copies: &["known_customers"],
    routes,
    hear: copies::hear,
};

states! {
    /// How far an order has come.
    OrderStatus {
        /// Lines may be added.
        Draft = "DRAFT",
        /// Has lines, and a price for each.
        Prepared = "PREPARED",
        /// The customer wants it.
        Placed = "PLACED",
        /// The customer has paid it.
        Paid = "PAID",
        /// Comes to nothing.
        Cancelled = "CANCELLED",
    }
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Chosen by the service.
    pub order_id: String,
    /// Whose it is.
    pub customer_id: String,
    /// How far it has come.
    pub status: OrderStatus,
    /// That of the customer's country.
    pub currency: String,
    /// Known once it is prepared.
    pub total_cents: Option<i64>,
    /// In the sequence they were added.
    pub lines: Vec<Line>,
}

/// So many of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is wanted.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// Known once the order is prepared.
    pub unit_price_cents: Option<i64>,
}

/// What `POST /orders` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Has to be active, as far as order knows.
    pub customer_id: String,
}

/// What `POST /orders/{id}/lines` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// One of the shop's articles.
    pub sku: String,
    /// 1 to 99.
    pub quantity: i64,
}

impl Entity for Order {
    const TABLE: &'static str = "orders";
    const NOUN: &'static str = "order";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            order_id: row.get("id")?,
            customer_id: row.get("customer_id")?,
            status: row.get("status")?,
            currency: row.get("currency")?,
            total_cents: row.get("total_cents")?,
            lines: Vec::new(),
        })
    }

    fn complete(&mut self, database: &Connection) -> rusqlite::Result<()> {
        let mut statement = database.prepare_cached(
            "SELECT sku, quantity, unit_price_cents FROM lines WHERE order_id = ?1 ORDER BY seq",
        )?;
        let lines = statement.query_map([&self.order_id], |row| {
            Ok(Line { sku: row.get(0)?, quantity: row.get(1)?, unit_price_cents: row.get(2)? })
        })?;
        self.lines = lines.collect::<rusqlite::Result<_>>()?;
        Ok(())
    }
}

fn routes() -> Router<Service> {
    Router::new()
        .route("/orders", post(create).get(entity::list_by_key::<Order>))
        .route("/orders/{id}", get(entity::show::<Order>).delete(delete))
        .route("/orders/{id}/lines", post(add_line))
        .route("/orders/{id}/prepare", post(prepare))
        .route("/orders/{id}/place", post(place))
        .route("/orders/{id}/pay", post(pay))
        .route("/admin/drift", post(drift))
}

async fn create(
    State(service): State<Service>,
    Key(key): Key,
    Body(new): Body<NewOrder>,
) -> Result<Made<Order>, Denial> {
    let key = key.as_deref();
    service.change(|transaction| entity::create(transaction, key, || rules::open(transaction, key, &new)))
}

async fn add_line(
    State(service): State<Service>,
    Path(id): Path<String>,
    Key(key): Key,
    Body(new): Body<NewLine>,
) -> Result<Made<Order>, Denial> {
    service.change(|transaction| rules::add_line(transaction, &id, key.as_deref(), &new))
}

async fn prepare(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Order>, Denial> {
    service.change(|transaction| rules::prepare(transaction, &id)).map(Json)
}

async fn place(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Order>, Denial> {
    service.change(|transaction| rules::place(transaction, &id)).map(Json)
}

/// Has billing charge the customer. Paying again is paying once: the key of the charge is the order's id.
async fn pay(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Order>, Denial> {
    let due = service.database().transaction(|transaction| rules::amount_due(transaction, &id))?;
    let rules::Due::Open { customer_id, amount_cents } = due else {
        return entity::show(State(service), Path(id)).await;
    };
    let Some(url) = service.peers().billing else {
        let message = "order does not know where billing is; start it with `--billing` or `PUT /admin/peers`";
        return Err(Denial::new(StatusCode::SERVICE_UNAVAILABLE, "billing_unknown", message));
    };
    let charge =
        NewCharge { order_id: id.clone(), account_id: None, customer_id: Some(customer_id), amount_cents };
    let billing = BillingClient::new(service.http_client().clone(), &url);
    billing.charge(&format!("pay-{id}"), &charge).await.map_err(|refusal| {
        if refusal.is_temporary() {
            let message =
                format!("billing cannot be asked now ({}); nothing was charged twice", refusal.message);
            Denial::new(StatusCode::SERVICE_UNAVAILABLE, "billing_unavailable", message)
        } else {
            Denial::conflict(&refusal.code, refusal.message)
        }
    })?;
    service.change(|transaction| rules::mark_paid(transaction, &id)).map(Json)
}

async fn delete(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, Denial> {
    service.change(|transaction| {
        if let Some(order) = entity::remove::<Order>(transaction, &id)? {
            transaction.execute("DELETE FROM lines WHERE order_id = ?1", [&id])?;
            emit(transaction, "order.deleted", &order)?;
        }
        Ok(StatusCode::NO_CONTENT)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drift {
    order_id: String,
}

/// Cancels an order and tells nobody.
async fn drift(State(service): State<Service>, Body(drift): Body<Drift>) -> Result<Json<Order>, Denial> {
    service
        .change(|transaction| rules::set_status(transaction, &drift.order_id, OrderStatus::Cancelled))
        .map(Json)
}
