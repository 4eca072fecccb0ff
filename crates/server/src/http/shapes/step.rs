//! Steps: what has to be made for a request, and how far it is.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use sixpack_model::contract::Contract;
use sixpack_model::ids::DatasetId;
use sixpack_model::limits::TREE_DEPTH;
use sixpack_model::name::ContractName;
use sixpack_model::scenario::Step;
use sixpack_model::tree::{PartStatus, Verdict};
use utoipa::ToSchema;

use super::from_stock::FromStockJson;
use super::scalar::{Text, Time};
use super::tree::TreeView;
use super::word::{OperationWord, Said, StepStanding, Word};

/// Steps that one answer lists; the rest can be read with the dataset.
const STEPS_MAX: usize = 1_000;

/// How far a request is.
#[derive(Serialize, ToSchema)]
#[schema(as = Progress)]
pub(in crate::http) struct ProgressJson<'a> {
    /// Steps that are made, or not needed.
    done: usize,
    /// Steps known so far.
    total: usize,
    /// In the order of the plan, at most 1,000; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepJson<'a>>>,
}

/// One thing that a capability has to make.
#[derive(Serialize, ToSchema)]
#[schema(as = Step)]
pub(in crate::http) struct StepJson<'a> {
    /// Absent as long as the step has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    dataset_id: Option<Text<DatasetId>>,
    /// Step names from the root, joined by ` › `; empty for the root.
    path: String,
    #[schema(value_type = String)]
    contract: Text<ContractName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[schema(inline)]
    status: StepStanding<'static>,
    /// The dataset in stock that it was a part of before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_stock: Option<FromStockJson>,
    /// What is being done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    operation: Option<OperationWord>,
    /// Which go at it; rounds of `again` do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// What the supplier says.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
}

impl<'a> ProgressJson<'a> {
    /// The progress of all datasets of a request; `listed` leaves the steps out.
    pub(in crate::http) fn of(trees: &'a [TreeView<'a>], listed: bool) -> Self {
        let mut steps = Vec::new();
        let mut done = 0;
        for view in trees {
            view.walk(0, &mut steps, &mut done);
        }
        let total = steps.len();
        steps.truncate(STEPS_MAX);
        Self { done, total, steps: (!listed).then_some(steps) }
    }
}

impl<'a> TreeView<'a> {
    /// Everything below a part in the order of its scenario, steps that have not begun included.
    fn walk(&'a self, number: u32, steps: &mut Vec<StepJson<'a>>, done: &mut usize) {
        let part = self.part(number);
        let is_scenario = self.is_scenario(number) && part.status != PartStatus::Skipped;
        if !is_scenario {
            *done += usize::from(matches!(
                part.status,
                PartStatus::Ready | PartStatus::Leased | PartStatus::Skipped
            ));
            steps.push(self.step(number));
        }
        let scenario = self.contract(number).filter(|_| is_scenario).and_then(Contract::scenario);
        let Some(scenario) = scenario else {
            // What a dataset is extended by under a lease is none of its request's business.
            let own = self.children(number).iter().filter(|child| self.part(**child).extension.is_none());
            return own.for_each(|child| self.walk(*child, steps, done));
        };
        let mut begun: HashMap<&str, Vec<u32>> = HashMap::new();
        for child in self.last_children(number) {
            begun.entry(&self.part(*child).step).or_default().push(*child);
        }
        for step in &scenario.steps {
            match begun.get(step.name.as_str()) {
                Some(parts) => parts.iter().for_each(|part| self.walk(*part, steps, done)),
                None => self.not_begun(&self.tree.steps_to(number), step, steps, 0),
            }
        }
    }

    fn not_begun(&self, above: &str, step: &Step, steps: &mut Vec<StepJson<'a>>, depth: usize) {
        let path = if above.is_empty() { step.name.clone() } else { format!("{above} › {}", step.name) };
        let version = self.tree.pins.get(&step.uses).copied();
        let contract: Option<Arc<Contract>> =
            version.and_then(|version| self.shelf.contract(&step.uses, version));
        let scenario =
            contract.as_ref().and_then(|contract| contract.scenario()).filter(|_| depth < TREE_DEPTH);
        if let Some(scenario) = scenario {
            return scenario.steps.iter().for_each(|step| self.not_begun(&path, step, steps, depth + 1));
        }
        steps.push(StepJson {
            dataset_id: None,
            path,
            contract: Text(step.uses.clone()),
            version,
            // Once the tree is being taken down it is not going to be made.
            status: Said::new(if self.tree.ending.is_none() { "pending" } else { "gone" }),
            from_stock: None,
            operation: None,
            attempt: None,
            message: None,
            started_at: None,
            ended_at: None,
        });
    }

    fn step(&'a self, number: u32) -> StepJson<'a> {
        let part = self.part(number);
        let status = match part.status {
            PartStatus::Leased => "ready",
            PartStatus::Undoing if part.failure.is_some() && part.task.is_none() => "failed",
            _ => self.status(number),
        };
        let failed = part.failure.as_ref().map(|failure| failure.message.as_str());
        let doubted = part.evidence.as_ref().filter(|evidence| evidence.verdict != Verdict::Valid);
        StepJson {
            dataset_id: Some(Text(self.tree.dataset(number))),
            path: self.tree.steps_to(number),
            contract: Text(part.contract.clone()),
            version: Some(part.version),
            status: Said::new(status),
            from_stock: FromStockJson::at_or_above(self.tree, number),
            operation: part.task.as_ref().map(|task| Word(task.operation)),
            attempt: part.task.as_ref().map(|task| task.attempt.saturating_sub(task.spent_from) + 1),
            message: failed
                .or_else(|| part.task.as_ref()?.message.as_deref())
                .or_else(|| doubted?.message.as_deref()),
            started_at: part.started_at.map(Time),
            ended_at: part.ended_at.or(part.ready_at).map(Time),
        }
    }
}
