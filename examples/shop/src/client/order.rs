//! The client of order.

use super::{Caller, Refusal};
use crate::order::{NewLine, NewOrder, Order};
use crate::service::ServiceName;

/// Calls order.
///
/// Creating with the same key again answers the entity that is there already; deleting twice is deleting once.
#[derive(Debug, Clone)]
pub struct OrderClient(Caller);

impl OrderClient {
    /// Connects to nothing yet.
    pub fn new(http: reqwest::Client, url: &str) -> Self {
        Self(Caller::new(http, ServiceName::Order, url))
    }

    /// Makes an order that is a DRAFT.
    pub async fn open(&self, key: &str, new: &NewOrder) -> Result<Order, Refusal> {
        self.0.create("orders", key, new).await
    }

    /// Adds a line to a DRAFT; the key is one within the order.
    pub async fn add_line(&self, id: &str, key: &str, new: &NewLine) -> Result<Order, Refusal> {
        self.0.create(&format!("orders/{id}/lines"), key, new).await
    }

    /// From DRAFT to PREPARED: every line gets its price.
    pub async fn prepare(&self, id: &str) -> Result<Order, Refusal> {
        self.0.step(&format!("orders/{id}/prepare"), None::<&()>).await
    }

    /// From PREPARED to PLACED.
    pub async fn place(&self, id: &str) -> Result<Order, Refusal> {
        self.0.step(&format!("orders/{id}/place"), None::<&()>).await
    }

    /// From PLACED to PAID, if billing charges the customer; a refusal of billing is passed on under its code.
    pub async fn pay(&self, id: &str) -> Result<Order, Refusal> {
        self.0.step(&format!("orders/{id}/pay"), None::<&()>).await
    }

    /// The order as it is now.
    pub async fn order(&self, id: &str) -> Result<Order, Refusal> {
        self.0.get(&format!("orders/{id}")).await
    }

    /// What this key has made, if it still exists.
    pub async fn order_by_key(&self, key: &str) -> Result<Option<Order>, Refusal> {
        self.0.find_by_key("orders", key).await
    }

    /// Deletes an order here; its charge and shipment go when the others hear of it.
    pub async fn delete_order(&self, id: &str) -> Result<(), Refusal> {
        self.0.delete(&format!("orders/{id}")).await
    }
}
