//! A stock rule as it is shown, and what became of one in a file.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sixpack_engine::{AppliedRule, Put, RuleStock, RuleView};
use sixpack_model::fault::Fault;
use sixpack_model::name::ContractName;
use sixpack_model::stock::{RuleName, Window};
use utoipa::ToSchema;

use crate::http::shapes::doubted::DoubtedJson;
use crate::http::shapes::owner::OwnerJson;
use crate::http::shapes::scalar::{Text, Time};
use crate::http::shapes::secret::Secrets;
use crate::http::shapes::word::{RuleChange, RuleStateWord, Said, StarvedCode, Word};

/// A wish for datasets to be ready at any time.
#[derive(Serialize, ToSchema)]
#[schema(as = StockRule)]
pub(in crate::http) struct StockRuleJson<'a> {
    #[schema(value_type = String)]
    name: Text<&'a RuleName>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    /// As it was put, without defaults; secrets are covered.
    #[schema(value_type = Object)]
    input: Cow<'a, Value>,
    target: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check_every_s: Option<u32>,
    priority: u8,
    #[schema(inline)]
    state: RuleStateWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<StockWindowJson<'a>>,
    /// Grows with each change; the number of the `ETag`.
    revision: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    changed_at: Time,
    /// Why it cannot be filled with what is on offer; empty when it can.
    faults: Vec<RuleFaultJson<'a>>,
    /// What its author should know; it is filled all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<RuleFaultJson<'a>>,
    stock: RuleStockJson<'a>,
}

/// What is there of what a rule keeps; rules for the same contract and input share it.
#[derive(Serialize, ToSchema)]
#[schema(as = RuleStock)]
struct RuleStockJson<'a> {
    /// Datasets that can be taken now, counted up to a thousand beyond the target.
    ready: u64,
    /// Datasets that are being made for it, or checked.
    coming: u64,
    /// Of those that can be taken, how many were imported: the rule never removes them.
    imported: u64,
    /// Of those that can be taken and were made, how many came back, from a lease, a request or quarantine: they stay beyond the target.
    came_back: u64,
    /// When the oldest of those that can be taken and were made was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_at: Option<Time>,
    /// How long ago that was, at the time of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_age_ms: Option<u64>,
    /// Datasets that were handed out from it, ever.
    hits: u64,
    /// Datasets that were asked for and not there, ever.
    misses: u64,
    /// Datasets that refills have made for it, ever.
    made: u64,
    /// Refills that failed, ever.
    failed: u64,
    /// Why it is not being filled, although it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    starved: Option<StarvedJson<'a>>,
    /// Why none of it is handed out, although it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubted: Option<DoubtedJson<'a>>,
}

/// Why a rule is not being filled at its full pace.
#[derive(Serialize, ToSchema)]
#[schema(as = Starved)]
struct StarvedJson<'a> {
    #[schema(inline)]
    code: StarvedCode<'static>,
    /// Which capability, how often, and why.
    message: &'a str,
    /// The contract to blame.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    owner: OwnerJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// When it is tried again; absent when it is as soon as a supplier connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    retry_at: Option<Time>,
    /// How long that is from the time of the answer on; 0 when it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
}

/// When a rule is refilled.
#[derive(Serialize, ToSchema)]
#[schema(as = StockWindow)]
struct StockWindowJson<'a> {
    opens: &'a str,
    for_s: u32,
    time_zone: &'a str,
    /// At the time of the answer.
    is_open: bool,
    /// Absent when it never opens again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_opening_at: Option<Time>,
}

/// Why a rule cannot be filled.
#[derive(Serialize, ToSchema)]
#[schema(as = StockRuleFault)]
struct RuleFaultJson<'a> {
    /// Into the rule, as a JSON Pointer.
    pointer: &'a str,
    code: &'static str,
    message: &'a str,
}

/// What became of a rule in a file.
#[derive(Serialize, ToSchema)]
#[schema(as = AppliedStockRule)]
pub(in crate::http) struct AppliedRuleJson<'a> {
    /// The file.
    path: &'a str,
    #[schema(value_type = String)]
    name: Text<&'a RuleName>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    /// The revision that it has now; of a dry run the one that it would have.
    revision: u64,
    #[schema(inline)]
    change: RuleChange<'static>,
    /// What its author should know; it is applied all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<RuleFaultJson<'a>>,
}

impl<'a> StockRuleJson<'a> {
    pub(in crate::http) fn of(view: &'a RuleView, now: Timestamp) -> Self {
        let rule = &view.stored.rule;
        Self {
            name: Text(&rule.name),
            contract: Text(&rule.contract),
            input: Secrets::Covered.input(view.contract.as_deref(), &rule.input),
            target: rule.target,
            max_age_s: rule.max_age_s,
            check_every_s: rule.check_every_s,
            priority: rule.priority,
            state: Word(rule.state),
            window: rule.window.as_ref().map(|window| StockWindowJson::of(window, view)),
            revision: view.stored.revision,
            created_at: Time(view.stored.created_at),
            changed_at: Time(view.stored.changed_at),
            faults: RuleFaultJson::all(&view.faults),
            warnings: RuleFaultJson::all(&view.warnings),
            stock: RuleStockJson::of(&view.stock, now),
        }
    }
}

impl<'a> RuleFaultJson<'a> {
    fn all(faults: &'a [Fault]) -> Vec<Self> {
        faults.iter().map(|Fault { pointer, code, message }| Self { pointer, code, message }).collect()
    }
}

impl<'a> RuleStockJson<'a> {
    fn of(stock: &'a RuleStock, now: Timestamp) -> Self {
        Self {
            ready: stock.ready,
            coming: stock.coming,
            imported: stock.imported,
            came_back: stock.came_back,
            oldest_at: stock.oldest_at.map(Time),
            oldest_age_ms: stock.oldest_at.map(|oldest| ms_between(oldest, now)),
            hits: stock.counts.hits,
            misses: stock.counts.misses,
            made: stock.counts.made,
            failed: stock.counts.failed,
            starved: stock.starved.as_ref().map(|starved| StarvedJson {
                code: Said::new(starved.code),
                message: &starved.message,
                contract: Text(&starved.contract),
                owner: OwnerJson::from(&starved.owner),
                since: starved.since.map(Time),
                retry_at: starved.retry_at.map(Time),
                retry_in_ms: starved.retry_at.map(|retry| ms_between(now, retry)),
            }),
            doubted: stock.doubted.as_ref().map(DoubtedJson::from),
        }
    }
}

/// From one time to another; nothing when the other comes first.
fn ms_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

impl<'a> StockWindowJson<'a> {
    fn of(window: &'a Window, view: &RuleView) -> Self {
        let (is_open, next) = view.window.unwrap_or_default();
        Self {
            opens: window.opens(),
            for_s: window.for_s(),
            time_zone: window.time_zone(),
            is_open,
            next_opening_at: next.map(Time),
        }
    }
}

impl<'a> From<&'a AppliedRule> for AppliedRuleJson<'a> {
    fn from(applied: &'a AppliedRule) -> Self {
        Self {
            path: &applied.path,
            name: Text(&applied.name),
            contract: Text(&applied.contract),
            revision: applied.put.revision(),
            change: Said::new(match applied.put {
                Put::Created(_) => "new",
                Put::Changed(_) => "changed",
                Put::Same(_) => "same",
            }),
            warnings: RuleFaultJson::all(&applied.warnings),
        }
    }
}
