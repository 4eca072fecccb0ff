//! Going forward: whatever can begin or is complete, does so now.
//!
//! Level-triggered: it looks at how the tree is, never at how it came to be so, and may be called at any time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bind::{Bound, accept_input};
use super::{Outcome, Plan};
use crate::contract::Contract;
use crate::failure::FailureClass;
use crate::limits::TREE_PARTS;
use crate::scenario::{Scenario, Step};
use crate::tree::{Operation, Part, PartStatus};

impl Plan<'_> {
    /// Lets everything happen that can happen without a supplier.
    pub(super) fn advance(&mut self) {
        if self.tree.ending.is_none() {
            self.advance_part(0);
        }
        // A failure on the way forward turns the tree around at once.
        if self.tree.ending.is_some() {
            self.take_down();
        }
    }

    fn advance_part(&mut self, part: u32) {
        match self.part(part).status {
            PartStatus::Pending => self.start(part),
            PartStatus::Building => self.build(part),
            PartStatus::Checking => self.settle(part),
            _ => {}
        }
    }

    fn start(&mut self, part: u32) {
        let Some(contract) = self.contract(part) else {
            let node = self.part(part);
            let message = format!(
                "{}@{} is no longer in the catalogue; request again with what is offered now",
                node.contract, node.version
            );
            return self.fail(part, FailureClass::Binding, Some("unknown_contract"), message);
        };
        let now = self.world.now;
        let node = self.change(part);
        node.status = PartStatus::Building;
        node.started_at = Some(now);
        match contract.scenario() {
            Some(_) => self.build(part),
            None => self.add_task(part, Operation::Produce, now, self.tree.priority),
        }
    }

    fn build(&mut self, part: u32) {
        let Some(contract) = self.contract(part) else { return };
        match contract.scenario() {
            Some(scenario) => self.build_scenario(part, &contract, scenario),
            None => self.build_orchestrator(part),
        }
    }

    fn build_scenario(&mut self, part: u32, contract: &Arc<Contract>, scenario: &Arc<Scenario>) {
        // Usually one pass does it: dependencies stand first. What was never checked may stand in any order.
        loop {
            let planned = self.tree.parts.len();
            self.build_steps(part, scenario);
            if self.tree.ending.is_some() {
                return;
            }
            if self.tree.parts.len() == planned {
                break;
            }
        }
        if scenario.steps.iter().all(|step| self.step_is_there(part, &step.name)) {
            self.complete_scenario(part, contract);
        }
    }

    fn build_steps(&mut self, part: u32, scenario: &Scenario) {
        for step in &scenario.steps {
            self.advance_children(part, &step.name);
            if self.tree.ending.is_some() {
                return;
            }
            if !self.begun(part, &step.name)
                && step.depends_on.iter().all(|dependency| self.step_is_there(part, dependency))
            {
                self.start_step(part, step);
            }
            if self.tree.ending.is_some() {
                return;
            }
        }
    }

    /// A capability whose task is open is waited for; one without a task waits for the children that it obtained.
    fn build_orchestrator(&mut self, part: u32) {
        let children: Vec<u32> = self.tree.children(part).map(|child| child.part).collect();
        for child in &children {
            self.advance_part(*child);
            if self.tree.ending.is_some() {
                return;
            }
        }
        let all_there = children.iter().all(|child| self.part(*child).status == PartStatus::Ready);
        if self.part(part).task.is_none() && all_there {
            self.add_task(part, Operation::Produce, self.world.now, self.tree.priority);
        }
    }

    fn advance_children(&mut self, part: u32, step: &str) {
        let children: Vec<u32> =
            self.tree.children(part).filter(|child| child.step == step).map(|child| child.part).collect();
        for child in children {
            self.advance_part(child);
            if self.tree.ending.is_some() {
                return;
            }
        }
    }

    fn begun(&self, part: u32, step: &str) -> bool {
        self.tree.children(part).any(|child| child.step == step)
    }

    fn step_is_there(&self, part: u32, step: &str) -> bool {
        let there = |child: &Part| matches!(child.status, PartStatus::Ready | PartStatus::Skipped);
        self.begun(part, step) && self.tree.children(part).filter(|child| child.step == step).all(there)
    }

    fn start_step(&mut self, part: u32, step: &Step) {
        let pinned = self.tree.pins.get(&step.uses).copied();
        let Some(contract) = pinned.and_then(|version| self.world.versions.version(&step.uses, version))
        else {
            let message = format!("step `{}` uses {}, which is not in the catalogue", step.name, step.uses);
            return self.fail(part, FailureClass::Binding, Some("unknown_contract"), message);
        };
        match self.bind_step(part, step) {
            Err(message) => {
                let message = format!("step `{}`: {message}", step.name);
                self.fail(part, FailureClass::Binding, None, message);
            }
            Ok(Bound::NotNeeded) => self.skip_step(part, step, &contract, None),
            Ok(Bound::Each(inputs)) if inputs.is_empty() => {
                self.skip_step(part, step, &contract, Some(json!([])));
            }
            Ok(Bound::One(input)) => self.start_child(part, &step.name, None, &contract, input),
            Ok(Bound::Each(inputs)) => {
                for (index, input) in inputs.into_iter().enumerate() {
                    self.start_child(part, &step.name, Some(index as u32), &contract, input);
                    if self.tree.ending.is_some() {
                        return;
                    }
                }
            }
        }
    }

    fn skip_step(&mut self, part: u32, step: &Step, contract: &Contract, output: Option<Value>) {
        let now = self.world.now;
        let mut child = Part::planned(0, Some(part), contract, Arc::new(json!({})), now);
        child.step.clone_from(&step.name);
        child.status = PartStatus::Skipped;
        child.output = output.map(Arc::new);
        child.ended_at = Some(now);
        self.add_part(child);
    }

    /// Adds a child and lets it begin; its input is held against its contract before anything is asked of a supplier.
    pub(super) fn start_child(
        &mut self,
        parent: u32,
        step: &str,
        index: Option<u32>,
        contract: &Contract,
        input: Value,
    ) {
        let bound = match self.tree.parts.len() < TREE_PARTS {
            true => accept_input(contract, input),
            false => Err(format!("a dataset has at most {TREE_PARTS} parts")),
        };
        let input = bound.as_ref().map_or_else(|_| Arc::new(json!({})), Arc::clone);
        let mut child = Part::planned(0, Some(parent), contract, input, self.world.now);
        child.step = step.to_owned();
        child.index = index;
        let number = self.add_part(child);
        match bound {
            Ok(_) => self.start(number),
            Err(message) => {
                let message = format!("its input does not satisfy the contract: {message}");
                self.fail(number, FailureClass::Binding, Some("invalid_input"), message);
            }
        }
    }

    fn complete_scenario(&mut self, part: u32, contract: &Contract) {
        match self.bind_output(part, contract) {
            Err(message) => self.fail(part, FailureClass::Binding, None, message),
            Ok(output) => {
                let entities = contract.output.entities(&output);
                self.change(part).output = Some(Arc::new(output));
                self.entities.extend(entities.into_iter().map(|entity| (part, entity)));
                self.complete(part);
            }
        }
    }

    /// A part is made; whether the services are asked now depends on who is going to rely on it.
    pub(super) fn complete(&mut self, part: u32) {
        if self.must_settle(part) {
            self.begin_settling(part);
        } else {
            self.become_ready(part);
        }
    }

    pub(super) fn become_ready(&mut self, part: u32) {
        let now = self.world.now;
        let node = self.change(part);
        node.status = PartStatus::Ready;
        node.ready_at = Some(now);
        node.settle_until = None;
        if part == 0 {
            self.outcome = Some(Outcome::Ready);
            self.tell(0, "dataset.ready", json!({}));
        }
    }
}
