//! Requests: a consumer's order, its progress, and why it failed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FromStock, Lease, Operation, Owner, Rerun, Warning, words};

words! {
    /// `queued -> building -> fulfilled | failed | cancelled | expired`; the last four are final.
    RequestStatus {
        /// Nothing has begun.
        Queued = "queued",
        /// Datasets are being made.
        Building = "building",
        /// Leases on all datasets are there.
        Fulfilled = "fulfilled",
        /// Some part could not be made.
        Failed = "failed",
        /// Cancelled by its consumer or an administrator.
        Cancelled = "cancelled",
        /// The deadline passed.
        Expired = "expired",
    }
}

impl RequestStatus {
    /// Whether the status is final.
    pub fn ended(self) -> bool {
        matches!(self, Self::Fulfilled | Self::Failed | Self::Cancelled | Self::Expired)
    }
}

words! {
    /// Where a dataset may come from.
    Source {
        /// From stock when there is some, else made.
        StockFirst = "stock_first",
        /// From stock, or not at all: it is refused, or ends, as `out_of_stock`.
        StockOnly = "stock_only",
        /// Always made.
        Fresh = "fresh",
        /// What the service has already and nobody is using, else made. Of capabilities that offer `find`.
        FindFirst = "find_first",
    }
}

words! {
    /// What the evidence of a dataset has to be.
    Require {
        /// Every service has said in time that it holds.
        Fresh = "fresh",
    }
}

words! {
    /// Who is served first where a capability is limited.
    Priority {
        /// Somebody waits in front of a screen.
        Person = "person",
        /// A pipeline waits.
        Pipeline = "pipeline",
        /// A stock rule is refilled; cannot be asked for.
        Stock = "stock",
        /// Stock is looked after; cannot be asked for.
        Patrol = "patrol",
    }
}

words! {
    /// Status of one part of a dataset tree.
    StepStatus {
        /// Needs something else first.
        Pending = "pending",
        /// Waits for a supplier, a free slot or a retry.
        Waiting = "waiting",
        /// Being produced.
        Building = "building",
        /// Being checked.
        Checking = "checking",
        /// Made, and valid as far as it can be checked.
        Ready = "ready",
        /// In stock, and made with an older version of its contract: nobody gets it before it is found to hold.
        Suspect = "suspect",
        /// It was in stock and does not hold any more: somebody has to decide about it.
        Quarantined = "quarantined",
        /// Could not be made.
        Failed = "failed",
        /// Its condition was false.
        Skipped = "skipped",
        /// Being undone.
        Undoing = "undoing",
        /// Undone.
        Gone = "gone",
        /// Could not be undone.
        Debt = "debt",
        /// Its request was cancelled while it was running.
        Cancelling = "cancelling",
    }
}

words! {
    /// Why a dataset could not be made.
    FailureClass {
        /// The domain said no.
        Rejected = "rejected",
        /// The supplier could not do it now, in any of its attempts: the input is not to blame.
        Unavailable = "unavailable",
        /// An answer broke its published schema.
        ContractViolation = "contract_violation",
        /// No session offered the capability in time.
        SupplierOffline = "supplier_offline",
        /// A deadline passed.
        Timeout = "timeout",
        /// Suppliers went away in the middle of it, until the attempts were used up.
        Crashed = "crashed",
        /// An expression could not be evaluated.
        Binding = "binding",
        /// All parts are valid and contradict each other.
        Invariant = "invariant",
        /// A check did not answer valid.
        Check = "check",
        /// An orchestrator asked for impossible children.
        Orchestration = "orchestration",
    }
}

/// Body of `POST /v1/requests`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewRequest {
    /// Environment; `default` when absent, and with `rerun_of` that of the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Contract `domain/name`; excludes `items`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// Input of `contract`; `{}` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Several contracts, all or nothing (at most 100).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// How many datasets of `contract` (1 to 1000); 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// A dataset that is asked for again, in place of `contract`, `input`, `items` and `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// Stock or fresh; `stock_first` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Properties of the input that rank what is in stock; they exclude nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Value>,
    /// Criteria on what the output marks `x-selectable`; served from stock or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Value>,
    /// What the evidence of what comes from stock has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
    /// Length of the leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
    /// Who uses it, for people (at most 200 bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Total deadline (1 to 86400); 300 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Person or pipeline; `pipeline` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// A channel of suppliers under development: what they offer takes the place of what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// One contract with its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Item {
    /// Contract `domain/name`.
    pub contract: String,
    /// The version that the request runs on; never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Its input; `{}` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

