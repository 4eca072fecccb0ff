//! What the customer team publishes: a customer that may buy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::{About, Capability, Check, Context, Find, Operation, Produce, Undo, Verdict};

use super::progress::{Pause, checked, produced, stopped};
use super::{Country, choose};
use crate::client::{CustomerClient, Refusal};
use crate::customer::{Customer, CustomerStatus, NewCustomer};

/// Names that are nobody's.
const NAMES: [&str; 6] = ["Ada Test", "Boris Test", "Chloé Test", "Dana Test", "Emil Test", "Františka Test"];

/// How the addresses begin of those that are made here, and undone again.
const MADE: &str = "test.";

/// `customer/active-customer`.
pub(super) struct ActiveCustomer(pub(super) CustomerClient);

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// Where the customer lives; decides currency and delivery zones.
    #[serde(default)]
    country: Country,
    /// What the customer is called; an invented name when absent.
    #[serde(default)]
    name: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Output {
    #[schemars(extend("x-entity" = "customer"))]
    customer_id: String,
    /// No two customers share one.
    email: String,
    country: Country,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Facts {
    #[schemars(extend("x-volatile" = true))]
    customer_id: String,
    /// REGISTERED, VERIFIED, ACTIVE or SUSPENDED.
    status: String,
    country: String,
}

impl Capability for ActiveCustomer {
    const NAME: &'static str = "active-customer";
    const OPERATIONS: &'static [Operation] =
        &[Operation::Produce, Operation::Check, Operation::Undo, Operation::Find];
    type Input = Input;
    type Output = Output;
    type Facts = Facts;

    fn about(&self) -> About {
        About::new("A customer that is registered, verified and active: may buy.").label("pii", "synthetic")
    }

    async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
        let new = NewCustomer {
            email: format!("{MADE}{}@shop.test", cx.unique()),
            name: input.name.unwrap_or_else(|| (*choose(&NAMES, cx.seed())).to_owned()),
            country: input.country.as_str().to_owned(),
        };
        let made = self.activate(cx.idempotency_key(), &new).await.map(|customer| Output {
            customer_id: customer.customer_id,
            email: customer.email,
            country: input.country,
        });
        produced(cx, made, &[])
    }

    async fn check(&self, _: &Context, _: Input, output: Output) -> Check<Facts> {
        checked(self.0.customer(&output.customer_id).await, |customer| {
            let facts = Facts {
                customer_id: customer.customer_id,
                status: customer.status.to_string(),
                country: customer.country,
            };
            Verdict::when(customer.status == CustomerStatus::Active, facts)
        })
    }

    async fn find(&self, cx: &Context, input: Input) -> Find<Output> {
        let country = input.country.as_str();
        let fits = |customer: &Customer| {
            let is_named = input.name.as_ref().is_none_or(|name| customer.name == *name);
            is_named
                && !customer.email.starts_with(MADE)
                && !cx.is_excluded("customer", &customer.customer_id)
        };
        let mut after = String::new();
        loop {
            let page = self.0.active_in(country, &after).await.map_err(stopped)?;
            let Some(last) = page.last() else { return Ok(None) };
            after.clone_from(&last.customer_id);
            if let Some(customer) = page.into_iter().find(fits) {
                let Customer { customer_id, email, .. } = customer;
                return Ok(Some(Output { customer_id, email, country: input.country }));
            }
        }
    }

    async fn undo(&self, cx: &Context, _: Input, output: Option<Output>) -> Undo {
        self.forget(cx.idempotency_key(), output.map(|output| output.customer_id)).await.map_err(stopped)
    }
}

impl ActiveCustomer {
    /// Goes on from wherever an earlier attempt has left the customer of this key.
    pub(super) async fn activate(&self, key: &str, new: &NewCustomer) -> Result<Customer, Pause> {
        let mut customer = self.0.register(key, new).await?;
        if customer.status == CustomerStatus::Registered {
            customer = self.0.verify(&customer.customer_id).await?;
        }
        if customer.status == CustomerStatus::Verified {
            customer = self.0.activate(&customer.customer_id).await?;
        }
        Ok(customer)
    }

    pub(super) async fn forget(&self, key: &str, id: Option<String>) -> Result<(), Refusal> {
        let id = match id {
            Some(id) => Some(id),
            None => self.0.customer_by_key(key).await?.map(|customer| customer.customer_id),
        };
        match id {
            Some(id) => self.0.delete_customer(&id).await,
            None => Ok(()),
        }
    }
}
