//! Quarantine: datasets that do not hold any more, until somebody decides about them.

use serde::{Deserialize, Serialize};

use super::{FailureClass, Owner, words};

words! {
    /// What becomes of a dataset in quarantine.
    Resolution {
        /// It is asked about again, and goes back into stock if it holds.
        Retry = "retry",
        /// It is undone.
        Undo = "undo",
        /// It is forgotten as it is; nothing is undone.
        Discard = "discard",
        /// It goes back into stock unasked.
        Return = "return",
    }
}

/// A dataset that does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// The dataset: `ds_…`
    pub dataset_id: String,
    /// Environment.
    #[serde(default)]
    pub environment: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// When it was set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What it was asked about for: `hand_over` or `patrol`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The part that was the first to drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drifted: Option<DriftedPart>,
}

/// The part that was the first to drift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriftedPart {
    /// Where in the tree, with contract and version.
    pub path: String,
    /// The part.
    #[serde(default)]
    pub dataset_id: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// `check`, or `invariant` when every service agrees for itself.
    pub class: FailureClass,
    /// What the service says.
    #[serde(default)]
    pub message: String,
}

/// Body of `POST /v1/datasets/{id}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resolve {
    /// What becomes of it.
    pub resolution: Resolution,
    /// One line of 1 to 500 bytes for whoever reads what happened to it.
    pub reason: String,
}

impl Resolve {
    /// Decides, for this reason.
    pub fn new(resolution: Resolution, reason: impl Into<String>) -> Self {
        Self { resolution, reason: reason.into() }
    }
}

/// Filters of `GET /v1/quarantine`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct QuarantineFilter {
    /// Environment; all that the token sees when absent.
    pub environment: Option<String>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
