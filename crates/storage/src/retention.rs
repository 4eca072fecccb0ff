//! Retention: what has ended goes after a while, a little at a time, unless something still needs it.
//!
//! ```text
//! leases -> trees with their parts and entities -> requests     in this sequence, each when nothing refers to it any more
//! sessions, events
//! ```
//!
//! One method looks at a page of rows in the order of their ids, which begin with the time at which they were made: only rows
//! that are old enough are ever looked at. It says where to go on, so that rows that stay hide none that go.

use async_trait::async_trait;
use sixpack_model::ids::{LeaseId, RequestId, SessionId, TreeId};

use crate::error::StoreError;

/// What one step has taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned<T> {
    /// What is gone.
    pub gone: Vec<T>,
    /// Behind which one to go on; `None` when there is nothing left to look at.
    pub next: Option<T>,
}

/// Takes away what has ended. A span counts from the end of each, by the store's clock; `limit` is how many rows are looked
/// at. Each step is one short transaction, and done again it does no more.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Leases that have ended longer ago than this. One stays while a part of its dataset is a debt.
    async fn prune_leases(
        &self,
        keep_ms: u64,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Pruned<LeaseId>, StoreError>;

    /// Datasets that are gone or failed since longer ago than this, as whole trees. One stays while a part of it is a debt or not
    /// over yet, while a lease on it is held, while its request is open, and while an open request asks for it again. Fewer
    /// than `limit` go at once when they are large.
    async fn prune_trees(
        &self,
        keep_ms: u64,
        after: Option<TreeId>,
        limit: u32,
    ) -> Result<Pruned<TreeId>, StoreError>;

    /// Requests that have ended longer ago than this. One stays while it has a dataset or a lease, and for 24 hours in any case, because
    /// an idempotency key may stand for it.
    async fn prune_requests(
        &self,
        keep_ms: u64,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Pruned<RequestId>, StoreError>;

    /// Sessions that have ended longer ago than this. One stays while it has a task in hand.
    async fn prune_sessions(
        &self,
        keep_ms: u64,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Pruned<SessionId>, StoreError>;

    /// The oldest events, if they were told longer ago than this; returns whether there may be more to take away. A store may
    /// keep them up to a week longer, to take a whole week away at once. The newest event stays.
    async fn prune_events(&self, keep_ms: u64, limit: u32) -> Result<bool, StoreError>;

    /// Makes room for the events of the next weeks, where that has to be made.
    async fn make_room_for_events(&self) -> Result<(), StoreError>;
}
