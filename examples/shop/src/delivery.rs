//! Delivery: where orders go, and when.
//!
//! ```text
//! address  (made, serviceable or not by its zone) --delete--> (gone)
//! shipment SCHEDULED --delete, or its order is deleted--> (gone)
//! ```
//!
//! Delivery ships only orders that are paid in its own copy, which it has from order's events.

mod copies;
mod rules;
mod zones;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::entity::{self, Entity};
use crate::http::{Body, Denial, Key, Made};
use crate::service::{Domain, Service};
use crate::state::states;

pub(crate) const DOMAIN: Domain = Domain {
    schema: "
        CREATE TABLE IF NOT EXISTS addresses (
            id TEXT PRIMARY KEY, key TEXT UNIQUE, customer_id TEXT NOT NULL, country TEXT NOT NULL,
            city TEXT NOT NULL, postcode TEXT NOT NULL, street TEXT NOT NULL, zone TEXT NOT NULL,
            serviceable INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS shipments (
            id TEXT PRIMARY KEY, key TEXT UNIQUE, order_id TEXT NOT NULL UNIQUE, address_id TEXT NOT NULL,
            slot TEXT NOT NULL, status TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS known_orders (
            id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, status TEXT NOT NULL);",
    own: &["addresses", "shipments"],
    copies: &["known_orders"],
    routes,
    hear: copies::hear,
};

states! {
    /// How far a shipment has come.
    ShipmentStatus {
        /// A van will come in its slot.
        Scheduled = "SCHEDULED",
    }
}

/// A place where a customer can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Chosen by the service.
    pub address_id: String,
    /// Who is found there.
    pub customer_id: String,
    /// Two letters.
    pub country: String,
    /// The town.
    pub city: String,
    /// Five digits.
    pub postcode: String,
    /// With the number of the house.
    pub street: String,
    /// Follows from country and postcode.
    pub zone: String,
    /// Whether a van goes there.
    pub serviceable: bool,
    /// When; none where no van goes.
    pub slots: Vec<String>,
}

/// One order on its way to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// Chosen by the service.
    pub shipment_id: String,
    /// What is brought.
    pub order_id: String,
    /// Where to.
    pub address_id: String,
    /// When.
    pub slot: String,
    /// How far it has come.
    pub status: ShipmentStatus,
}

/// What `POST /addresses` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAddress {
    /// Who is found there.
    pub customer_id: String,
    /// `CZ`, `DE` or `FR`.
    pub country: String,
    /// The town.
    pub city: String,
    /// Five digits; decides the zone.
    pub postcode: String,
    /// With the number of the house.
    pub street: String,
}

/// What `POST /shipments` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewShipment {
    /// Has to be paid, as far as delivery has heard.
    pub order_id: String,
    /// Has to be serviceable, and of the same customer.
    pub address_id: String,
    /// One of those of the address.
    pub slot: String,
}

impl Entity for Address {
    const TABLE: &'static str = "addresses";
    const NOUN: &'static str = "address";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let zone: String = row.get("zone")?;
        let serviceable = row.get("serviceable")?;
        Ok(Self {
            address_id: row.get("id")?,
            customer_id: row.get("customer_id")?,
            country: row.get("country")?,
            city: row.get("city")?,
            postcode: row.get("postcode")?,
            street: row.get("street")?,
            slots: if serviceable { zones::slots(&zone) } else { Vec::new() },
            zone,
            serviceable,
        })
    }
}

impl Entity for Shipment {
    const TABLE: &'static str = "shipments";
    const NOUN: &'static str = "shipment";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            shipment_id: row.get("id")?,
            order_id: row.get("order_id")?,
            address_id: row.get("address_id")?,
            slot: row.get("slot")?,
            status: row.get("status")?,
        })
    }
}

fn routes() -> Router<Service> {
    Router::new()
        .route("/addresses", post(create_address).get(entity::list_by_key::<Address>))
        .route("/addresses/{id}", get(entity::show::<Address>).delete(delete_address))
        .route("/shipments", post(create_shipment).get(entity::list_by_key::<Shipment>))
        .route("/shipments/{id}", get(entity::show::<Shipment>).delete(delete_shipment))
        .route("/admin/drift", post(drift))
}

async fn create_address(
    State(service): State<Service>,
    Key(key): Key,
    Body(new): Body<NewAddress>,
) -> Result<Made<Address>, Denial> {
    let key = key.as_deref();
    service.change(|transaction| {
        entity::create(transaction, key, || rules::note_address(transaction, key, &new))
    })
}

async fn delete_address(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<StatusCode, Denial> {
    service.change(|transaction| entity::remove::<Address>(transaction, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn create_shipment(
    State(service): State<Service>,
    Key(key): Key,
    Body(new): Body<NewShipment>,
) -> Result<Made<Shipment>, Denial> {
    let key = key.as_deref();
    service.change(|transaction| entity::create(transaction, key, || rules::schedule(transaction, key, &new)))
}

async fn delete_shipment(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<StatusCode, Denial> {
    service.change(|transaction| entity::remove::<Shipment>(transaction, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drift {
    address_id: String,
}

/// Stops serving an address and tells nobody.
async fn drift(State(service): State<Service>, Body(drift): Body<Drift>) -> Result<Json<Address>, Denial> {
    service.change(|transaction| rules::stop_serving(transaction, &drift.address_id)).map(Json)
}
