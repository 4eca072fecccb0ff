//! Stock rules: what is kept ready in each environment.
//!
//! Rules are part of what an environment offers: every change of one is a new revision of its catalogue, and that revision
//! is the rule's own. Whoever decides upon a catalogue is told when a rule has changed meanwhile, and the other way round.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::event::Event;
use sixpack_model::stock::{RuleEdit, RuleName, StockRule};

use crate::contracts::Publication;
use crate::error::StoreError;
use crate::page::Page;

/// A rule as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRule {
    /// The rule.
    pub rule: StockRule,
    /// Grows with each change, also when the rule is deleted and made anew.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

/// A rule to be put.
#[derive(Debug, Clone)]
pub struct RuleWrite {
    /// The rule as it is to be.
    pub rule: StockRule,
    /// The revision that it may replace; 0 when there must be none. `None` replaces whatever is there.
    pub expected: Option<u64>,
    /// What to tell if anything changes.
    pub event: Event,
}

/// What became of one rule that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new, with this revision.
    Created(u64),
    /// It was different before; it has this revision now.
    Changed(u64),
    /// It was the same; it has had this revision before.
    Same(u64),
}

impl Put {
    /// The revision that the rule has now.
    pub fn revision(self) -> u64 {
        match self {
            Self::Created(revision) | Self::Changed(revision) | Self::Same(revision) => revision,
        }
    }
}

/// What became of rules that were put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutRules {
    /// All of them are there, in the order in which they were given.
    Put(Vec<Put>),
    /// The catalogue has changed since it was read. Nothing was written.
    Stale,
    /// This rule has another revision than the one that it may replace; 0 when there is none. Nothing was written.
    RuleStale(RuleName, u64),
    /// The environment would have more rules than it may. Nothing was written.
    TooMany,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq)]
pub enum Edited {
    /// The rule as it is now; an edit that changes nothing leaves its revision.
    Rule(Box<StoredRule>),
    /// It has another revision. Nothing was written.
    Stale(u64),
    /// There is no such rule.
    Unknown,
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// It has another revision. Nothing was written.
    Stale(u64),
    /// There is no such rule.
    Unknown,
}

/// Reads and writes stock rules.
#[async_trait]
pub trait StockRules: Send + Sync {
    /// Puts rules together with the contracts that they may name: all or none. `events` tell of the contracts.
    ///
    /// At most [`STOCK_RULES`](sixpack_model::limits::STOCK_RULES) are kept for an environment.
    async fn put_rules(
        &self,
        environment: &str,
        publication: Publication,
        rules: Vec<RuleWrite>,
        events: Vec<Event>,
    ) -> Result<PutRules, StoreError>;

    /// Reads one rule.
    async fn rule(&self, environment: &str, name: &RuleName) -> Result<Option<StoredRule>, StoreError>;

    /// Rules by name.
    async fn rules(&self, environment: &str, page: Page<RuleName>) -> Result<Vec<StoredRule>, StoreError>;

    /// Changes target and state of a rule that has this revision.
    async fn edit_rule(
        &self,
        environment: &str,
        name: &RuleName,
        expected: u64,
        edit: RuleEdit,
        event: Event,
    ) -> Result<Edited, StoreError>;

    /// Deletes a rule that has this revision. What it has made stays.
    async fn delete_rule(
        &self,
        environment: &str,
        name: &RuleName,
        expected: u64,
        event: Event,
    ) -> Result<Deleted, StoreError>;
}
