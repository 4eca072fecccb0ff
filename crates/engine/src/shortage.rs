//! Shortage: why what only stock may serve is not there, what is being made of it, and when to ask again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sixpack_model::name::ContractName;
use sixpack_model::stock::{RuleState, StockRule};
use sixpack_storage::stock::{Pace, StoredLine};

use crate::Engine;
use crate::doubts::Doubted;
use crate::refusal::Refusal;
use crate::requests::Planned;
use crate::shelf::Shelf;
use crate::stock_levels::Starved;

/// Why a request that needs stock cannot be served.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortage {
    /// The first contract of which there is not enough.
    pub contract: ContractName,
    /// How many of it were asked for with this input.
    pub asked: u64,
    /// How many there are in stock, counted up to [`COUNTED`](Self::COUNTED).
    pub ready: u64,
    /// The stock rule that keeps what was asked for; the one that asks for the most. `None` when there is none.
    pub rule: Option<StockRule>,
    /// How many are being made for stock.
    pub coming: u64,
    /// Since when the one is that is being made longest.
    pub coming_since: Option<Timestamp>,
    /// When that one is expected, going by how long the last ones took; `None` when none has been made lately.
    pub expected_at: Option<Timestamp>,
    /// When the window of the rule opens next, if it is closed now.
    pub opens_at: Option<Timestamp>,
    /// Why stock is not being filled, when it is not.
    pub starved: Option<Starved>,
    /// What is not believed, when nothing of it is handed out therefore.
    pub doubted: Option<Doubted>,
    /// Whether criteria were given, which not enough of what is there meet.
    pub is_chosen: bool,
    /// When it was looked.
    pub at: Timestamp,
}

impl Shortage {
    /// Datasets in stock are counted no further than this.
    pub const COUNTED: u32 = 1_000;

    /// When asking again makes sense, if that is known: when the next is expected, the window opens, or filling is tried again.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let tried = self.starved.as_ref().and_then(|starved| starved.retry_at);
        match self.coming {
            0 => self.opens_at.or(tried),
            _ => self.expected_at.or(tried),
        }
    }
}

impl Engine {
    /// Why a request that needs stock cannot be served.
    pub(crate) async fn out_of_stock(&self, planned: &Planned) -> Result<Refusal, Refusal> {
        let at = self.store().now().await?;
        let mut first = None;
        for place in 0..planned.units.len() {
            // Units that ask for the same share one look.
            let (contract, input) = &planned.units[place];
            let same = |other: &&(Arc<_>, Arc<serde_json::Value>)| {
                Arc::ptr_eq(contract, &other.0) && **input == *other.1
            };
            if planned.units[..place].iter().any(|other| same(&other)) {
                continue;
            }
            let asked = planned.units.iter().filter(same).count() as u64;
            let shortage = self.shortage_of(planned, (place, asked), at).await?;
            if shortage.rule.is_none() || shortage.ready < asked || shortage.doubted.is_some() {
                return Ok(Refusal::OutOfStock(Box::new(shortage)));
            }
            first = first.or(Some(shortage));
        }
        let first = first.expect("a request asks for at least one dataset");
        Ok(Refusal::OutOfStock(Box::new(first)))
    }

    /// What there is of what one unit asks for.
    async fn shortage_of(
        &self,
        planned: &Planned,
        (place, asked): (usize, u64),
        at: Timestamp,
    ) -> Result<Shortage, Refusal> {
        let contract = &planned.units[place].0;
        let (environment, shelf) = (&planned.wanted.environment, &planned.shelf);
        let mut shortage = Shortage {
            contract: contract.name.clone(),
            asked,
            ready: 0,
            rule: None,
            coming: 0,
            coming_since: None,
            expected_at: None,
            opens_at: None,
            starved: None,
            doubted: None,
            is_chosen: planned.wanted.selection.select.is_some(),
            at,
        };
        let Some(wish) = planned.wishes.get(place).cloned().flatten() else { return Ok(shortage) };
        for line in &wish.lines {
            let before = sixpack_model::ids::LineId(line.id.0 - 1);
            let read = self.store().lines(Some(before), 1).await?;
            let Some(stored) = read.into_iter().find(|read| read.line.id == line.id) else { continue };
            let level = self.store().level(line.id, Shortage::COUNTED).await?;
            let (rule, pace) = (rule_of(shelf, &stored), self.store().pace(line.id).await?);
            shortage.ready += level.ready;
            shortage.add_coming(level.coming, pace);
            shortage.add_rule(rule);
            if shortage.starved.is_none() {
                shortage.starved = self.starved(&stored, shelf, contract).await?;
            }
        }
        shortage.ready = shortage.ready.min(Shortage::COUNTED.into());
        shortage.doubted = self.doubted_in(environment, shelf, contract).await?;
        Ok(shortage)
    }
}

impl Shortage {
    fn add_coming(&mut self, coming: u64, pace: Pace) {
        self.coming += coming;
        self.coming_since = [self.coming_since, pace.since].into_iter().flatten().min();
        let Some((since, usual_ms)) = pace.since.zip(pace.usual_ms) else { return };
        let usual = SignedDuration::from_millis(usual_ms.cast_signed());
        // One that takes longer than usual may be there at any moment.
        let expected = since.checked_add(usual).unwrap_or(Timestamp::MAX).max(self.at);
        self.expected_at = Some(self.expected_at.map_or(expected, |before| before.min(expected)));
    }

    fn add_rule(&mut self, rule: Option<StockRule>) {
        let Some(rule) = rule else { return };
        let window = rule.window.as_ref().filter(|window| !window.is_open(self.at));
        let opens_at = window.and_then(|window| window.next_opening(self.at));
        self.opens_at = [self.opens_at, opens_at].into_iter().flatten().min();
        if self.rule.as_ref().is_none_or(|before| before.target < rule.target) {
            self.rule = Some(rule);
        }
    }
}

/// The rule that keeps the most of a line; one that is at work before one that is not.
fn rule_of(shelf: &Shelf, stored: &StoredLine) -> Option<StockRule> {
    let contract = shelf.last_known(&stored.line.contract)?;
    let of_line = |rule: &&StockRule| {
        rule.contract == stored.line.contract && rule.full_input(&contract) == *stored.line.input
    };
    let rules = shelf.rules().map(|(_, stored)| &stored.rule).filter(of_line);
    rules.max_by_key(|rule| (rule.state == RuleState::Active, rule.target)).cloned()
}
