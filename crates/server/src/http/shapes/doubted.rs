//! Doubts: a capability that is not believed, since when, why, and whom to ask.

use serde::Serialize;
use sixpack_engine::Doubted;
use sixpack_model::name::ContractName;
use utoipa::ToSchema;

use super::owner::OwnerJson;
use super::scalar::{Text, Time};

/// A capability that calls most of what is in stock invalid: none of that is handed out.
#[derive(Serialize, ToSchema)]
#[schema(as = Doubted)]
pub(in crate::http) struct DoubtedJson<'a> {
    /// Which capability, how often, since when, and why.
    message: String,
    /// The capability.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    owner: OwnerJson<'a>,
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// How many of the last datasets in stock it has called invalid.
    invalid: u32,
    /// Of how many.
    of: u32,
    /// How many probes in a row have held; three end it.
    held: u32,
}

impl<'a> From<&'a Doubted> for DoubtedJson<'a> {
    fn from(doubted: &'a Doubted) -> Self {
        let Doubted { doubt, owner } = doubted;
        Self {
            message: doubt.told(),
            contract: Text(&doubt.contract),
            owner: OwnerJson::from(owner),
            since: Time(doubt.since),
            invalid: doubt.invalid,
            of: doubt.of,
            held: doubt.held,
        }
    }
}
