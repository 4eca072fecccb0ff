//! Doubts: capabilities that are not believed, because they call most of what is in stock invalid.
//!
//! A doubt begins and ends in the transaction that writes what the capability has said, so that all servers agree, and
//! that not one dataset more goes away upon its word. See [`sixpack_model::doubt`].

use async_trait::async_trait;
use sixpack_model::doubt::Doubt;
use sixpack_model::ids::TreeId;
use sixpack_model::name::ContractName;

use crate::error::StoreError;

/// What became of a probe that was to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probing {
    /// The dataset is to be asked about; what the capability says of it counts.
    Begun,
    /// Another one began not long ago, or the capability is believed. Nothing was written.
    NotNow,
}

/// Keeps what is doubted.
#[async_trait]
pub trait Doubts: Send + Sync {
    /// All capabilities that are doubted, of all environments: a few, or none.
    async fn doubts(&self) -> Result<Vec<Doubt>, StoreError>;

    /// Begins to probe a doubted capability with a dataset, if the pause since the last probe is over.
    async fn begin_probe(
        &self,
        environment: &str,
        contract: &ContractName,
        tree: TreeId,
    ) -> Result<Probing, StoreError>;

    /// Ends the doubt about a capability, because there is nothing in stock any more that it could be probed with. Nothing
    /// happens when it is believed already.
    async fn end_doubt(&self, environment: &str, contract: &ContractName) -> Result<(), StoreError>;
}
