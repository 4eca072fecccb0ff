//! Whom a part waits for: nobody is connected who could do its task.

use serde::Serialize;
use sixpack_model::name::ContractName;
use utoipa::ToSchema;

use super::owner::OwnerJson;
use super::scalar::{Text, Time};
use super::tree::TreeView;
use super::word::{OperationWord, Word};

/// A supplier that is awaited.
#[derive(Serialize, ToSchema)]
#[schema(as = WaitsFor)]
pub(in crate::http) struct WaitsForJson<'a> {
    /// What it is to do.
    #[schema(inline)]
    operation: OperationWord,
    /// The capability that nobody serves.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerJson<'a>>,
    /// Since when the task is due and nobody is there.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
}

impl<'a> WaitsForJson<'a> {
    /// `None` when it waits for nobody, or that is not known.
    pub(in crate::http) fn of(view: &'a TreeView<'a>, number: u32) -> Option<Self> {
        let (part, since) = (view.part(number), view.waits_since(number)?);
        Some(Self {
            operation: Word(part.task.as_ref()?.operation),
            contract: Text(&part.contract),
            version: part.version,
            owner: view.owner(number),
            since: Time(since),
        })
    }
}
