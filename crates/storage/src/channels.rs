//! Channels: in which of them somebody is live, and what that puts over the catalogue.

use async_trait::async_trait;

use crate::error::StoreError;

/// Reads channels. They come and go with [sessions](crate::sessions).
#[async_trait]
pub trait Channels: Send + Sync {
    /// Channels of an environment in which a supplier is live, by name.
    async fn channels(&self, environment: &str) -> Result<Vec<String>, StoreError>;

    /// The capabilities (`domain/name`) that live suppliers of a channel perform, by name, and the version of each.
    /// Nothing when nobody is live in it.
    async fn overlay(&self, environment: &str, channel: &str) -> Result<Vec<(String, u32)>, StoreError>;
}
