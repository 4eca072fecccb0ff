//! Retry: an attempt at a scenario failed, and its step allows another.
//!
//! ```text
//! building, checking -> an attempt fails -> taking down -> pausing -> building: the next attempt
//!                                               |
//!                                               +-> failed: something of it is owed, or no time is left
//! ```
//!
//! What the failed attempt has made is undone as when a whole tree ends, newest first, while the rest of the tree goes
//! on. The next attempt consists of new parts, with keys and numbers of their own. Its parts are planned under the same
//! scenario part, which counts its attempts, so that whoever reads the tree finds the step where it was.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Plan;
use super::answers::later;
use super::blame::blocked;
use crate::contract::RetryPolicy;
use crate::failure::Failure;
use crate::scenario::{Scenario, Step};
use crate::tree::{Part, PartStatus, Retrying};

impl Plan<'_> {
    /// The innermost scenario at or above the part that may be tried again.
    pub(super) fn to_retry(&self, part: u32) -> Option<u32> {
        std::iter::successors(Some(part), |at| self.part(*at).parent).find(|at| {
            let node = self.part(*at);
            let in_time = node.deadline_at.is_none_or(|deadline| self.world.now < deadline);
            let another = |retry: RetryPolicy| node.failed_attempts + 1 < retry.max_attempts;
            node.is_being_made() && in_time && self.scenario_retry(*at).is_some_and(another)
        })
    }

    /// What the step says about attempts at the scenario that it uses.
    pub(super) fn scenario_retry(&self, part: u32) -> Option<RetryPolicy> {
        self.contract(part)?.scenario()?;
        self.of_step(part, |step| step.retry).flatten()
    }

    /// Something of the step that a part was planned for; `None` for the root and the children of orchestrators.
    pub(super) fn of_step<T>(&self, part: u32, read: impl FnOnce(&Step) -> T) -> Option<T> {
        let node = self.part(part);
        let above = self.contract(node.parent?)?;
        above.scenario()?.step(&node.step).map(read)
    }

    /// The attempt at a scenario has failed: it is taken down, and another one follows.
    pub(super) fn retry(&mut self, scenario: u32, failure: Failure) {
        self.turns += 1;
        for number in self.below(scenario).into_iter().skip(1) {
            self.turn_around(number);
        }
        self.children.leave(scenario);
        let node = self.change(scenario);
        node.failed_attempts += 1;
        node.status = PartStatus::Building;
        node.output = None;
        node.facts = None;
        node.settle_until = None;
        node.attempt_until = None;
        node.retrying = Some(Retrying::TakingDown);
        let node = self.part(scenario);
        let told = json!({
            "contract": node.contract.to_string(),
            "version": node.version,
            "attempt": node.failed_attempts,
            "class": failure.class.name(),
            "code": failure.code,
            "message": failure.message,
        });
        self.change(scenario).failure = Some(failure);
        self.tell(scenario, "dataset.retrying", told);
    }

    /// Undoes what failed attempts, and extensions that failed, have made, each on its own, and lets those pause of which nothing is left.
    pub(super) fn take_down_attempts(&mut self) {
        if self.parts().iter().all(|part| part.failed_attempts == 0 && !part.is_failed_extension()) {
            return;
        }
        let (mut left, mut owing) = (BTreeMap::<u32, Vec<u32>>::new(), BTreeSet::new());
        for node in self.parts() {
            match self.tree.failed_attempt_at(node.part) {
                Some(scenario) if !node.status.ended() => left.entry(scenario).or_default().push(node.part),
                Some(scenario) if node.status == PartStatus::Debt => drop(owing.insert(scenario)),
                _ => {}
            }
        }
        left.retain(|_, parts| {
            let waiting = parts.iter().any(|part| self.part(*part).task.is_some());
            if waiting || self.undo_next(parts) {
                return true;
            }
            self.close(parts);
            false
        });
        let is_down = |node: &&Part| {
            let waits = node.is_being_made() && node.retrying == Some(Retrying::TakingDown);
            waits && !left.contains_key(&node.part)
        };
        let down: Vec<u32> = self.parts().iter().filter(is_down).map(|node| node.part).collect();
        for scenario in down {
            if !self.pause(scenario, owing.contains(&scenario)) {
                return;
            }
        }
    }

    /// Whether an attempt at the scenario is on; begins the next one when its time has come.
    pub(super) fn attempt_is_on(&mut self, part: u32, scenario: &Scenario) -> bool {
        match self.part(part).retrying {
            None => true,
            Some(Retrying::Pausing { until }) if until <= self.world.now => {
                let node = self.change(part);
                node.retrying = None;
                node.failure = None;
                self.begin_attempt(part, scenario);
                true
            }
            Some(Retrying::TakingDown | Retrying::Pausing { .. }) => false,
        }
    }

    /// An attempt at a scenario begins. The time of a root is set with its request.
    pub(super) fn begin_attempt(&mut self, part: u32, scenario: &Scenario) {
        if part > 0 {
            let until = scenario.timeout_s.map(|limit_s| later(self.world.now, u64::from(limit_s) * 1000));
            self.change(part).attempt_until = until;
        }
    }

    /// Nothing that can be undone is left of the failed attempt: the next one follows after a pause, if it can. False
    /// when there is none.
    fn pause(&mut self, scenario: u32, owing: bool) -> bool {
        let node = self.part(scenario);
        let (failed_attempts, deadline) = (node.failed_attempts, node.deadline_at);
        let mut failure = node.failure.clone().expect("what is tried again says why it failed");
        let retry = self.scenario_retry(scenario).unwrap_or_default();
        // Never at once: one decision makes at most one attempt, whatever the step says.
        let pause_ms = retry.delay_ms(failed_attempts, self.world.chance).max(1);
        let until = later(self.world.now, pause_ms);
        if owing {
            // Another attempt might leave another effect behind that nobody can undo.
            failure.message.push_str("; it is not made anew, because something of it could not be undone");
        } else if deadline.is_none_or(|deadline| until < deadline) {
            self.change(scenario).retrying = Some(Retrying::Pausing { until });
            return true;
        }
        failure.blocked = blocked(&self.tree, self.world.versions, failure.part);
        self.give_up(failure);
        false
    }
}
