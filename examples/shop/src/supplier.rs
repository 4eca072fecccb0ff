//! The suppliers of the shop: what each team publishes to Sixpack about its service.
//!
//! Each file is what the team would write in a repository of its own: the states of its service as types, and one
//! function each to make, to check and to undo them. [`progress`] is how all of them turn the answer of a service into
//! an answer to Sixpack.

mod billing;
mod customer;
mod delivery;
mod order;
mod progress;
mod qa;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::{Owner, Supplier};

use crate::client::{BillingClient, CustomerClient, DeliveryClient, OrderClient, http_client};

/// Which team's supplier, and where the services are that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Team {
    /// Publishes `customer/active-customer`.
    Customer {
        /// Of customer.
        service_url: String,
    },
    /// Publishes `order/prepared-order` and `order/paid-order`.
    Order {
        /// Of order.
        service_url: String,
        /// Of billing, which has the receipts.
        billing_url: String,
    },
    /// Publishes `billing/payment-account`.
    Billing {
        /// Of billing.
        service_url: String,
    },
    /// Publishes `delivery/serviceable-address`.
    Delivery {
        /// Of delivery.
        service_url: String,
    },
    /// Publishes `qa/two-buyers`, which is made of other teams' states and needs no service.
    Qa,
}

/// The supplier of a team. It does nothing until it runs.
pub fn of(team: Team) -> reqwest::Result<Supplier> {
    let http = http_client()?;
    Ok(match team {
        Team::Customer { service_url } => {
            let service = CustomerClient::new(http, &service_url);
            supplier("customer", "Customer").capability(customer::ActiveCustomer(service))
        }
        Team::Order { service_url, billing_url } => {
            let service = OrderClient::new(http.clone(), &service_url);
            let paid = order::PaidOrder {
                service: service.clone(),
                receipts: BillingClient::new(http, &billing_url),
            };
            supplier("order", "Order").capability(order::PreparedOrder(service)).capability(paid)
        }
        Team::Billing { service_url } => {
            let service = BillingClient::new(http, &service_url);
            supplier("billing", "Billing").capability(billing::PaymentAccount(service))
        }
        Team::Delivery { service_url } => {
            let service = DeliveryClient::new(http, &service_url);
            supplier("delivery", "Delivery").capability(delivery::ServiceableAddress(service))
        }
        Team::Qa => supplier("qa", "QA").capability(qa::TwoBuyers),
    })
}

fn supplier(domain: &str, team: &str) -> Supplier {
    let owner = Owner::new(team)
        .contact(format!("{domain}@shop.test"))
        .issues(format!("https://issues.shop.test/{domain}"));
    Supplier::new(domain).owner(owner).build(concat!("shop ", env!("CARGO_PKG_VERSION")))
}

/// Where the shop sells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum Country {
    Cz,
    #[default]
    Fr,
    De,
}

impl Country {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cz => "CZ",
            Self::Fr => "FR",
            Self::De => "DE",
        }
    }
}

/// One of `choices`, the same for every attempt of a task.
fn choose<T>(choices: &[T], seed: u64) -> &T {
    let count = u64::try_from(choices.len()).expect("a list in the source is short");
    let index = usize::try_from(seed % count).expect("it is below the length");
    &choices[index]
}
