//! Problems: how the API says no.

use serde::{Deserialize, Serialize};

use super::{Doubted, Starved};

/// An answer of the kind `application/problem+json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// `/docs/errors#<code>`
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The kind in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Status of the answer.
    pub status: u16,
    /// Stable; branch on it.
    #[serde(default)]
    pub code: String,
    /// What happened, where, why, what to do next.
    #[serde(default)]
    pub detail: String,
    /// All faults, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Of `out_of_stock`: what is there, what is being made, and when to ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<Shortage>,
    /// Names this call in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What is there of what a request that only stock may serve asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shortage {
    /// The first contract of which there is not enough.
    #[serde(default)]
    pub contract: String,
    /// How many of it were asked for.
    #[serde(default)]
    pub asked: u64,
    /// How many there are, whether or not they meet criteria or can be handed out.
    #[serde(default)]
    pub ready: u64,
    /// The stock rule that keeps it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How many are being made for stock.
    #[serde(default)]
    pub coming: u64,
    /// Since when the one that is being made longest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming_since: Option<String>,
    /// When that one is expected, going by how long the last ones took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_at: Option<String>,
    /// When the window of the rule opens next, if it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// Why stock is not being filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved: Option<Starved>,
    /// Why nothing of what is there is handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Doubted>,
}

/// One fault of an input or a scenario file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// Where, as a JSON Pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Stable.
    #[serde(default)]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Name of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// In characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:{}:{}: ", self.line.unwrap_or(1), self.column.unwrap_or(1))?;
        } else if let Some(pointer) = self.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            write!(f, "{pointer}: ")?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}
