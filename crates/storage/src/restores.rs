//! Restores: what has to be true of a store that is an older one of itself.
//!
//! Between the backup and its restore the store went on, and others remember what it said: holders of leases, suppliers with
//! tasks, readers of events. None of that may be mistaken for something that the restored store says.

use async_trait::async_trait;

use crate::error::StoreError;

/// How far the numbers of events jump: more than a store tells between a backup and its restore, and so few that JavaScript
/// keeps the numbers exact after a hundred thousand restores.
pub(crate) const EVENTS_JUMP: i64 = 1 << 36;

/// What was done to a restored store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// How many leases were held when the backup was made.
    pub leases: u64,
    /// How many sessions were live or draining then.
    pub sessions: u64,
    /// How many datasets were in stock then.
    pub in_stock: u64,
    /// The upper part of every fence from now on.
    pub fence_epoch: u64,
}

/// Makes a restored store one that goes on.
#[async_trait]
pub trait Restores: Send + Sync {
    /// To be called once behind a restore, before a server opens the store. Over PostgreSQL whoever has it open besides is told
    /// [`StoreError::Restored`] with its next connection; this one goes on with the new fences.
    ///
    /// Leases that were held are over: they expire as any other whose deadline has passed. Fences are above all that were ever given
    /// out. Sessions are dead, so that their tasks are handed out again. What is in stock is asked about before it is handed out:
    /// it may have been since. Idempotency keys stay. Whoever has read events of the store as it was is told that some are gone, and
    /// the first event that they read behind that is `store.restored`, from this source.
    async fn after_restore(&self, from: &str) -> Result<Restored, StoreError>;
}
