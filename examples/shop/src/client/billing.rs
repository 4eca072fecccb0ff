//! The client of billing.

use super::{Caller, Refusal};
use crate::billing::{Account, Charge, NewAccount, NewCharge, NewPaymentMethod};
use crate::service::ServiceName;

/// Calls billing.
///
/// Creating with the same key again answers the entity that is there already; deleting twice is deleting once.
#[derive(Debug, Clone)]
pub struct BillingClient(Caller);

impl BillingClient {
    /// Connects to nothing yet.
    pub fn new(http: reqwest::Client, url: &str) -> Self {
        Self(Caller::new(http, ServiceName::Billing, url))
    }

    /// Makes an account that is PENDING.
    pub async fn open_account(&self, key: &str, new: &NewAccount) -> Result<Account, Refusal> {
        self.0.create("accounts", key, new).await
    }

    /// Hands a payment method to the bank; the account is OPEN when the bank has verified it. A method that is there
    /// stays.
    pub async fn add_payment_method(&self, id: &str, new: &NewPaymentMethod) -> Result<Account, Refusal> {
        self.0.step(&format!("accounts/{id}/payment-method"), Some(new)).await
    }

    /// From any state to CLOSED.
    pub async fn close_account(&self, id: &str) -> Result<Account, Refusal> {
        self.0.step(&format!("accounts/{id}/close"), None::<&()>).await
    }

    /// From CLOSED to what it was before, also when nobody was told that it is closed.
    pub async fn reopen_account(&self, id: &str) -> Result<Account, Refusal> {
        self.0.step(&format!("accounts/{id}/reopen"), None::<&()>).await
    }

    /// The account as it is now.
    pub async fn account(&self, id: &str) -> Result<Account, Refusal> {
        self.0.get(&format!("accounts/{id}")).await
    }

    /// What this key has made, if it still exists.
    pub async fn account_by_key(&self, key: &str) -> Result<Option<Account>, Refusal> {
        self.0.find_by_key("accounts", key).await
    }

    /// Deletes an account; its charges stay until their orders go.
    pub async fn delete_account(&self, id: &str) -> Result<(), Refusal> {
        self.0.delete(&format!("accounts/{id}")).await
    }

    /// Takes the money for an order that is PLACED.
    pub async fn charge(&self, key: &str, new: &NewCharge) -> Result<Charge, Refusal> {
        self.0.create("charges", key, new).await
    }

    /// The charge as it is now.
    pub async fn find_charge(&self, id: &str) -> Result<Charge, Refusal> {
        self.0.get(&format!("charges/{id}")).await
    }

    /// What this key has made, if it still exists.
    pub async fn charge_by_key(&self, key: &str) -> Result<Option<Charge>, Refusal> {
        self.0.find_by_key("charges", key).await
    }

    /// Gives the money back.
    pub async fn delete_charge(&self, id: &str) -> Result<(), Refusal> {
        self.0.delete(&format!("charges/{id}")).await
    }
}
