//! Requests: accepted once, however often they are sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use sixpack_model::event::Event;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TokenId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::plan::Change;
use sixpack_model::request::{Request, RequestStatus};

use crate::error::StoreError;
use crate::page::{Listed, Page};
use crate::stock::StockWish;
use crate::tasks::{Claimant, Claimed};
use crate::trees::RequestEnd;

/// A dataset for a unit of an open request that has none.
#[derive(Debug)]
pub struct UnitFill {
    /// The request.
    pub request: RequestId,
    /// The unit.
    pub unit: u32,
    /// What it would take from stock.
    pub wish: Option<Arc<StockWish>>,
    /// How far it looks for that.
    pub looking: Looking,
    /// What it was given before and could not be handed over: it is left where it is.
    pub but: BTreeSet<TreeId>,
    /// What is made for it, if nothing is found.
    pub tree: Option<Change>,
    /// Ids for the leases that are granted when that completes the request; one for each unit.
    pub leases: Vec<LeaseId>,
}

/// What became of a unit that had no dataset.
#[derive(Debug, Clone, PartialEq)]
pub enum Filled {
    /// It has one from stock, and with it the request may be complete.
    Served(Served),
    /// Its own is made.
    Made,
    /// Nothing was found, and nothing is to be made. Nothing was written.
    Short,
    /// It has one already, or nobody wants it any more. Nothing was written.
    NotVacant,
}

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

/// How many leases there are, held ones and those that open requests have asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaTaken {
    /// Of the token.
    pub by_token: u64,
    /// Of all tokens in the environment.
    pub in_environment: u64,
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
    /// Its trees in the order of its units: as they are before, and what is decided first (`expected` version 0). What
    /// is found in stock takes the place of the tree of its unit. None at all when everything has to be found there.
    pub trees: Vec<Change>,
    /// What each unit would take from stock, in the order of the units; none when nothing is to be taken.
    pub wishes: Vec<Option<Arc<StockWish>>>,
    /// How far it looks for them.
    pub looking: Looking,
    /// Ids for the leases that are granted when everything is ready at once, because it is in stock or every step is left
    /// out; one for each unit.
    pub leases: Vec<LeaseId>,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// How many leases there may be with those that it asks for.
    pub quota: Quota,
    /// What to tell.
    pub event: Event,
}

/// What became of a new request.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It is accepted, and everything of it is to be made.
    Accepted,
    /// It is accepted, and some or all of it came from stock.
    Served(Served),
    /// Not everything that has to be in stock is there. Nothing was written.
    Short,
    /// The same caller sent the same before: this is that request.
    Replayed(RequestId),
    /// The same caller used the key for something else.
    KeyReused,
    /// There would be more leases than the quota allows. The key stands for nothing.
    OverQuota(OverQuota),
}

/// What a new request was given at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Datasets that were ready, or are being made already, in the order of the units.
    pub taken: Vec<Taken>,
    /// The leases, in the order of the units, when everything was ready.
    pub leases: Option<Vec<Lease>>,
}

/// A dataset that has taken the place of the one that would have been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// For which unit.
    pub unit: u32,
    /// Which one.
    pub tree: TreeId,
    /// Its version now, one more than before.
    pub version: u64,
    /// Where it was.
    pub line: LineId,
    /// How it was there.
    pub how: How,
}

/// How a dataset was there that a request was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// In stock, with evidence that is fresh.
    Ready,
    /// In stock, with evidence that is too old: it is `suspect` until it was asked about.
    Suspect,
    /// It was being made for stock.
    Coming,
}

/// How far a request looks for what it wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// Only for what can be leased at once.
    Fresh,
    /// Also for what has to be asked about first.
    InStock,
    /// Also for what is being made; and the rest is made.
    Anywhere,
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
    /// Only those that refill stock, or only the others.
    pub refills: Option<bool>,
    /// Only requests of this holder.
    pub holder: Option<String>,
}

/// Reads and writes requests.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Accepts a request, with what is in stock of what it wishes: for each unit the oldest that meets its wish and whose
    /// evidence is fresh, or else one that is being made for stock, which is then made at the request's priority. When all
    /// are ready, they are leased at once and the request is fulfilled with its first breath.
    ///
    /// Its row, its trees with their parts and ready tasks, the idempotency record and the events
    /// are one transaction. A key stands for its request for 24 hours of the store's clock, and for nothing afterwards,
    /// whether or not it was forgotten.
    ///
    /// Its leases count from now on, until it ends without them or each of them has ended: whatever is under way can be
    /// granted without exceeding the quota. A request that was accepted before is answered whatever the quota says.
    async fn create_request(&self, new: NewRequest) -> Result<Created, StoreError>;

    /// The same, and tasks that it makes ready may be claimed with it, as those of
    /// [`write_tree_claiming`](crate::trees::Trees::write_tree_claiming) are.
    async fn create_request_claiming(
        &self,
        new: NewRequest,
        claimants: Vec<Claimant>,
    ) -> Result<(Created, Vec<Claimed>), StoreError>;

    /// Gives a dataset to a unit of an open request that has none.
    async fn fill_unit(&self, fill: UnitFill) -> Result<Filled, StoreError>;

    /// Units of open requests that have no dataset, at most `limit`, behind `after`.
    async fn vacant_units(
        &self,
        after: Option<(RequestId, u32)>,
        limit: u32,
    ) -> Result<Vec<(RequestId, u32)>, StoreError>;

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
    ) -> Result<Listed<Request, RequestId>, StoreError>;

    /// How many leases count against the quotas of a token and of an environment.
    async fn quota_taken(&self, token: TokenId, environment: &str) -> Result<QuotaTaken, StoreError>;

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
