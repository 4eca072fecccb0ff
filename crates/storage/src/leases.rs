//! Leases: reading and renewing; granting and ending belong to the write of a tree.

use async_trait::async_trait;
use sixpack_model::ids::{LeaseId, RequestId, TokenId};
use sixpack_model::lease::{Lease, LeaseStatus};

use crate::error::StoreError;
use crate::page::{Listed, Page};

/// What became of a renewal.
#[derive(Debug, Clone, PartialEq)]
pub enum Renewed {
    /// It lasts until the new deadline, which is never earlier than the old one.
    Until(Lease),
    /// The fence is not the live one.
    Fenced(Lease),
    /// The lease has ended, or its deadline has passed.
    Ended(Lease),
    /// There is no such lease.
    Unknown,
}

/// Which leases to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct LeaseFilter {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this status.
    pub status: Option<LeaseStatus>,
    /// Only leases of datasets of this contract.
    pub contract: Option<String>,
    /// Only leases of this holder.
    pub holder: Option<String>,
    /// Only leases that this token asked for.
    pub token: Option<TokenId>,
}

/// Reads and renews leases.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Reads one lease.
    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError>;

    /// The leases of a request, in the order of its units.
    async fn leases_of(&self, id: RequestId) -> Result<Vec<Lease>, StoreError>;

    /// Lists leases, newest first.
    async fn leases(
        &self,
        filter: &LeaseFilter,
        page: Page<LeaseId>,
    ) -> Result<Listed<Lease, LeaseId>, StoreError>;

    /// How many leases are held, by environment; those without one are left out.
    async fn count_held_leases(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// Moves the deadline of a held lease to `ttl_ms` from now; never to an earlier time.
    async fn renew_lease(&self, id: LeaseId, fence: u64, ttl_ms: Option<u64>) -> Result<Renewed, StoreError>;

    /// Held leases whose deadline has passed, at most `limit`, behind `after` in id order.
    async fn overdue_leases(&self, after: Option<LeaseId>, limit: u32) -> Result<Vec<Lease>, StoreError>;
}
