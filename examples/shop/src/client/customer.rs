//! The client of customer.

use super::{Caller, Refusal};
use crate::customer::{Customer, NewCustomer};
use crate::service::ServiceName;

/// Calls customer.
///
/// Creating with the same key again answers the entity that is there already; deleting twice is deleting once.
#[derive(Debug, Clone)]
pub struct CustomerClient(Caller);

impl CustomerClient {
    /// Connects to nothing yet.
    pub fn new(http: reqwest::Client, url: &str) -> Self {
        Self(Caller::new(http, ServiceName::Customer, url))
    }

    /// Makes a customer that is REGISTERED.
    pub async fn register(&self, key: &str, new: &NewCustomer) -> Result<Customer, Refusal> {
        self.0.create("customers", key, new).await
    }

    /// From REGISTERED to VERIFIED.
    pub async fn verify(&self, id: &str) -> Result<Customer, Refusal> {
        self.0.step(&format!("customers/{id}/verify"), None::<&()>).await
    }

    /// From VERIFIED to ACTIVE.
    pub async fn activate(&self, id: &str) -> Result<Customer, Refusal> {
        self.0.step(&format!("customers/{id}/activate"), None::<&()>).await
    }

    /// The customer as it is now.
    pub async fn customer(&self, id: &str) -> Result<Customer, Refusal> {
        self.0.get(&format!("customers/{id}")).await
    }

    /// Those of a country that may buy, at most so many as a page has, in the order of their ids from behind this one on.
    pub async fn active_in(&self, country: &str, after: &str) -> Result<Vec<Customer>, Refusal> {
        self.0.get(&format!("customers?country={country}&after={after}")).await
    }

    /// What this key has made, if it still exists.
    pub async fn customer_by_key(&self, key: &str) -> Result<Option<Customer>, Refusal> {
        self.0.find_by_key("customers", key).await
    }

    /// Forgets a customer here; the others hear of it.
    pub async fn delete_customer(&self, id: &str) -> Result<(), Refusal> {
        self.0.delete(&format!("customers/{id}")).await
    }
}
