//! History of stock: what rules have had ready over the last day.

use serde::{Deserialize, Serialize};

/// Which histories to list, and how closely.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StockHistoryFilter {
    /// In how many points the day is told at most (12 to 288); 48 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<u32>,
    /// Rows a page (1 to 1000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What a rule has had ready over the last day, in spans of the same length. Every list has one entry a span, from the first in which
/// anything was noted to that of now; `None` for a span in which no server has looked. Rules for the same contract and input share it.
///
/// ```
/// let history: sixpack::wire::StockHistory = serde_json::from_str(
///     r#"{"name":"ready-customer-fr","contract":"checkout/ready-customer","since":"2026-11-22T10:00:00Z","every_s":300,
///         "ready":[20,null,17],"target":[20,null,20],"made":[0,null,4]}"#,
/// )?;
/// assert_eq!(history.ready.iter().flatten().min(), Some(&17));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StockHistory {
    /// The rule.
    pub name: String,
    /// What it keeps in stock.
    #[serde(default)]
    pub contract: String,
    /// When the first span begins; `None` when nothing was noted yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How long a span is, in seconds.
    #[serde(default)]
    pub every_s: u32,
    /// How many could be taken: the lowest that was noted in the span.
    #[serde(default)]
    pub ready: Vec<Option<u64>>,
    /// How many were being made: the highest that was noted.
    #[serde(default)]
    pub coming: Vec<Option<u64>>,
    /// How many were to be kept ready.
    #[serde(default)]
    pub target: Vec<Option<u64>>,
    /// How many were handed out in the span.
    #[serde(default)]
    pub hits: Vec<Option<u64>>,
    /// How many were asked for in the span and not there.
    #[serde(default)]
    pub misses: Vec<Option<u64>>,
    /// How many refills have made in the span.
    #[serde(default)]
    pub made: Vec<Option<u64>>,
    /// How many refills failed in the span.
    #[serde(default)]
    pub failed: Vec<Option<u64>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_is_asked_for() {
        assert_eq!(serde_json::to_value(StockHistoryFilter::default()).unwrap(), json!({}));
        let filter = StockHistoryFilter { points: Some(24), limit: Some(5), cursor: None };
        assert_eq!(serde_json::to_value(filter).unwrap(), json!({"points": 24, "limit": 5}));
    }

    #[test]
    fn a_history_of_which_nothing_was_noted_and_one_of_a_newer_server_are_read() {
        let empty: StockHistory =
            serde_json::from_value(json!({"name": "r", "every_s": 300, "ready": [], "oldest": [1]})).unwrap();
        assert_eq!((empty.since, empty.ready.len(), empty.every_s), (None, 0, 300));
    }
}
