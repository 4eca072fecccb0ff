//! What the billing team publishes: an account that can be charged.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::{About, Capability, Check, Context, Operation, Produce, Undo, Verdict};

use super::progress::{Pause, checked, produced, stopped};
use crate::billing::{Account, AccountStatus, NewAccount, NewPaymentMethod};
use crate::client::{BillingClient, Refusal};

/// Billing hears of a new customer a moment after customer has made it.
const UNTIL_NEWS: &[&str] = &["customer_unknown"];

/// What the bank of our partner system bears.
const CONCURRENCY: u32 = 16;

/// Anybody may close an account at any time: it is asked about at every hand-over.
const FRESH_FOR: Duration = Duration::ZERO;

/// `billing/payment-account`.
pub(super) struct PaymentAccount(pub(super) BillingClient);

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// Whose account; billing may hear of the customer a moment later.
    #[schemars(extend("x-entity" = "customer"))]
    customer_id: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Output {
    #[schemars(extend("x-entity" = "account"))]
    account_id: String,
    /// That of the customer's country.
    currency: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Facts {
    #[schemars(extend("x-volatile" = true))]
    account_id: String,
    #[schemars(extend("x-volatile" = true))]
    customer_id: String,
    /// PENDING, OPEN or CLOSED.
    status: String,
    currency: String,
}

impl Capability for PaymentAccount {
    const NAME: &'static str = "payment-account";
    const OPERATIONS: &'static [Operation] = &[Operation::Produce, Operation::Check, Operation::Undo];
    type Input = Input;
    type Output = Output;
    type Facts = Facts;

    fn about(&self) -> About {
        About::new("An open account with a card that the bank has verified: can be charged.")
            .concurrency(CONCURRENCY)
            .fresh_for(FRESH_FOR)
            .label("pii", "none")
    }

    async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
        let made = self.open(cx.idempotency_key(), input.customer_id).await;
        let made = made.map(|account| Output { account_id: account.account_id, currency: account.currency });
        produced(cx, made, UNTIL_NEWS)
    }

    async fn check(&self, _: &Context, input: Input, output: Output) -> Check<Facts> {
        checked(self.0.account(&output.account_id).await, |account| {
            let holds = account.status == AccountStatus::Open && account.customer_id == input.customer_id;
            let facts = Facts {
                account_id: account.account_id,
                customer_id: account.customer_id,
                status: account.status.to_string(),
                currency: account.currency,
            };
            Verdict::when(holds, facts)
        })
    }

    async fn undo(&self, cx: &Context, _: Input, output: Option<Output>) -> Undo {
        self.remove(cx.idempotency_key(), output.map(|output| output.account_id)).await.map_err(stopped)
    }
}

impl PaymentAccount {
    /// Goes on from wherever an earlier call has left the account of this key.
    pub(super) async fn open(&self, key: &str, customer_id: String) -> Result<Account, Pause> {
        let new = NewAccount { customer_id, country: None, currency: None };
        let account = self.0.open_account(key, &new).await?;
        let card = NewPaymentMethod { kind: "card".to_owned() };
        let account = self.0.add_payment_method(&account.account_id, &card).await?;
        if account.status == AccountStatus::Pending {
            return Err(Pause::Unfinished("waiting for the bank to verify the card".to_owned()));
        }
        Ok(account)
    }

    pub(super) async fn remove(&self, key: &str, id: Option<String>) -> Result<(), Refusal> {
        let id = match id {
            Some(id) => Some(id),
            None => self.0.account_by_key(key).await?.map(|account| account.account_id),
        };
        match id {
            Some(id) => self.0.delete_account(&id).await,
            None => Ok(()),
        }
    }
}
