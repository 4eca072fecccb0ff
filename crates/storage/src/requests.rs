//! Requests: accepted once, however often they are sent.

use async_trait::async_trait;
use sixpack_model::event::Event;
use sixpack_model::ids::{LeaseId, RequestId, TokenId, TreeId};
use sixpack_model::plan::Change;
use sixpack_model::request::{Request, RequestStatus};

use crate::error::StoreError;
use crate::page::Page;
use crate::trees::RequestEnd;

/// Makes a repeated call answer what the first one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose key it is.
    pub token: TokenId,
    /// The key.
    pub key: String,
    /// Fingerprint of the parsed body, so that another body under the same key is told apart.
    pub body: [u8; 32],
}

/// How many leases there may be at one time, held ones and those that open requests have asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Of the token that asks.
    pub per_token: u64,
    /// Of all tokens in the environment.
    pub per_environment: u64,
}

impl Quota {
    /// None at all.
    pub const UNLIMITED: Self = Self { per_token: u64::MAX, per_environment: u64::MAX };
}

/// Whose quota a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaOf {
    /// That of the token that asks.
    Token,
    /// That of all tokens in the environment.
    Environment,
}

/// A quota that a request would exceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverQuota {
    /// Whose.
    pub of: QuotaOf,
    /// How many leases there may be.
    pub limit: u64,
    /// How many there are, those of open requests included.
    pub taken: u64,
}

/// A request with the first decision about each of its trees.
#[derive(Debug)]
pub struct NewRequest {
    /// The request.
    pub request: Request,
    /// Its trees in the order of its units: as they are before, and what is decided first (`expected` version 0).
    pub trees: Vec<Change>,
    /// Ids for the leases that are granted when everything is ready with the first decision already, because every
    /// step is left out; one for each tree.
    pub leases: Vec<LeaseId>,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// How many leases there may be with those that it asks for.
    pub quota: Quota,
    /// What to tell.
    pub event: Event,
}

/// What became of a new request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is accepted.
    Accepted,
    /// The same caller sent the same before: this is that request.
    Replayed(RequestId),
    /// The same caller used the key for something else.
    KeyReused,
    /// There would be more leases than the quota allows. The key stands for nothing.
    OverQuota(OverQuota),
}

/// What became of the wish to end a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It ended now.
    Now,
    /// It had ended before, as this.
    Before(RequestStatus),
    /// There is no such request.
    Unknown,
}

/// Which requests to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this status.
    pub status: Option<RequestStatus>,
    /// Only requests whose first unit asks for this contract.
    pub contract: Option<String>,
}

/// Reads and writes requests.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Accepts a request: its row, its trees with their parts and ready tasks, the idempotency record and the events
    /// are one transaction. A key stands for its request for 24 hours of the store's clock, and for nothing afterwards,
    /// whether or not it was forgotten.
    ///
    /// Its leases count from now on, until it ends without them or each of them has ended: whatever is under way can be
    /// granted without exceeding the quota. A request that was accepted before is answered whatever the quota says.
    async fn create_request(&self, new: NewRequest) -> Result<Created, StoreError>;

    /// Looks an idempotency key up without writing; one older than 24 hours is not there.
    async fn find_idempotent(&self, idempotency: &Idempotency) -> Result<Option<Created>, StoreError>;

    /// Reads one request.
    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError>;

    /// The trees of a request, in the order of its units.
    async fn trees_of(&self, id: RequestId) -> Result<Vec<TreeId>, StoreError>;

    /// Lists requests, newest first.
    async fn requests(
        &self,
        filter: &RequestFilter,
        page: Page<RequestId>,
    ) -> Result<Vec<Request>, StoreError>;

    /// Ends an open request as `status` (cancelled, expired or failed). Its trees are taken down afterwards by whoever
    /// finds them among the unwanted.
    async fn end_request(
        &self,
        id: RequestId,
        status: RequestStatus,
        end: RequestEnd,
    ) -> Result<Ended, StoreError>;

    /// Open requests whose deadline has passed, at most `limit`, behind `after` in id order.
    async fn overdue_requests(
        &self,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<RequestId>, StoreError>;

    /// Forgets idempotency keys older than 24 hours, at most `limit` of them; returns how many. Nothing depends on when
    /// that is done.
    async fn forget_keys(&self, limit: u32) -> Result<u64, StoreError>;
}
