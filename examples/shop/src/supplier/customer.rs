//! What the customer team publishes: a customer that may buy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::{About, Capability, Check, Context, Operation, Produce, Undo, Verdict};

use super::progress::{Pause, checked, produced, stopped};
use super::{Country, choose};
use crate::client::{CustomerClient, Refusal};
use crate::customer::{Customer, CustomerStatus, NewCustomer};

/// Names that are nobody's.
const NAMES: [&str; 6] = ["Ada Test", "Boris Test", "Chloé Test", "Dana Test", "Emil Test", "Františka Test"];

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
    const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Check, Operation::Undo];
    type Input = Input;
    type Output = Output;
    type Facts = Facts;

    fn about(&self) -> About {
        About::new("A customer that is registered, verified and active: may buy.").label("pii", "synthetic")
    }

    async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
        let new = NewCustomer {
            email: format!("test.{}@shop.test", cx.unique()),
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
