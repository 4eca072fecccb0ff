//! The client of delivery.

use super::{Caller, Refusal};
use crate::delivery::{Address, NewAddress, NewShipment, Shipment};
use crate::service::ServiceName;

/// Calls delivery.
///
/// Creating with the same key again answers the entity that is there already; deleting twice is deleting once.
#[derive(Debug, Clone)]
pub struct DeliveryClient(Caller);

impl DeliveryClient {
    /// Connects to nothing yet.
    pub fn new(http: reqwest::Client, url: &str) -> Self {
        Self(Caller::new(http, ServiceName::Delivery, url))
    }

    /// Notes an address, serviceable or not.
    pub async fn add_address(&self, key: &str, new: &NewAddress) -> Result<Address, Refusal> {
        self.0.create("addresses", key, new).await
    }

    /// The address as it is now.
    pub async fn address(&self, id: &str) -> Result<Address, Refusal> {
        self.0.get(&format!("addresses/{id}")).await
    }

    /// What this key has made, if it still exists.
    pub async fn address_by_key(&self, key: &str) -> Result<Option<Address>, Refusal> {
        self.0.find_by_key("addresses", key).await
    }

    /// Forgets an address.
    pub async fn delete_address(&self, id: &str) -> Result<(), Refusal> {
        self.0.delete(&format!("addresses/{id}")).await
    }

    /// Schedules the shipment of an order that is PAID.
    pub async fn ship(&self, key: &str, new: &NewShipment) -> Result<Shipment, Refusal> {
        self.0.create("shipments", key, new).await
    }

    /// The shipment as it is now.
    pub async fn shipment(&self, id: &str) -> Result<Shipment, Refusal> {
        self.0.get(&format!("shipments/{id}")).await
    }

    /// What this key has made, if it still exists.
    pub async fn shipment_by_key(&self, key: &str) -> Result<Option<Shipment>, Refusal> {
        self.0.find_by_key("shipments", key).await
    }

    /// Calls a shipment off.
    pub async fn delete_shipment(&self, id: &str) -> Result<(), Refusal> {
        self.0.delete(&format!("shipments/{id}")).await
    }
}
