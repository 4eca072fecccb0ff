//! Contracts: what the catalogue lists, and the environments that it lists them for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Doubted, Fault, Operation, Owner, Rate, RetryRule, words};

words! {
    /// What a contract is made of.
    ContractKind {
        /// Made by one domain's supplier.
        Capability = "capability",
        /// Composed of other contracts.
        Scenario = "scenario",
    }
}

words! {
    /// Whether a contract can be made now.
    ContractStatus {
        /// Suppliers of all parts are there.
        Online = "online",
        /// Some part has no live session.
        Offline = "offline",
        /// A scenario whose parts no longer fit.
        Broken = "broken",
    }
}

words! {
    /// How a version differs from the one before.
    Change {
        /// The first one.
        New = "new",
        /// No difference.
        Same = "same",
        /// Another text of a scenario file, and the same version: nothing that others depend on has changed.
        Updated = "updated",
        /// Everybody who uses it goes on.
        Compatible = "compatible",
        /// Somebody who uses it may suffer.
        Breaking = "breaking",
    }
}

/// A target landscape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// When it appeared.
    #[serde(default)]
    pub created_at: String,
    /// Contracts in its catalogue.
    #[serde(default)]
    pub contracts: u64,
    /// Live sessions.
    #[serde(default)]
    pub sessions: u64,
    /// Held leases.
    #[serde(default)]
    pub leases: u64,
    /// Undos that have been waiting longer than the server's grace for a supplier that is not connected.
    #[serde(default)]
    pub waiting_undos: u64,
}

/// A contract as lists show it; [`Contract`] adds the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContractSummary {
    /// `domain/name`
    pub name: String,
    /// Newest version.
    pub version: u32,
    /// Capability or scenario.
    pub kind: ContractKind,
    /// Whether it can be made now.
    pub status: ContractStatus,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What the supplier can do; capabilities only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Live sessions; capabilities only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Leaves with a check.
    #[serde(default)]
    pub checked: u32,
    /// Leaves.
    #[serde(default)]
    pub of: u32,
    /// Contracts that a scenario uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<String>,
    /// The channel that offers it in place of what is deployed; only where a channel was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// When the version appeared.
    #[serde(default)]
    pub updated_at: String,
}

/// One version of a contract with everything known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Contract {
    /// `domain/name`
    pub name: String,
    /// This version.
    pub version: u32,
    /// Capability or scenario.
    pub kind: ContractKind,
    /// Whether it can be made now.
    pub status: ContractStatus,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What the supplier can do; capabilities only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Live sessions; capabilities only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Leaves with a check.
    #[serde(default)]
    pub checked: u32,
    /// Leaves.
    #[serde(default)]
    pub of: u32,
    /// The channel that offers it in place of what is deployed; only where a channel was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// When the version appeared.
    #[serde(default)]
    pub updated_at: String,
    /// JSON Schema of the input.
    #[serde(default)]
    pub input: Value,
    /// JSON Schema of the output.
    #[serde(default)]
    pub output: Value,
    /// JSON Schema of the facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// How long evidence counts as fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_for_s: Option<u64>,
    /// How long checks may take to agree after building.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_s: Option<u64>,
    /// Deadline of one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Whether one dataset may be used many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reusable: Option<bool>,
    /// Tasks at once over all sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Tasks a second over all sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Retry limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryRule>,
    /// Steps; scenarios only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ScenarioStep>,
    /// Invariants; scenarios only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<Invariant>,
    /// Contracts that it uses.
    #[serde(default)]
    pub uses: Vec<String>,
    /// Contracts that use it.
    #[serde(default)]
    pub used_by: Vec<String>,
    /// In how many datasets in stock it was the first that did not hold any more.
    #[serde(default)]
    pub drifted: u64,
    /// Datasets that were imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedStock>,
    /// Why nothing of it is handed out from stock: it is doubted, or something that it uses is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Doubted>,
    /// All versions, newest first.
    #[serde(default)]
    pub versions: Vec<ContractVersion>,
    /// Why it is broken.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// A step of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScenarioStep {
    /// Its name.
    pub name: String,
    /// The contract it uses.
    pub uses: String,
    /// Bindings of the input.
    #[serde(default)]
    pub with: Value,
    /// Steps that come first, those implied by bindings included.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Condition.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
    /// List to repeat it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<Value>,
    /// Stock or fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Deadline of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Retry limits of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Value>,
}

/// What a scenario demands of all parts together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Invariant {
    /// Expression over facts.
    pub that: String,
    /// The same in words.
    #[serde(default)]
    pub says: String,
}

/// Imported datasets of a contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportedStock {
    /// In stock.
    #[serde(default)]
    pub ready: u64,
    /// Being checked, so that they can be taken.
    #[serde(default)]
    pub checking: u64,
}

/// One version in the history of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContractVersion {
    /// Number.
    pub version: u32,
    /// How it differed from the one before.
    pub change: Change,
    /// When it appeared.
    #[serde(default)]
    pub created_at: String,
    /// What was different.
    #[serde(default)]
    pub changes: Vec<ContractChange>,
    /// Live sessions that have registered it; deployed versions of capabilities only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
}

/// One difference between a version and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContractChange {
    /// Where, as a JSON Pointer.
    #[serde(default)]
    pub pointer: String,
    /// What, for people.
    #[serde(default)]
    pub message: String,
}

impl std::fmt::Display for ContractChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.message),
            pointer => write!(f, "{pointer} {}", self.message),
        }
    }
}

/// Somebody who suffers from a breaking change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Break {
    /// The scenario, or the contract of the stock rule.
    pub contract: String,
    /// The stock rule, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock_rule: Option<String>,
    /// What does not fit any more.
    pub message: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// Filters of `GET /v1/environments/{env}/contracts`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ContractFilter {
    /// Words that must all occur.
    pub q: Option<String>,
    /// Team.
    pub owner: Option<String>,
    /// `key:value`
    pub label: Option<String>,
    /// Capability or scenario.
    pub kind: Option<ContractKind>,
    /// Domain.
    pub domain: Option<String>,
    /// As requests see the catalogue that name this channel.
    pub channel: Option<String>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
