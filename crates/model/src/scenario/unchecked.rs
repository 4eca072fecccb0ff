//! Drafts taken as they are written, for scenarios that are not or no longer whole.

use std::collections::HashSet;

use crate::contract::Contract;
use crate::expression::Expression;
use crate::schema::Schema;

use super::{Draft, DraftStep, Invariant, Located, Scenario, Step};

impl Draft {
    /// The contract that the draft would be, without looking at the contracts that it uses.
    ///
    /// The catalogue shows a broken scenario in this form, and a dataset that was begun on a version which has become
    /// broken since can be finished and undone with it. What it hands on is not known: its output takes anything.
    pub fn unchecked(&self, version: u32) -> Contract {
        let invariants = self
            .invariants
            .iter()
            .map(|invariant| Invariant { that: invariant.that.value.clone(), says: invariant.says.clone() });
        let scenario = Scenario {
            name: self.name.clone(),
            owner: self.owner.clone(),
            description: self.description.clone(),
            labels: self.labels.clone(),
            input: self.input.clone(),
            output_schema: Schema::any(),
            steps: self.steps.iter().map(step).collect(),
            invariants: invariants.collect(),
            output: self.output.clone(),
            settle_s: self.settle_s,
            timeout_s: self.timeout_s,
            source: self.source.clone(),
            warnings: self.warnings.clone(),
        };
        scenario.into_contract(version)
    }
}

fn step(draft: &DraftStep) -> Step {
    let condition = draft.condition.as_ref().map(expression);
    let for_each = draft.for_each.as_ref().map(expression);
    let read = draft.with.references().into_iter();
    let read = read.chain(condition.iter().flat_map(Expression::steps));
    let read = read.chain(for_each.iter().flat_map(Expression::steps));
    let read = read.chain(draft.needs.iter().map(|need| need.value.as_str()));
    let mut seen = HashSet::new();
    let depends_on = read.filter(|name| seen.insert(*name)).map(str::to_owned).collect();
    Step {
        name: draft.name.clone(),
        uses: draft.uses.value.clone(),
        with: draft.with.clone(),
        depends_on,
        condition,
        for_each,
        retry: draft.retry,
        timeout_s: draft.timeout_s,
        from: draft.from,
    }
}

fn expression(located: &Located<Expression>) -> Expression {
    located.value.clone()
}
