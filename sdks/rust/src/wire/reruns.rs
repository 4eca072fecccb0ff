//! Reruns: whether a dataset that was asked for again is the same as it was.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words;

words! {
    /// Whether the facts of a dataset that was asked for again are the same as they were.
    RerunFacts {
        /// They are, but for what varies by its nature.
        Equal = "equal",
        /// They are not.
        Different = "different",
        /// The request has not ended.
        Pending = "pending",
        /// It ended without a dataset, or there are no facts to compare.
        Undecided = "unknown",
    }
}

/// A dataset that was asked for again, and whether the facts are the same as they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rerun {
    /// The dataset that is asked for again: `ds_…`
    pub of: String,
    /// Whether the facts are the same.
    pub facts: RerunFacts,
    /// In what they differ; the first hundred.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// How many differences there are beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// A place in which the facts of two datasets differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Step names from the root; empty for a root.
    pub path: String,
    /// JSON Pointer into the facts.
    pub pointer: String,
    /// As it was; `None` when there was nothing. Secrets are `***`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// As it is now; `None` when there is nothing. Secrets are `***`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
}

/// A value that is null is one, other than a value that is not there.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
