//! Imports: existing data that is registered as stock.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Body of `POST /v1/environments/{env}/imports`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewImport {
    /// `domain/name` of a capability.
    pub contract: String,
    /// One entry a dataset.
    pub rows: Vec<ImportRow>,
}

impl NewImport {
    /// Rows of a contract.
    pub fn new(contract: impl Into<String>, rows: Vec<ImportRow>) -> Self {
        Self { contract: contract.into(), rows }
    }
}

/// One dataset that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportRow {
    /// What it would have been made from.
    pub input: Value,
    /// What making it would have answered.
    pub output: Value,
}

impl ImportRow {
    /// A row from its input and output.
    pub fn new(input: Value, output: Value) -> Self {
        Self { input, output }
    }
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Imported {
    /// What they are instances of.
    pub contract: String,
    /// In which version.
    pub version: u32,
    /// In the order of the rows. Each is checked before it can be taken.
    #[serde(default)]
    pub datasets: Vec<String>,
}
