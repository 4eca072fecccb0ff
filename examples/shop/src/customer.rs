//! Customer: who the customers are, and whether they may buy.
//!
//! ```text
//! REGISTERED --verify--> VERIFIED --activate--> ACTIVE --(drift only)--> SUSPENDED
//!      \--------------------\----------------------\--delete--> (gone)
//! ```

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::entity::{self, Entity};
use crate::events::{Event, emit};
use crate::http::{Body, Denial, Key, Made, Params};
use crate::service::{Domain, Service};
use crate::state::states;

pub(crate) const DOMAIN: Domain = Domain {
    schema: "CREATE TABLE IF NOT EXISTS customers (
        id TEXT PRIMARY KEY, key TEXT UNIQUE, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        country TEXT NOT NULL, status TEXT NOT NULL);",
    own: &["customers"],
    copies: &[],
    routes,
    hear,
};

/// Where the shop sells.
const COUNTRIES: [&str; 3] = ["CZ", "DE", "FR"];

states! {
    /// How far a customer has come.
    CustomerStatus {
        /// Known by name.
        Registered = "REGISTERED",
        /// The e-mail address is theirs.
        Verified = "VERIFIED",
        /// May buy.
        Active = "ACTIVE",
        /// May not buy any more.
        Suspended = "SUSPENDED",
    }
}

/// One customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Chosen by the service.
    pub customer_id: String,
    /// No two customers share one.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// Two letters; decides currency and zones elsewhere.
    pub country: String,
    /// How far they have come.
    pub status: CustomerStatus,
}

/// What `POST /customers` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCustomer {
    /// Has to be free.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// `CZ`, `DE` or `FR`.
    pub country: String,
}

impl Entity for Customer {
    const TABLE: &'static str = "customers";
    const NOUN: &'static str = "customer";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            customer_id: row.get("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            country: row.get("country")?,
            status: row.get("status")?,
        })
    }
}

// The rules.

fn register(transaction: &Transaction<'_>, key: Option<&str>, new: &NewCustomer) -> Result<String, Denial> {
    if new.name.trim().is_empty() {
        return Err(Denial::unfit("name_missing", "a customer has a name"));
    }
    if !new.email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && host.contains('.')) {
        return Err(Denial::unfit("email_invalid", format!("`{}` is no e-mail address", new.email)));
    }
    if !COUNTRIES.contains(&new.country.as_str()) {
        let message =
            format!("the shop does not sell in `{}`, only in {}", new.country, COUNTRIES.join(", "));
        return Err(Denial::unfit("country_not_served", message));
    }
    if let Some(other) = entity::find::<Customer>(transaction, "email", &new.email)? {
        let message = format!("`{}` is the address of customer {} already", new.email, other.customer_id);
        return Err(Denial::conflict("email_taken", message));
    }
    let id = entity::new_id("cus");
    transaction.execute(
        "INSERT INTO customers (id, key, email, name, country, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id, key, new.email, new.name, new.country, CustomerStatus::Registered],
    )?;
    emit(transaction, "customer.registered", &entity::get::<Customer>(transaction, &id)?)?;
    Ok(id)
}

/// Takes a customer from the only state that a step may start in to the one it leads to.
fn advance(
    transaction: &Transaction<'_>,
    id: &str,
    (from, to): (CustomerStatus, CustomerStatus),
    kind: &str,
) -> Result<Customer, Denial> {
    let customer: Customer = entity::get(transaction, id)?;
    if customer.status != from {
        let code = format!("customer_not_{}", from.as_str().to_lowercase());
        let message = format!("customer {id} is {}; only one that is {from} becomes {to}", customer.status);
        return Err(Denial::conflict(&code, message));
    }
    let advanced = set_status(transaction, id, to)?;
    emit(transaction, kind, &advanced)?;
    Ok(advanced)
}

fn set_status(transaction: &Transaction<'_>, id: &str, status: CustomerStatus) -> Result<Customer, Denial> {
    transaction.execute("UPDATE customers SET status = ?2 WHERE id = ?1", params![id, status])?;
    entity::get(transaction, id)
}

/// No other service knows more about customers than this one.
fn hear(_transaction: &Transaction<'_>, _event: &Event) -> Result<(), Denial> {
    Ok(())
}

// HTTP.

fn routes() -> Router<Service> {
    Router::new()
        .route("/customers", post(create).get(list))
        .route("/customers/{id}", get(entity::show::<Customer>).delete(delete))
        .route("/customers/{id}/verify", post(verify))
        .route("/customers/{id}/activate", post(activate))
        .route("/admin/drift", post(drift))
}

async fn create(
    State(service): State<Service>,
    Key(key): Key,
    Body(new): Body<NewCustomer>,
) -> Result<Made<Customer>, Denial> {
    let key = key.as_deref();
    service.change(|transaction| entity::create(transaction, key, || register(transaction, key, &new)))
}

async fn verify(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Customer>, Denial> {
    let step = (CustomerStatus::Registered, CustomerStatus::Verified);
    service.change(|transaction| advance(transaction, &id, step, "customer.verified")).map(Json)
}

async fn activate(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Customer>, Denial> {
    let step = (CustomerStatus::Verified, CustomerStatus::Active);
    service.change(|transaction| advance(transaction, &id, step, "customer.activated")).map(Json)
}

async fn delete(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, Denial> {
    service.change(|transaction| {
        if let Some(customer) = entity::remove::<Customer>(transaction, &id)? {
            emit(transaction, "customer.deleted", &customer)?;
        }
        Ok(StatusCode::NO_CONTENT)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    key: Option<String>,
    email: Option<String>,
    country: Option<String>,
    after: Option<String>,
}

/// Customers of one page: what a screen shows.
const PAGE: u32 = 50;

async fn list(
    State(service): State<Service>,
    Params(which): Params<Which>,
) -> Result<Json<Vec<Customer>>, Denial> {
    let (column, value) = match which {
        Which { key: Some(key), email: None, country: None, after: None } => ("key", key),
        Which { email: Some(email), key: None, country: None, after: None } => ("email", email),
        Which { country: Some(country), key: None, email: None, after } => {
            let after = after.unwrap_or_default();
            return service
                .database()
                .transaction(|transaction| active_in(transaction, &country, &after))
                .map(Json);
        }
        _ => {
            let message = "say which customers: either `?key=`, `?email=` or `?country=`";
            return Err(Denial::new(StatusCode::BAD_REQUEST, "query_invalid", message));
        }
    };
    let found = service.database().transaction(|transaction| entity::find(transaction, column, &value))?;
    Ok(Json(found.into_iter().collect()))
}

/// A page of those that may buy, in the order of their ids.
fn active_in(transaction: &Transaction<'_>, country: &str, after: &str) -> Result<Vec<Customer>, Denial> {
    let mut statement = transaction.prepare_cached(
        "SELECT * FROM customers WHERE country = ?1 AND status = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    let rows = statement.query_map(params![country, CustomerStatus::Active, after, PAGE], Customer::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drift {
    customer_id: String,
}

/// Suspends a customer and tells nobody.
async fn drift(State(service): State<Service>, Body(drift): Body<Drift>) -> Result<Json<Customer>, Denial> {
    service
        .change(|transaction| set_status(transaction, &drift.customer_id, CustomerStatus::Suspended))
        .map(Json)
}
