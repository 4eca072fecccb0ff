//! History of stock: noted with the look at all lines, once in a span by whichever server looks first, and read by rule.

use jiff::Timestamp;
use sixpack_model::ids::LineId;
use sixpack_model::stock::{History, HistoryGrid, RuleName, StockRule};
use sixpack_storage::page::Page;
use sixpack_storage::stock_history::NotedLevel;
use sixpack_storage::stock_rules::StoredRule;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// Lines of which one write takes away what is old: a day of so many, as behind a server that was away, goes in some dozens of
/// milliseconds.
const FORGOTTEN_AT_ONCE: usize = 100;

/// What is kept ready by a rule has had over the last day. Rules for the same contract and input share it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleHistory {
    /// The rule.
    pub rule: StockRule,
    /// What its line has had.
    pub history: History,
}

impl Engine {
    /// What the rules of an environment have had ready, by name; each in at most so many points.
    pub async fn stock_histories(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page<RuleName>,
        points: u32,
    ) -> Result<Vec<RuleHistory>, Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let rules = self.store().rules(environment, page).await?;
        self.histories_of(environment, &shelf, rules, points).await
    }

    /// What one rule has had ready, in at most so many points.
    pub async fn stock_history(
        &self,
        caller: &Caller,
        environment: &str,
        name: &RuleName,
        points: u32,
    ) -> Result<RuleHistory, Refusal> {
        let (shelf, stored) = self.known_rule(caller, environment, name).await?;
        let mut told = self.histories_of(environment, &shelf, vec![stored], points).await?;
        Ok(told.pop().expect("one rule has one history"))
    }

    async fn histories_of(
        &self,
        environment: &str,
        shelf: &Shelf,
        rules: Vec<StoredRule>,
        points: u32,
    ) -> Result<Vec<RuleHistory>, Refusal> {
        let grid = HistoryGrid::of(points, self.now().await?);
        let line_of = |stored: &StoredRule| {
            let contract = shelf.last_known(&stored.rule.contract)?;
            self.inner.stock.line_of(environment, &contract.name, &stored.rule.full_input(&contract))
        };
        // What has no line yet has had nothing; no line has the number 0.
        let lines: Vec<LineId> = rules.iter().map(|stored| line_of(stored).unwrap_or(LineId(0))).collect();
        let kept = self.store().stock_history(&lines, grid.since, grid.every_s).await?;
        let told = rules.into_iter().zip(kept);
        Ok(told
            .map(|(stored, kept)| RuleHistory {
                rule: stored.rule,
                history: History::of(grid, &kept.samples, kept.counts),
            })
            .collect())
    }

    /// Notes what these lines have that this server has not noted in this span, and once in a span has what is old of all lines taken
    /// away.
    pub(crate) async fn note_levels(
        &self,
        levels: Vec<NotedLevel>,
        all: Vec<LineId>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (is_first, levels) = self.inner.stock.to_note(levels, now);
        if !levels.is_empty() {
            let lines: Vec<LineId> = levels.iter().map(|level| level.line).collect();
            self.store().note_levels(levels).await?;
            self.inner.stock.note(lines, now);
        }
        let all = if is_first { all } else { Vec::new() };
        for lines in all.chunks(FORGOTTEN_AT_ONCE) {
            self.store().forget_levels(lines.to_vec()).await?;
        }
        Ok(())
    }
}
