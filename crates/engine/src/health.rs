//! Health: whether this server gets on, whether its store can be written to, and its last moments.

use std::time::Duration;

use sixpack_storage::StoreError;
use sixpack_storage::health::StoreKind;

use crate::Engine;

/// How long the one who writes may be at one batch before it counts as stuck. The slowest disk that can serve at all takes a
/// hundredth of it.
const STUCK: Duration = Duration::from_secs(30);

impl Engine {
    /// What the store is.
    pub fn store_kind(&self) -> StoreKind {
        self.store().kind()
    }

    /// The version of the schema that this build writes.
    pub fn schema_version(&self) -> u32 {
        self.store().schema_version()
    }

    /// Whether the one who writes has been at the same for longer than it may be, so that only a new start helps. Asks no
    /// disk and no database.
    pub fn is_stuck(&self) -> bool {
        self.store().writing_for() > STUCK
    }

    /// Proves that the store can be written to.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.store().ping().await
    }

    /// Answers every parked call at once, because this server is about to stop.
    pub fn release_parked(&self) {
        self.inner.parked.release_all();
        self.inner.requests.wake_all();
        self.inner.ended.wake_all();
        self.inner.committed.beat();
    }
}
