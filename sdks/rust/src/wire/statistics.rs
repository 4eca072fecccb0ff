//! Statistics: how contracts have been doing.

use serde::{Deserialize, Serialize};

use super::{FailureClass, Owner};

/// How a contract has been doing, told from the last of its requests and datasets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContractStatistics {
    /// `domain/name`
    pub contract: String,
    /// The last requests that somebody made for it.
    #[serde(default)]
    pub requests: RequestCounts,
    /// The last datasets of it.
    #[serde(default)]
    pub datasets: DatasetCounts,
    /// What failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureCause>,
    /// What failed, by reason, the most frequent first; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<FailureCause>>,
}

/// What became of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Got what they asked for.
    pub fulfilled: u64,
    /// Failed.
    pub failed: u64,
    /// Their time was over.
    pub expired: u64,
    /// Nobody wanted them any more.
    pub cancelled: u64,
    /// Of the fulfilled ones, those whose dataset was there, or on its way, before they asked.
    pub from_stock: u64,
    /// How long those waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_stock_ms: Option<Spread>,
    /// How long the other fulfilled ones waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_ms: Option<Spread>,
    /// When the oldest of all of these was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// What became of datasets: asked for, kept in stock, or parts of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetCounts {
    /// Were made.
    pub made: u64,
    /// Could not be made.
    pub failed: u64,
    /// How long those that were made took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_ms: Option<Spread>,
    /// When the oldest of all of these was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spread {
    /// Half took no longer.
    pub median: u64,
    /// Nine of ten took no longer.
    pub p90: u64,
}

/// What failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureCause {
    /// The contract to blame.
    pub contract: String,
    /// What kind of failure it is.
    pub class: FailureClass,
    /// The domain's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// That of the newest.
    pub message: String,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// How many there are.
    pub count: u64,
    /// When the newest was.
    pub last_at: String,
    /// The request that failed last for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The dataset that failed last for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<String>,
}
