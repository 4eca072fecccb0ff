//! Stock rules: what is kept ready before anybody asks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fault, Owner, words};

words! {
    /// Whether a rule is refilled, and what becomes of what it has.
    RuleState {
        /// It is refilled.
        Active = "active",
        /// It is not refilled; what is there stays.
        Paused = "paused",
        /// It is not refilled, and what is there is undone.
        Draining = "draining",
    }
}

words! {
    /// What putting a rule has changed.
    RuleChange {
        /// It was not there before.
        New = "new",
        /// It was the same.
        Same = "same",
        /// It was different.
        Changed = "changed",
    }
}

words! {
    /// Why a rule is not being filled.
    StarvedCode {
        /// What should be made for it fails.
        Failing = "failing",
        /// Nobody performs a capability that it needs.
        Offline = "offline",
    }
}

/// Body of `PUT /v1/environments/{env}/stock-rules/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewStockRule {
    /// What is kept in stock: `domain/name`, always its newest version.
    pub contract: String,
    /// What the datasets are made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// How many are kept ready (1 to 100,000).
    pub target: u32,
    /// How old a dataset may get in stock, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
    /// How often a dataset in stock is checked, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_every_s: Option<u32>,
    /// Which rule is refilled first: 0 to 100, the highest first; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Whether it is not to be refilled; when absent a rule that is there stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// When it is refilled; at any time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<NewStockWindow>,
}

impl NewStockRule {
    /// A rule that keeps `target` datasets of a contract ready, made from its defaults.
    pub fn new(contract: impl Into<String>, target: u32) -> Self {
        Self {
            contract: contract.into(),
            input: None,
            target,
            max_age_s: None,
            check_every_s: None,
            priority: None,
            paused: None,
            window: None,
        }
    }

    /// Makes the datasets from this input.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = Some(input);
        self
    }
}

/// When a rule is refilled, as it is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewStockWindow {
    /// Five fields of cron: minute, hour, day of the month, month, day of the week.
    pub opens: String,
    /// How long it stays open, in seconds (60 to 604,800).
    pub for_s: u32,
    /// Whose wall clock counts: a name of the IANA database.
    pub time_zone: String,
}

impl NewStockWindow {
    /// A window.
    pub fn new(opens: impl Into<String>, for_s: u32, time_zone: impl Into<String>) -> Self {
        Self { opens: opens.into(), for_s, time_zone: time_zone.into() }
    }
}

/// Body of `PATCH /v1/environments/{env}/stock-rules/{name}`; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockRuleEdit {
    /// How many are to be kept ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u32>,
    /// Whether it is to be refilled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RuleState>,
}

/// A stock rule as the server shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StockRule {
    /// Its name in the environment.
    pub name: String,
    /// What it keeps in stock.
    pub contract: String,
    /// What the datasets are made from, without defaults; secrets are covered.
    #[serde(default)]
    pub input: Value,
    /// How many are kept ready.
    pub target: u32,
    /// How old a dataset may get in stock, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
    /// How often a dataset in stock is checked, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_every_s: Option<u32>,
    /// The highest is refilled first.
    #[serde(default)]
    pub priority: u8,
    /// Whether it is refilled.
    pub state: RuleState,
    /// When it is refilled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<StockWindow>,
    /// Grows with each change.
    #[serde(default)]
    pub revision: u64,
    /// When it was made.
    #[serde(default)]
    pub created_at: String,
    /// When it was last changed.
    #[serde(default)]
    pub changed_at: String,
    /// Why it cannot be filled with what is on offer; empty when it can.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What its author should know; it is filled all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    /// What is there.
    #[serde(default)]
    pub stock: RuleStock,
}

/// What is there of what a rule keeps; rules for the same contract and input share it.
///
/// ```
/// let rule: sixpack::wire::StockRule = serde_json::from_str(
///     r#"{"name":"ready-customer-fr","contract":"checkout/ready-customer","target":20,"state":"active",
///         "stock":{"ready":17,"coming":3,"hits":98,"misses":2}}"#,
/// )?;
/// assert_eq!(rule.stock.hit_rate(), Some(0.98));
/// assert!(rule.stock.starved.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuleStock {
    /// Datasets that can be taken now, counted up to a thousand beyond the target.
    #[serde(default)]
    pub ready: u64,
    /// Datasets that are being made for it.
    #[serde(default)]
    pub coming: u64,
    /// Of those that can be taken, how many were imported.
    #[serde(default)]
    pub imported: u64,
    /// Of those that can be taken and were made, how many came back, from a lease, a request or quarantine: they stay beyond the target.
    #[serde(default)]
    pub came_back: u64,
    /// When the oldest of those that can be taken and were made was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<String>,
    /// How long ago that was, at the time of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<u64>,
    /// Datasets that were handed out from it, ever.
    #[serde(default)]
    pub hits: u64,
    /// Datasets that were asked for and not there, ever.
    #[serde(default)]
    pub misses: u64,
    /// Datasets that refills have made for it, ever.
    #[serde(default)]
    pub made: u64,
    /// Refills that failed, ever.
    #[serde(default)]
    pub failed: u64,
    /// Why it is not being filled, although it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved: Option<Starved>,
    /// Why none of it is handed out, although it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Doubted>,
}

