//! Events: what happened, as the stream tells it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Operation;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Grows; give it back as `Last-Event-ID`.
    pub id: u64,
    /// When.
    pub at: String,
    /// Environment.
    #[serde(default)]
    pub environment: String,
    /// `dataset.ready`, `request.fulfilled`, …
    pub kind: String,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The dataset or part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<String>,
    /// The lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Which part; empty for a root. Of failures and debts with the contract and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// Version of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// What a supplier was asked to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Which go at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How long the attempt was in the supplier's hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Whatever else this kind tells.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Filters of `GET /v1/events`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventFilter {
    /// Environment; `default` when absent.
    pub environment: Option<String>,
    /// Only this request.
    pub request: Option<String>,
    /// Only this dataset and its parts.
    pub dataset: Option<String>,
}
