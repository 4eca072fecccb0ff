//! Stock levels: what a rule has, and what keeps it from having more.

use std::sync::Arc;

use jiff::Timestamp;
use sixpack_model::contract::{Contract, Owner};
use sixpack_model::ids::LineId;
use sixpack_model::name::ContractName;
use sixpack_model::stock::{LineCounts, StockRule};
use sixpack_storage::stock::{SharedTrouble, StoredLine, Trouble};

use crate::Engine;
use crate::doubts::Doubted;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// How far beyond its target the stock of a rule is counted.
const COUNTED_BEYOND: u32 = 1_000;

/// What is there of what a rule keeps. Rules for the same contract and input share it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleStock {
    /// Datasets that can be taken now, counted up to a thousand beyond the target.
    pub ready: u64,
    /// Datasets that are being made for it.
    pub coming: u64,
    /// Of those that can be taken, how many were imported.
    pub imported: u64,
    /// Of those that can be taken and were made, how many came back: from a lease, a request or quarantine.
    pub came_back: u64,
    /// When the oldest of those that can be taken and were made was made.
    pub oldest_at: Option<Timestamp>,
    /// What its line has come to since there was one.
    pub counts: LineCounts,
    /// Why it is not being filled, although it should be.
    pub starved: Option<Starved>,
    /// Why none of it is handed out, when a capability that has a part in it is doubted.
    pub doubted: Option<Doubted>,
}

/// Why a rule is not being filled at its full pace.
#[derive(Debug, Clone, PartialEq)]
pub struct Starved {
    /// `failing` or `offline`.
    pub code: &'static str,
    /// Which capability, how often, and why, in a sentence.
    pub message: String,
    /// The capability or scenario to blame.
    pub contract: ContractName,
    /// Whom to ask.
    pub owner: Owner,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it is tried again; with `offline`, as soon as a supplier connects.
    pub retry_at: Option<Timestamp>,
}

impl Engine {
    /// What there is of what a rule keeps; `None` when it is not known yet what that is.
    pub(crate) async fn rule_stock(
        &self,
        environment: &str,
        shelf: &Shelf,
        rule: &StockRule,
    ) -> Result<RuleStock, Refusal> {
        let Some(contract) = shelf.last_known(&rule.contract) else { return Ok(RuleStock::default()) };
        let line = self.store().line(environment, &contract.name, &rule.full_input(&contract)).await?;
        let before = LineId(line.0 - 1);
        let stored = self.store().lines(Some(before), 1).await?;
        let stored = stored.into_iter().find(|stored| stored.line.id == line);
        let level = self.store().level(line, rule.target.saturating_add(COUNTED_BEYOND)).await?;
        let is_short = level.ready < u64::from(rule.target);
        let starved = match &stored {
            Some(stored) if is_short => self.starved(stored, shelf, &contract).await?,
            _ => None,
        };
        let counts = stored.map(|stored| stored.counts).unwrap_or_default();
        Ok(RuleStock {
            ready: level.ready,
            coming: level.coming,
            imported: level.imported,
            came_back: level.came_back,
            oldest_at: level.oldest_at,
            counts,
            starved,
            doubted: self.doubted_in(environment, shelf, &contract).await?,
        })
    }

    /// Why a line is not being filled at its full pace, if it is not.
    pub(crate) async fn starved(
        &self,
        stored: &StoredLine,
        shelf: &Shelf,
        contract: &Arc<Contract>,
    ) -> Result<Option<Starved>, Refusal> {
        let shared = self.shared_trouble(&stored.environment, shelf, contract).await?;
        if let Some(starved) = failing(stored.trouble.as_ref(), shared) {
            return Ok(Some(starved));
        }
        let unserved = self.first_unserved(&stored.environment, shelf, contract).await?;
        Ok(unserved.map(|leaf| Starved {
            code: "offline",
            message: format!("no supplier of {} is connected", leaf.name),
            contract: leaf.name.clone(),
            owner: leaf.owner.clone(),
            since: None,
            retry_at: None,
        }))
    }

    /// What a contract needs that several lines fail for.
    async fn shared_trouble(
        &self,
        environment: &str,
        shelf: &Shelf,
        contract: &Contract,
    ) -> Result<Option<SharedTrouble>, Refusal> {
        let shared = self.store().shared_troubles().await?;
        Ok(shared.into_iter().find(|shared| {
            shared.environment == environment && self.needs(environment, shelf, contract, &shared.contract)
        }))
    }
}

/// What a line fails for, by itself or with others. What it has met itself comes first, with the counts and the time of all.
fn failing(own: Option<&Trouble>, shared: Option<SharedTrouble>) -> Option<Starved> {
    let trouble = match (own, shared) {
        (Some(own), Some(shared)) if own.failure.contract == shared.contract => {
            Trouble { retry_at: own.retry_at.max(shared.trouble.retry_at), ..shared.trouble }
        }
        (Some(own), _) => own.clone(),
        (None, shared) => shared?.trouble,
    };
    Some(Starved {
        code: "failing",
        message: why_starved(&trouble),
        contract: trouble.failure.contract.clone(),
        owner: trouble.failure.owner.clone(),
        since: Some(trouble.since),
        retry_at: Some(trouble.retry_at),
    })
}

/// Why a line is not filled at its full pace, in a sentence: which capability, how often, and why.
fn why_starved(trouble: &Trouble) -> String {
    let Trouble { failures, failure, .. } = trouble;
    format!("{} {} {failures} of {failures}: {}", failure.contract, failure.class.verb(), failure.message)
}