impl RuleStock {
    /// The part of what was asked for that was there, from 0 to 1; `None` before anybody has asked.
    #[allow(clippy::cast_precision_loss, reason = "nobody reads the sixteenth digit of a share")]
    pub fn hit_rate(&self) -> Option<f64> {
        let asked = self.hits.saturating_add(self.misses);
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}

/// Why a rule is not being filled at its full pace, and whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Starved {
    /// What keeps it from being filled.
    pub code: StarvedCode,
    /// Which capability, how often, and why.
    #[serde(default)]
    pub message: String,
    /// The contract to blame.
    #[serde(default)]
    pub contract: String,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// Since when; `None` when nobody performs the capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it is tried again; `None` when it is as soon as a supplier connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// How long that was from the time of the answer on; 0 when it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

/// A capability that calls most of what is in stock invalid: none of that is handed out until it is found to be right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Doubted {
    /// Which capability, how often, since when, and why.
    #[serde(default)]
    pub message: String,
    /// The capability.
    #[serde(default)]
    pub contract: String,
    /// Whom to ask.
    #[serde(default)]
    pub owner: Owner,
    /// Since when.
    #[serde(default)]
    pub since: String,
    /// How many of the last datasets in stock it has called invalid.
    #[serde(default)]
    pub invalid: u32,
    /// Of how many.
    #[serde(default)]
    pub of: u32,
    /// How many probes in a row have held; three end it.
    #[serde(default)]
    pub held: u32,
}

/// When a rule is refilled, as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StockWindow {
    /// Five fields of cron.
    pub opens: String,
    /// How long it stays open, in seconds.
    pub for_s: u32,
    /// Whose wall clock counts.
    pub time_zone: String,
    /// Whether it was open at the time of the answer.
    #[serde(default)]
    pub is_open: bool,
    /// When it opens next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_opening_at: Option<String>,
}

/// What became of a rule in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppliedRule {
    /// Its file.
    #[serde(default)]
    pub path: String,
    /// Its name.
    pub name: String,
    /// What it keeps in stock.
    #[serde(default)]
    pub contract: String,
    /// The revision that it has now.
    #[serde(default)]
    pub revision: u64,
    /// What putting it has changed.
    pub change: RuleChange,
    /// What its author should know; it is applied all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_is_sent() {
        let rule = NewStockRule::new("a/b", 3);
        assert_eq!(serde_json::to_value(&rule).unwrap(), json!({"contract": "a/b", "target": 3}));
        let edit = StockRuleEdit { state: Some(RuleState::Draining), ..StockRuleEdit::default() };
        assert_eq!(serde_json::to_value(edit).unwrap(), json!({"state": "draining"}));
    }

    #[test]
    fn a_rule_of_a_newer_server_is_read() {
        let rule: StockRule = serde_json::from_value(json!({
            "name": "r", "contract": "a/b", "input": {"country": "FR"}, "target": 3, "priority": 50, "state": "resting",
            "revision": 7, "level": 3, "faults": [{"pointer": "/contract", "code": "x", "message": "y"}],
            "window": {"opens": "0 6 * * *", "for_s": 60, "time_zone": "UTC", "is_open": true}
        }))
        .unwrap();
        assert_eq!(
            (rule.state.as_str(), rule.faults.len(), rule.window.unwrap().is_open),
            ("resting", 1, true)
        );
        assert!(!RuleState::ALL.contains(&rule.state));
        assert_eq!(rule.stock, RuleStock::default(), "an older server shows none");
    }

    #[test]
    fn stock_is_read_with_what_keeps_it_from_being_filled() {
        let shown = json!({
            "ready": 1, "coming": 2, "oldest_at": "t", "hits": 3, "misses": 1,
            "starved": {"code": "tired", "message": "a/b rejected 6 of 6: no", "contract": "a/b",
                        "owner": {"team": "A"}, "since": "t", "retry_at": "u", "tomorrow": 1},
            "doubted": {"message": "a/b said invalid 5 of 5 times", "contract": "a/b", "owner": {"team": "A"}, "since": "t",
                        "invalid": 5, "of": 5, "held": 0}
        });
        let stock: RuleStock = serde_json::from_value(shown).unwrap();
        assert_eq!((stock.ready, stock.coming, stock.hit_rate()), (1, 2, Some(0.75)));
        let starved = stock.starved.as_ref().unwrap();
        assert_eq!((starved.code.as_str(), starved.owner.team.as_str()), ("tired", "A"));
        assert_eq!(starved.retry_at.as_deref(), Some("u"));
        let again: RuleStock = serde_json::from_value(serde_json::to_value(&stock).unwrap()).unwrap();
        assert_eq!(again, stock);
        assert_eq!(stock.doubted.map(|doubted| (doubted.invalid, doubted.of)), Some((5, 5)));
        assert_eq!(RuleStock::default().hit_rate(), None);
    }
}