impl Item {
    /// A contract and its input.
    pub fn new(contract: impl Into<String>, input: Value) -> Self {
        Self { contract: contract.into(), version: None, input: Some(input) }
    }
}

/// Length of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaseTerms {
    /// 1 to 86400 seconds from fulfilment.
    pub ttl_s: u64,
}

impl LeaseTerms {
    /// Leases of `ttl_s` seconds.
    pub fn new(ttl_s: u64) -> Self {
        Self { ttl_s }
    }
}

/// A request as the server shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Request {
    /// `req_…`
    pub id: String,
    /// Environment.
    pub environment: String,
    /// Contract, unless `items` were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The version of `contract` that the request runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Input with defaults filled in; secrets are `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What was asked for in place of `contract`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// How many datasets of `contract`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Stock or fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The stock rule that it refills; what it makes is leased to nobody before somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refills: Option<String>,
    /// Requests that wait for the same dataset from stock and come first; `None` when it does not wait in line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Length of the leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
    /// Person, pipeline or stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The channel of suppliers under development that it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where it stands.
    pub status: RequestStatus,
    /// Grows with every visible change.
    pub revision: u64,
    /// When it was made.
    pub created_at: String,
    /// When it became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// When it expires.
    pub deadline_at: String,
    /// Who uses it.
    #[serde(default)]
    pub holder: String,
    /// Empty until fulfilled; then in the order of `items`.
    #[serde(default)]
    pub leases: Vec<Lease>,
    /// How it relates to the dataset that it asks for again, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Rerun>,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
    /// What is probably not meant: inputs that nothing reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Why it ended without leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// How far a request is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Leaves that are ready or skipped.
    pub done: u64,
    /// Leaves known so far.
    pub total: u64,
    /// One entry a leaf, in order of the plan; left out in lists.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One leaf of a request's datasets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The part; absent as long as the step has not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<String>,
    /// Step names from the root; empty for a root.
    pub path: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Where it stands.
    pub status: StepStatus,
    /// The dataset in stock that it was a part of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_stock: Option<FromStock>,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Which go at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What the supplier says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Why a dataset could not be made, and whom to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// `payment › billing/payment-account@3`
    pub path: String,
    /// What kind of failure.
    pub class: FailureClass,
    /// The domain's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The domain's own words.
    #[serde(default)]
    pub message: String,
    /// The domain's own details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Contract that failed.
    pub contract: String,
    /// Its version.
    pub version: u32,
    /// The part that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<String>,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// How many goes were had.
    #[serde(default)]
    pub attempts: u32,
    /// The steps around it that had been made anew, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retried: Vec<Retried>,
    /// Paths of the parts that depended on it and were never begun.
    #[serde(default)]
    pub blocked: Vec<String>,
    /// How often the same contract failed lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lately: Option<Lately>,
    /// What became of that which had been made.
    #[serde(default)]
    pub undo: UndoState,
}

/// A step that was made anew before the dataset failed all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Retried {
    /// `ready › checkout/ready-customer@2`
    pub path: String,
    /// How many attempts were made at it, the last one included.
    pub attempts: u32,
}

/// How often a contract failed since a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lately {
    /// Failures.
    pub failures: u64,
    /// Of how many.
    pub of: u64,
    /// Since when.
    pub since: String,
    /// When the first of those that failed since then was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed_at: Option<String>,
}

/// What became of the parts that had been made, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UndoState {
    /// Undone.
    #[serde(default)]
    pub done: Vec<String>,
    /// Still to be undone.
    #[serde(default)]
    pub pending: Vec<String>,
    /// Could not be undone.
    #[serde(default)]
    pub debts: Vec<String>,
}

/// Filters of `GET /v1/requests`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RequestFilter {
    /// Environment; `default` when absent.
    pub environment: Option<String>,
    /// Only this status.
    pub status: Option<RequestStatus>,
    /// Only this contract.
    pub contract: Option<String>,
    /// `true`: only those that refill stock; `false`: only the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refills: Option<bool>,
    /// Only this holder, exactly.
    pub holder: Option<String>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
