//! Billing: how customers pay.
//!
//! ```text
//! PENDING --the bank verifies the payment method--> OPEN --close--> CLOSED --reopen--> what it was
//!     \------------------------------------------------\--------------\--delete--> (gone)
//! ```
//!
//! Whether an account is open follows from its method, the time, and whether it was closed; it is not stored.
//! Billing pays only for orders it has heard of, which it knows from order's events.

mod copies;
mod rules;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::database::now_ms;
use crate::entity::{self, Entity};
use crate::http::{Body, Denial, Key, Made};
use crate::service::{Domain, Service};
use crate::state::states;

pub(crate) const DOMAIN: Domain = Domain {
    schema: "
        CREATE TABLE IF NOT EXISTS accounts (
            id TEXT PRIMARY KEY, key TEXT UNIQUE, customer_id TEXT NOT NULL, country TEXT NOT NULL,
            currency TEXT NOT NULL, method TEXT, verified_at_ms INTEGER, closed INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE IF NOT EXISTS charges (
            id TEXT PRIMARY KEY, key TEXT UNIQUE, order_id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL,
            amount_cents INTEGER NOT NULL, currency TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS known_customers (id TEXT PRIMARY KEY, country TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS known_orders (
            id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, status TEXT NOT NULL,
            currency TEXT NOT NULL, total_cents INTEGER NOT NULL);",
    own: &["accounts", "charges"],
    copies: &["known_customers", "known_orders"],
    routes,
    hear: copies::hear,
};

states! {
    /// Whether an account can be charged.
    AccountStatus {
        /// Has no verified payment method yet.
        Pending = "PENDING",
        /// Can be charged.
        Open = "OPEN",
        /// Cannot be charged any more.
        Closed = "CLOSED",
    }
}

states! {
    /// What the bank says of a payment method.
    MethodStatus {
        /// Nothing yet.
        Pending = "PENDING",
        /// It is the customer's.
        Verified = "VERIFIED",
    }
}

/// An account of one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Chosen by the service.
    pub account_id: String,
    /// Whose it is.
    pub customer_id: String,
    /// Where it is billed.
    pub country: String,
    /// That of the country.
    pub currency: String,
    /// Whether it can be charged.
    pub status: AccountStatus,
    /// How it is charged.
    pub payment_method: Option<PaymentMethod>,
}

/// How an account is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentMethod {
    /// `card`.
    pub kind: String,
    /// What the bank says of it.
    pub status: MethodStatus,
}

/// Money taken for one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Chosen by the service.
    pub charge_id: String,
    /// What it pays.
    pub order_id: String,
    /// Where it was taken from.
    pub account_id: String,
    /// The total of the order.
    pub amount_cents: i64,
    /// That of order and account.
    pub currency: String,
}

/// What `POST /accounts` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Billing has to have heard of them.
    pub customer_id: String,
    /// `None` takes that of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Has to fit the country; `None` takes the one that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// What `POST /accounts/{id}/payment-method` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPaymentMethod {
    /// `card`.
    pub kind: String,
}

/// What `POST /charges` takes: the account, or the customer whose account it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCharge {
    /// Has to be placed, as far as billing has heard.
    pub order_id: String,
    /// Which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Whose account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The total of the order.
    pub amount_cents: i64,
}

impl Entity for Account {
    const TABLE: &'static str = "accounts";
    const NOUN: &'static str = "account";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let kind: Option<String> = row.get("method")?;
        let verified_at_ms: Option<i64> = row.get("verified_at_ms")?;
        let verified = verified_at_ms.is_some_and(|at_ms| at_ms <= now_ms());
        Ok(Self {
            account_id: row.get("id")?,
            customer_id: row.get("customer_id")?,
            country: row.get("country")?,
            currency: row.get("currency")?,
            status: match (row.get("closed")?, verified) {
                (true, _) => AccountStatus::Closed,
                (false, true) => AccountStatus::Open,
                (false, false) => AccountStatus::Pending,
            },
            payment_method: kind.map(|kind| PaymentMethod {
                kind,
                status: if verified { MethodStatus::Verified } else { MethodStatus::Pending },
            }),
        })
    }
}

impl Entity for Charge {
    const TABLE: &'static str = "charges";
    const NOUN: &'static str = "charge";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            charge_id: row.get("id")?,
            order_id: row.get("order_id")?,
            account_id: row.get("account_id")?,
            amount_cents: row.get("amount_cents")?,
            currency: row.get("currency")?,
        })
    }
}

fn routes() -> Router<Service> {
    Router::new()
        .route("/accounts", post(create_account).get(entity::list_by_key::<Account>))
        .route("/accounts/{id}", get(entity::show::<Account>).delete(delete_account))
        .route("/accounts/{id}/payment-method", post(add_payment_method))
        .route("/accounts/{id}/close", post(close))
        .route("/accounts/{id}/reopen", post(reopen))
        .route("/charges", post(create_charge).get(entity::list_by_key::<Charge>))
        .route("/charges/{id}", get(entity::show::<Charge>).delete(delete_charge))
        .route("/admin/drift", post(drift))
}

async fn create_account(
    State(service): State<Service>,
    Key(key): Key,
    Body(new): Body<NewAccount>,
) -> Result<Made<Account>, Denial> {
    let key = key.as_deref();
    service.change(|transaction| {
        entity::create(transaction, key, || rules::open_account(transaction, key, &new))
    })
}

async fn add_payment_method(
    State(service): State<Service>,
    Path(id): Path<String>,
    Body(new): Body<NewPaymentMethod>,
) -> Result<Json<Account>, Denial> {
    let verified_at_ms = now_ms().saturating_add_unsigned(service.verify_ms());
    service
        .change(|transaction| rules::add_payment_method(transaction, &id, &new.kind, verified_at_ms))
        .map(Json)
}

async fn close(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Account>, Denial> {
    service.change(|transaction| rules::close(transaction, &id)).map(Json)
}

async fn reopen(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Account>, Denial> {
    service.change(|transaction| rules::reopen(transaction, &id)).map(Json)
}

async fn delete_account(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<StatusCode, Denial> {
    service.change(|transaction| entity::remove::<Account>(transaction, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn create_charge(
    State(service): State<Service>,
    Key(key): Key,
    Body(new): Body<NewCharge>,
) -> Result<Made<Charge>, Denial> {
    let key = key.as_deref();
    service.change(|transaction| entity::create(transaction, key, || rules::charge(transaction, key, &new)))
}

async fn delete_charge(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, Denial> {
    service.change(|transaction| entity::remove::<Charge>(transaction, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drift {
    account_id: String,
}

/// Closes an account and tells nobody.
async fn drift(State(service): State<Service>, Body(drift): Body<Drift>) -> Result<Json<Account>, Denial> {
    service.change(|transaction| rules::close_silently(transaction, &drift.account_id)).map(Json)
}
