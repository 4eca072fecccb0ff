//! What the QA team publishes: a composition in code, for what a scenario file would say less well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sixpack::wire::Child;
use sixpack::{About, Capability, Context, NoFacts, Operation, Produce};

use super::Country;

/// What both buyers are made by.
const READY_CUSTOMER: &str = "checkout/ready-customer";

/// `qa/two-buyers`.
pub(super) struct TwoBuyers;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// Where the first buyer lives.
    #[serde(default)]
    first_country: Country,
    /// Where the second buyer lives.
    #[serde(default)]
    second_country: Country,
}

/// What is used of a ready customer.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Buyer {
    customer_id: String,
    order_id: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Output {
    first: Buyer,
    second: Buyer,
}

/// There is no check and no undo: both children have theirs.
impl Capability for TwoBuyers {
    const NAME: &'static str = "two-buyers";
    const OPERATIONS: &'static [Operation] = &[Operation::Produce];
    type Input = Input;
    type Output = Output;
    type Facts = NoFacts;

    fn about(&self) -> About {
        About::new(
            "Two customers that are ready for the checkout at the same time, for tests of what they share.",
        )
        .label("pii", "synthetic")
    }

    async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
        let buyer = |name: &str, country: Country| {
            Child::new(name, READY_CUSTOMER, serde_json::json!({ "country": country }))
        };
        let children = cx
            .obtain_all([buyer("first", input.first_country), buyer("second", input.second_country)])
            .await?;
        Ok(Output { first: children.output("first")?, second: children.output("second")? })
    }
}
