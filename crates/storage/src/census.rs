//! Census: how much there is of what an operator watches, counted up to a bound.
//!
//! The bound makes a full store as quick to count as an empty one.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::StoreError;

/// What the store has at one moment, whichever servers have made it. Numbers that reach the limit may be larger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests that have not ended, those that refill stock among them.
    pub requests_open: u64,
    /// How long ago the time of an open request was over that is overdue longest, in milliseconds; 0 when none is.
    pub request_overdue_ms: u64,
    /// Tasks that wait to be handed out.
    pub tasks_waiting: u64,
    /// How long the task has been due that is due longest, in milliseconds; 0 when none is.
    pub task_due_for_ms: u64,
    /// Tasks in the hands of suppliers.
    pub tasks_claimed: u64,
    /// Effects that could not be undone.
    pub debts: u64,
    /// Datasets in quarantine.
    pub quarantined: u64,
    /// Held leases by environment, in the order of their names.
    pub leases_held: Vec<(String, u64)>,
    /// How long ago the time of a held lease was over that is overdue longest, in milliseconds; 0 when none is.
    pub lease_overdue_ms: u64,
    /// Suppliers with live sessions, in the order of their names.
    pub suppliers: Vec<SupplierCounted>,
    /// What the store takes on its disk.
    pub size_bytes: u64,
    /// What the log takes that is not folded into the database yet; `None` where that is not the store's own matter.
    pub log_bytes: Option<u64>,
    /// When the last backup was done that this store knows of.
    pub backed_up_at: Option<Timestamp>,
}

/// The live sessions of a domain in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupplierCounted {
    /// Where.
    pub environment: String,
    /// Whose.
    pub domain: String,
    /// How many are live.
    pub sessions: u64,
    /// How long ago the last of them was heard of, in milliseconds.
    pub seen_ms_ago: u64,
}

/// Counts what there is.
#[async_trait]
pub trait Census: Send + Sync {
    /// Counts everything at one moment: of each kind no more than `limit` rows are looked at, and no more than `names` suppliers
    /// are told.
    async fn census(&self, limit: u32, names: u32) -> Result<Counted, StoreError>;
}
