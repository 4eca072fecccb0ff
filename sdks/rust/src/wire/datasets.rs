//! Datasets: trees of parts with their timeline.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ContractKind, Evidence, Failure, Operation, Owner, ResolvedDebt, words};

words! {
    /// Status of a dataset or one of its parts.
    DatasetStatus {
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
        /// Held by a lease.
        Leased = "leased",
        /// In stock, and made with an older version of its contract: nobody gets it before it is found to hold.
        Suspect = "suspect",
        /// It was in stock and does not hold any more: somebody has to decide about it.
        Quarantined = "quarantined",
        /// Could not be made.
        Failed = "failed",
        /// Its condition was false.
        Skipped = "skipped",
        /// Its request was cancelled while it was running.
        Cancelling = "cancelling",
        /// Being undone.
        Undoing = "undoing",
        /// Undone.
        Gone = "gone",
        /// Could not be undone.
        Debt = "debt",
    }
}

words! {
    /// Where the data of a dataset comes from.
    Origin {
        /// It was made for the dataset.
        Made = "made",
        /// Its service had it already.
        Found = "found",
        /// Somebody has said that its service has it.
        Imported = "imported",
    }
}

/// How existing data was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Search {
    /// How often the supplier was asked.
    #[serde(default)]
    pub asked: u32,
    /// Why it was made after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
}

/// Why nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GivenUp {
    /// `nothing_found`, `refused`, `find_failed` or `contract_violation`.
    pub code: String,
    /// The same for people.
    #[serde(default)]
    pub message: String,
}

/// The dataset that was in stock, and is a part of another one now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FromStock {
    /// What it was in stock; that one is gone.
    pub dataset_id: String,
    /// When that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<String>,
}

/// A dataset or one of its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dataset {
    /// `ds_…`
    pub id: String,
    /// The root of its tree.
    pub root_id: String,
    /// Environment.
    #[serde(default)]
    pub environment: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// Leaf or inner node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ContractKind>,
    /// Where it stands.
    pub status: DatasetStatus,
    /// Step names from the root; empty for the root.
    #[serde(default)]
    pub path: String,
    /// Name of the step; absent at the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Which attempt at the scenario above it belongs to; only in a part of a step that was made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Where its data comes from: what was found or imported is never undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How it was looked for, if its request said `find_first`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// The dataset in stock that has taken its place; only of a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_stock: Option<FromStock>,
    /// The part of another dataset that it is now; only of what was in stock and is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_id: Option<String>,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// What its check read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// How far it was proven valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Why it, or a part below it, could not be made or undone; its `dataset_id` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// The live lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// The request that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The channel of suppliers under development that the request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// When it was planned.
    #[serde(default)]
    pub created_at: String,
    /// When it became ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<String>,
    /// When it failed or was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Who has looked after what it owed, and what has become of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedDebt>,
    /// The supplier that it waits for, if none is connected; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// Its children, in order of the plan; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Dataset>,
    /// What happened in this tree, oldest first; left out in lists and parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<TimelineEntry>,
}

/// A supplier that a part waits for: none is connected that could do its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitsFor {
    /// What it is to do.
    pub operation: Operation,
    /// The capability that nobody serves.
    pub contract: String,
    /// Its version.
    pub version: u32,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// Since when nobody is there.
    pub since: String,
}

/// Something that happened to a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimelineEntry {
    /// When.
    pub at: String,
    /// What: a kind of event.
    pub kind: String,
    /// Which part.
    #[serde(default)]
    pub path: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// What a supplier was asked to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Which go at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Which session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// How long the attempt was in the supplier's hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Whatever else this kind tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Filters of `GET /v1/datasets`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DatasetFilter {
    /// Environment; `default` when absent.
    pub environment: Option<String>,
    /// Only this contract.
    pub contract: Option<String>,
    /// Only this status.
    pub status: Option<DatasetStatus>,
    /// `kind:key`, for example `customer:c-17`.
    pub entity: Option<String>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
