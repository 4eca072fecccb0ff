//! Debts: effects that could not be undone and need a person, or wait for their supplier.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Owner, words};

words! {
    /// What is the matter with something that is owed.
    DebtStatus {
        /// Its undo is exhausted: it stays until a person resolves it.
        Debt = "debt",
        /// Its supplier is not connected, and undoes it when it is.
        Waiting = "waiting",
    }
}

/// An effect that could not be undone, or waits for its supplier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Debt {
    /// The part.
    pub dataset_id: String,
    /// The root of its tree.
    #[serde(default)]
    pub root_id: String,
    /// Environment.
    #[serde(default)]
    pub environment: String,
    /// What is the matter with it.
    #[serde(default = "exhausted")]
    pub status: DebtStatus,
    /// Where in the tree, with contract and version.
    pub path: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// Since when.
    #[serde(default)]
    pub since: String,
    /// Goes at undoing it.
    #[serde(default)]
    pub attempts: u32,
    /// The domain's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The domain's own words.
    #[serde(default)]
    pub message: String,
    /// What was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The request that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The channel of suppliers under development that the request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// What an older server lists.
fn exhausted() -> DebtStatus {
    DebtStatus::Debt
}

/// Body of `POST /v1/debts/{id}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResolveDebt {
    /// One line of 1 to 500 bytes for whoever reads what happened to it.
    pub reason: String,
}

impl ResolveDebt {
    /// Says what has become of it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// That somebody has looked after an effect that could not be undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResolvedDebt {
    /// The name of the token that said so.
    #[serde(default)]
    pub by: String,
    /// What has become of it, in their words.
    #[serde(default)]
    pub reason: String,
    /// When.
    #[serde(default)]
    pub at: String,
}

/// Filters of `GET /v1/debts`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DebtFilter {
    /// Environment; `default` when absent.
    pub environment: Option<String>,
    /// Only this contract.
    pub contract: Option<String>,
    /// Only this status.
    pub status: Option<DebtStatus>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
