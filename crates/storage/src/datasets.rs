//! Datasets: searching them, and what is owed.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::tree::PartStatus;

use crate::error::StoreError;
use crate::page::{Listed, Page};

/// A line in a list of datasets.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetRow {
    /// The dataset.
    pub id: DatasetId,
    /// Where it lives.
    pub environment: String,
    /// What it is an instance of.
    pub contract: String,
    /// In which version.
    pub version: u32,
    /// Where it stands.
    pub status: PartStatus,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// Which datasets to list; newest first. Without an entity only roots are listed.
#[derive(Debug, Clone, Default)]
pub struct DatasetFilter {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only instances of this contract, parts included.
    pub contract: Option<String>,
    /// Only this status.
    pub status: Option<PartStatus>,
    /// Only datasets that hold this entity: kind and key.
    pub entity: Option<(String, String)>,
}

/// Searches datasets.
#[async_trait]
pub trait Datasets: Send + Sync {
    /// Lists datasets, newest first.
    async fn datasets(
        &self,
        filter: &DatasetFilter,
        page: Page<DatasetId>,
    ) -> Result<Listed<DatasetRow, DatasetId>, StoreError>;

    /// Effects that could not be undone, oldest first.
    async fn debts(
        &self,
        environment: Option<&str>,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError>;

    /// Parts whose undo has been due for at least `grace_ms` while no live session serves their capability for at least as
    /// long, with since when; in the order of their ids.
    async fn waiting_undos(
        &self,
        environment: Option<&str>,
        grace_ms: u64,
        page: Page<DatasetId>,
    ) -> Result<Vec<(DatasetId, Timestamp)>, StoreError>;

    /// How many of these there are in each environment that has any.
    async fn count_waiting_undos(&self, grace_ms: u64) -> Result<Vec<(String, u64)>, StoreError>;

    /// How many trees there are by the status of their root, for metrics.
    async fn count_trees(&self) -> Result<Vec<(PartStatus, u64)>, StoreError>;

    /// The environment of a tree, for deciding who may see it.
    async fn environment_of(&self, tree: TreeId) -> Result<Option<String>, StoreError>;
}
