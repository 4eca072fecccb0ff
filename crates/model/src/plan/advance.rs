//! Going forward: whatever can begin or is complete, does so now.
//!
//! Level-triggered: it looks at how the tree is, never at how it came to be so, and may be called at any time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::later;
use super::bind::{Bound, accept_input};
use super::{Outcome, Plan};
use crate::contract::Contract;
use crate::failure::FailureClass;
use crate::limits::TREE_PARTS;
use crate::scenario::{Scenario, Step};
use crate::tree::{Operation, Part, PartStatus};

/// What a child is to its parent.
pub(super) struct Place<'a> {
    /// The step, or the name that an orchestrator gave it.
    pub(super) step: &'a str,
    /// Its place in a `for_each` step.
    pub(super) index: Option<u32>,
    /// How long the step may take.
    pub(super) timeout_s: Option<u32>,
}

impl Plan<'_> {
    /// Lets everything happen that can happen without a supplier.
    pub(super) fn advance(&mut self) {
        while self.tree.ending.is_none() {
            let turns = self.turns;
            self.take_down_attempts();
            if self.turns == turns {
                self.advance_part(0);
            }
            // A failure on the way forward turns things around at once, and there is more to take down.
            if self.turns == turns {
                return;
            }
        }
        self.take_down();
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
            Some(scenario) => {
                self.begin_attempt(part, scenario);
                self.build(part);
            }
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
        if !self.attempt_is_on(part, scenario) {
            return;
        }
        let turns = self.turns;
        // Usually one pass does it: dependencies stand first. What was never checked may stand in any order.
        loop {
            let planned = self.tree.parts.len();
            self.build_steps(part, scenario);
            if self.turns != turns {
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
        let turns = self.turns;
        for step in &scenario.steps {
            self.advance_children(part, &step.name);
            if self.turns != turns {
                return;
            }
            if !self.begun(part, &step.name)
                && step.depends_on.iter().all(|dependency| self.step_is_there(part, dependency))
            {
                self.start_step(part, step);
            }
            if self.turns != turns {
                return;
            }
        }
    }

    /// A capability whose task is open is waited for; one without a task waits for the children that it obtained.
    fn build_orchestrator(&mut self, part: u32) {
        let turns = self.turns;
        let children: Vec<u32> = self.tree.children(part).map(|child| child.part).collect();
        for child in &children {
            self.advance_part(*child);
            if self.turns != turns {
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
        let turns = self.turns;
        for child in children {
            self.advance_part(child);
            if self.turns != turns {
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
            Ok(Bound::One(input)) => {
                let place = Place { step: &step.name, index: None, timeout_s: step.timeout_s };
                self.start_child(part, &place, &contract, input);
            }
            Ok(Bound::Each(inputs)) => {
                let turns = self.turns;
                for (index, input) in (0..).zip(inputs) {
                    let place = Place { step: &step.name, index: Some(index), timeout_s: step.timeout_s };
                    self.start_child(part, &place, &contract, input);
                    if self.turns != turns {
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
        child.attempts_before = self.part(part).failed_attempts;
        child.status = PartStatus::Skipped;
        child.output = output.map(Arc::new);
        child.ended_at = Some(now);
        self.add_part(child);
    }

    /// Adds a child and lets it begin; its input is held against its contract before anything is asked of a supplier.
    pub(super) fn start_child(&mut self, parent: u32, place: &Place<'_>, contract: &Contract, input: Value) {
        let bound = match self.tree.parts.len() < TREE_PARTS {
            true => accept_input(contract, input),
            false => {
                Err(format!("a dataset has at most {TREE_PARTS} parts, those of failed attempts included"))
            }
        };
        let input = bound.as_ref().map_or_else(|_| Arc::new(json!({})), Arc::clone);
        let now = self.world.now;
        let mut child = Part::planned(0, Some(parent), contract, input, now);
        child.step = place.step.to_owned();
        child.index = place.index;
        child.attempts_before = self.part(parent).failed_attempts;
        child.deadline_at = place.timeout_s.map(|timeout_s| later(now, u64::from(timeout_s) * 1000));
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
                self.change(part).output = Some(Arc::new(output));
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
        self.hold_entities(part);
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
    /// What a scenario hands on is its own only once it is ready: an attempt at it may still fail.
    fn hold_entities(&mut self, part: u32) {
        let Some(contract) = self.contract(part).filter(|contract| contract.scenario().is_some()) else {
            return;
        };
        let Some(output) = &self.tree.parts[part as usize].output else { return };
        let entities = contract.output.entities(output);
        self.entities.extend(entities.into_iter().map(|entity| (part, entity)));
    }
}
