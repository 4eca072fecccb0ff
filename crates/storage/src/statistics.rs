//! Statistics: the last requests for a contract, and the last datasets of it.

use async_trait::async_trait;
use sixpack_model::name::ContractName;
use sixpack_model::statistics::Samples;

use crate::error::StoreError;

/// Reads what statistics are told from.
#[async_trait]
pub trait Statistics: Send + Sync {
    /// The newest requests for each of these contracts and the newest datasets of it, in the order of the contracts. At most `last`
    /// rows of either are looked at, however many there are; those of channels, and requests for several contracts, are left out.
    async fn samples(
        &self,
        environment: &str,
        contracts: &[ContractName],
        last: u32,
    ) -> Result<Vec<Samples>, StoreError>;
}
