//! Entities: which things in services datasets have for themselves.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sixpack_model::ids::TreeId;
use sixpack_model::name::ContractName;
use sixpack_model::schema::Entity;

use crate::error::StoreError;

/// What datasets have to do with that are not over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InUse {
    /// Entities of trees that are ready, leased, set aside, being undone, or owe something.
    pub owned: Vec<(TreeId, Entity)>,
    /// What parts of trees have made that are being made: only their contracts say which entities that names.
    pub made: Vec<(TreeId, Made)>,
}

/// What a part has made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// By which contract.
    pub contract: ContractName,
    /// In which version.
    pub version: u32,
    /// What.
    pub output: Arc<Value>,
}

/// Reads what datasets have for themselves.
#[async_trait]
pub trait Entities: Send + Sync {
    /// What the trees of an environment have to do with, but for this one, and are not over; those of the newest trees first.
    ///
    /// Of very many trees, and of very large ones, only some are looked at: what is left out here is refused when it is
    /// taken.
    async fn in_use(&self, environment: &str, but: TreeId) -> Result<InUse, StoreError>;
}
