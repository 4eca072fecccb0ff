//! Events: read in the order of their commits.

use async_trait::async_trait;
use sixpack_model::event::Event;
use sixpack_model::ids::{RequestId, TreeId};

use crate::error::StoreError;

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this request.
    pub request: Option<RequestId>,
    /// Only this tree.
    pub tree: Option<TreeId>,
}

/// Reads events.
#[async_trait]
pub trait Events: Send + Sync {
    /// Events behind `after`, oldest first, at most `limit`.
    async fn events(&self, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The newest sequence number; 0 when nothing ever happened.
    async fn last_sequence(&self) -> Result<u64, StoreError>;

    /// The newest event that was taken away because it was old; 0 when none was. Whoever has seen this one or a later one has
    /// missed none.
    async fn events_gone(&self) -> Result<u64, StoreError>;
}
