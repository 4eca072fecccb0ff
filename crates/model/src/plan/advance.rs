//! Going forward: whatever can begin or is complete, does so now.
//!
//! Level-triggered: it looks at how the tree is, never at how it came to be so, and may be called at any time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::later;
use super::bind::{Bound, accept_input};
use super::steps::Steps;
use super::{Outcome, Plan};
use crate::contract::Contract;
use crate::failure::FailureClass;
use crate::find::Origin;
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
            if self.turns == turns {
                self.look_at_recheck();
            }
            // A failure on the way forward turns things around at once, and there is more to take down.
            if self.turns == turns {
                return;
            }
        }
        self.take_down();
    }

    fn advance_part(&mut self, part: u32) {
        let status = self.part(part).status;
        match status {
            PartStatus::Pending if self.waits_for_stock(part) => {}
            PartStatus::Pending => self.start(part),
            // Whatever has a task open waits for its answer.
            PartStatus::Building if self.part(part).task.is_none() => self.build(part),
            PartStatus::Checking if part == 0 && self.tree.recheck.is_some() => {}
            PartStatus::Checking => self.settle(part),
            PartStatus::Leased => {
                if let Some(extension) = self.extension_under_way() {
                    self.advance_part(extension);
                }
            }
            _ => {}
        }
    }

    pub(super) fn start(&mut self, part: u32) {
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
            None if self.part(part).origin == Origin::Imported => self.import(part),
            None if self.part(part).search.is_some() => self.look_for(part),
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
        if !self.attempt_is_on(part, scenario) || !self.advance_children(part) {
            return;
        }
        let mut steps = Steps::of(self, part, scenario);
        if self.begin_steps(part, &mut steps) && steps.all_there() {
            self.complete_scenario(part, contract, &steps);
        }
    }

    /// Begins every step that can begin; false when that turned something around.
    fn begin_steps(&mut self, part: u32, steps: &mut Steps<'_>) -> bool {
        let turns = self.turns;
        let mut from = 0;
        // Usually one pass does it: dependencies stand first. What was never checked may stand in any order.
        let mut any = false;
        loop {
            let Some((place, step)) = steps.next_to_begin(from) else {
                if !any {
                    return true;
                }
                (from, any) = (0, false);
                continue;
            };
            let begun = self.start_step(part, step, steps);
            if self.turns != turns {
                return false;
            }
            steps.begun(self, place, begun);
            (from, any) = (place + 1, true);
        }
    }

    /// A capability whose task is open is waited for; one without a task waits for the children that it obtained.
    fn build_orchestrator(&mut self, part: u32) {
        if !self.advance_children(part) {
            return;
        }
        let all_there = self.children(part).all(|child| self.part(child).status == PartStatus::Ready);
        if self.part(part).task.is_none() && all_there {
            self.add_task(part, Operation::Produce, self.world.now, self.tree.priority);
        }
    }

    /// Advances every child; false when that turned something around.
    fn advance_children(&mut self, part: u32) -> bool {
        let turns = self.turns;
        let children: Vec<u32> = self.children(part).collect();
        children.into_iter().all(|child| {
            self.advance_part(child);
            self.turns == turns
        })
    }

    /// Begins a step; returns its parts.
    fn start_step(&mut self, part: u32, step: &Step, steps: &Steps<'_>) -> Vec<u32> {
        let pinned = self.tree.pins.get(&step.uses).copied();
        let Some(contract) = pinned.and_then(|version| self.world.versions.version(&step.uses, version))
        else {
            let message = format!("step `{}` uses {}, which is not in the catalogue", step.name, step.uses);
            self.fail(part, FailureClass::Binding, Some("unknown_contract"), message);
            return Vec::new();
        };
        let place = |index| Place { step: &step.name, index, timeout_s: step.timeout_s };
        match self.bind_step(part, step, steps) {
            Err(message) => {
                let message = format!("step `{}`: {message}", step.name);
                self.fail(part, FailureClass::Binding, None, message);
                Vec::new()
            }
            Ok(Bound::NotNeeded) => vec![self.skip_step(part, step, &contract, None)],
            Ok(Bound::Each(inputs)) if inputs.is_empty() => {
                vec![self.skip_step(part, step, &contract, Some(json!([])))]
            }
            Ok(Bound::One(input)) => vec![self.start_child(part, &place(None), &contract, input)],
            Ok(Bound::Each(inputs)) => {
                let turns = self.turns;
                let mut parts = Vec::with_capacity(inputs.len());
                for (index, input) in (0..).zip(inputs) {
                    parts.push(self.start_child(part, &place(Some(index)), &contract, input));
                    if self.turns != turns {
                        break;
                    }
                }
                parts
            }
        }
    }

    fn skip_step(&mut self, part: u32, step: &Step, contract: &Contract, output: Option<Value>) -> u32 {
        let now = self.world.now;
        let mut child = Part::planned(0, Some(part), contract, Arc::new(json!({})), now);
        child.step.clone_from(&step.name);
        child.attempts_before = self.part(part).failed_attempts;
        child.status = PartStatus::Skipped;
        child.output = output.map(Arc::new);
        child.ended_at = Some(now);
        self.add_part(child)
    }

    /// Adds a child and lets it begin; its input is held against its contract before anything is asked of a supplier.
    pub(super) fn start_child(
        &mut self,
        parent: u32,
        place: &Place<'_>,
        contract: &Contract,
        input: Value,
    ) -> u32 {
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
            Ok(_) if self.is_to_be_sought(parent, number) => self.seek(number),
            Ok(_) => self.start(number),
            Err(message) => {
                let message = format!("its input does not satisfy the contract: {message}");
                self.fail(number, FailureClass::Binding, Some("invalid_input"), message);
            }
        }
        number
    }

    fn complete_scenario(&mut self, part: u32, contract: &Contract, steps: &Steps<'_>) {
        match self.bind_output(part, contract, steps) {
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
            self.become_ready(part, &[]);
        }
    }

    /// The part is there; of the root, or an extension, these are the parts that were asked about it.
    pub(super) fn become_ready(&mut self, part: u32, checked: &[u32]) {
        let extends = self.part(part).extension.is_some();
        if (part == 0 || extends) && !self.own_entities() {
            return;
        }
        self.hold_entities(part);
        let now = self.world.now;
        let node = self.change(part);
        node.status = PartStatus::Ready;
        node.ready_at = Some(now);
        node.settle_until = None;
        if part == 0 {
            self.outcome = Some(Outcome::Ready(self.readiness(checked)));
            self.tell(0, "dataset.ready", json!({}));
        }
        if extends {
            self.become_extended(part);
        }
    }

    /// What a scenario hands on is its own only once it is ready: an attempt at it may still fail.
    fn hold_entities(&mut self, part: u32) {
        let Some(contract) = self.contract(part).filter(|contract| contract.scenario().is_some()) else {
            return;
        };
        let Some(output) = &self.tree.parts[part as usize].output else { return };
        let entities = contract.output.entities(output);
        self.note_entities(part, entities);
    }
}
