//! Extensions as they are shown: by what a leased dataset was advanced, and what came of it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use sixpack_model::extension::Extension;
use sixpack_model::ids::DatasetId;
use sixpack_model::name::ContractName;
use utoipa::ToSchema;

use super::failure::FailureJson;
use super::scalar::Text;
use super::tree::TreeView;
use super::word::{ExtensionStanding, Said};

/// One contract that a leased dataset was advanced by.
#[derive(Serialize, ToSchema)]
#[schema(as = Extension)]
pub(in crate::http) struct ExtensionJson<'a> {
    /// The name of its step in the dataset: `extend_1`.
    step: &'a str,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    /// `building`, `ready`, `failed`; `cancelled` when the lease ended before it was over.
    #[schema(inline)]
    status: ExtensionStanding<'static>,
    /// What the contract's `output` says, once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    output: Option<Cow<'a, Value>>,
    /// Why it failed, and what became of what it had made.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
}

impl<'a> TreeView<'a> {
    /// What the dataset was extended by, the oldest first.
    pub(super) fn extensions(&'a self) -> Vec<ExtensionJson<'a>> {
        let shown = |part: &'a sixpack_model::tree::Part| {
            let extension = part.extension.as_ref()?;
            let failure = match extension {
                Extension::Failed(failure) => Some(&**failure),
                Extension::UnderWay | Extension::Ready => None,
            };
            Some(ExtensionJson {
                step: &part.step,
                dataset_id: Text(self.tree.dataset(part.part)),
                contract: Text(&part.contract),
                version: part.version,
                status: Said::new(match extension {
                    Extension::UnderWay if self.tree.ending.is_some() => "cancelled",
                    Extension::UnderWay => "building",
                    Extension::Ready => "ready",
                    Extension::Failed(_) => "failed",
                }),
                output: self.output(part.part).filter(|_| *extension == Extension::Ready),
                failure: failure.map(|failure| FailureJson::of_extension(failure, self, part.part)),
            })
        };
        self.tree.extensions().filter_map(shown).collect()
    }
}
