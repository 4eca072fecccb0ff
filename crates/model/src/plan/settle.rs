//! Settling: the services are asked until they agree, or until the time allowed for that is over.
//!
//! ```text
//! building -> checking: every part that can be checked is asked
//!             each says `valid`, and every invariant holds over the facts -> ready
//!             one says otherwise -> it is asked again, until the settle time is over -> failed
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::answers::{facts_violation, later};
use super::blame::Cause;
use super::{Judged, Plan};
use crate::expression::Scope;
use crate::failure::FailureClass;
use crate::tree::{Answerer, Evidence, Operation, PartStatus, Verdict};

/// The first pause before a service is asked again: an event is often there after a few tens of milliseconds.
const FIRST_PAUSE_MS: u64 = 50;

/// The longest pause: a tester should not wait long for something that is already true.
const LONGEST_PAUSE_MS: u64 = 2_000;

impl Plan<'_> {
    /// True when somebody will rely on the part before the root is checked as a whole, when it may be made anew if it
    /// does not hold, or when it is the root or an extension.
    pub(super) fn must_settle(&self, part: u32) -> bool {
        let Some(parent) = self.part(part).parent else { return true };
        if self.part(part).extension.is_some() {
            return true;
        }
        if self.contract(part).is_none_or(|contract| contract.scenario().is_none()) {
            return false;
        }
        if self.scenario_retry(part).is_some_and(|retry| retry.max_attempts > 1) {
            return true;
        }
        let Some(above) = self.contract(parent) else { return true };
        above.scenario().is_none_or(|scenario| {
            scenario.steps.iter().any(|step| step.depends_on.contains(&self.part(part).step))
        })
    }

    pub(super) fn begin_settling(&mut self, part: u32) {
        let settle_s = self.settle_s(part);
        let until = later(self.world.now, u64::from(settle_s) * 1000);
        let node = self.change(part);
        node.status = PartStatus::Checking;
        node.settle_until = Some(until);
        self.ask_all(part, self.world.now);
        self.settle(part);
    }

    /// Looks whether everything below agrees by now.
    pub(super) fn settle(&mut self, part: u32) {
        let below = self.settled_with(part);
        let extends = self.part(part).extension.is_some();
        if extends {
            let checked = self.checked_parts(below.clone());
            if !self.ask_about_extended(part, &checked) {
                return;
            }
        }
        if below.iter().any(|part| self.part(*part).task.is_some()) {
            return;
        }
        let checked = self.checked_parts(below);
        let evidence = |part: &u32| self.part(*part).evidence.as_ref().map(|evidence| evidence.verdict);
        if checked.iter().all(|part| evidence(part) == Some(Verdict::Valid)) {
            match self.broken_invariant(part) {
                None => self.become_ready(part, &checked),
                Some((node, message)) => self.disagree(part, node, &checked, message),
            }
        }
    }

    pub(super) fn checked(
        &mut self,
        part: u32,
        verdict: Verdict,
        facts: Option<Value>,
        message: Option<String>,
    ) {
        let violation = self.contract(part).and_then(|contract| facts_violation(&contract, facts.as_ref()));
        if let Some(violation) = violation {
            return self.check_violated(part, violation);
        }
        self.heard(part, verdict, facts, message.clone());
        if verdict != Verdict::Valid && !self.stands(part) {
            self.ask_again_or_fail(part, verdict, message);
        }
    }

    /// Keeps what a service said, or why it said nothing that counts.
    fn heard(&mut self, part: u32, verdict: Verdict, facts: Option<Value>, message: Option<String>) {
        if self.stands(part) {
            return self.note(part, verdict, facts, message);
        }
        let at = self.world.now;
        let Answerer { build, instance } = self.answerer.clone();
        let node = self.change(part);
        node.task = None;
        if let Some(facts) = facts {
            node.facts = Some(Arc::new(facts));
        }
        let valid_at = match verdict {
            Verdict::Valid => Some(at),
            Verdict::Invalid | Verdict::Unknown => node.evidence.as_ref().and_then(|last| last.valid_at),
        };
        node.evidence = Some(Evidence { verdict, at, message, valid_at, build, instance });
    }

    /// The answer to a check breaks the contract, so it says nothing about the state. What is being made fails with it at
    /// once: asking again would bring the same. A dataset that stands is as if its service could not tell.
    pub(super) fn check_violated(&mut self, part: u32, message: String) {
        self.heard(part, Verdict::Unknown, None, Some(message.clone()));
        if !self.stands(part) {
            let attempts = self.part(part).serials.saturating_sub(1);
            let cause = Cause::of(FailureClass::ContractViolation, message);
            self.fail_for(part, Cause { attempts, ..cause });
        }
    }

    /// The check itself did not work: nothing is known.
    pub(super) fn check_failed(&mut self, part: u32, message: String) {
        self.checked(part, Verdict::Unknown, None, Some(message));
    }

    /// The parts that have to agree for this one to be ready: those below it, and all for an extension.
    fn settled_with(&self, part: u32) -> Vec<u32> {
        self.below(if self.part(part).extension.is_some() { 0 } else { part })
    }

    /// Since when the part is being checked.
    pub(super) fn settling_since(&self, part: u32) -> Option<Timestamp> {
        let span = SignedDuration::from_secs(i64::from(self.settle_s(part)));
        self.part(part).settle_until?.checked_sub(span).ok()
    }

    pub(super) fn ask_again_or_fail(&mut self, part: u32, verdict: Verdict, message: Option<String>) {
        // What was there before has had its time to settle, and nothing of ours is on its way that could change it.
        let is_final = verdict == Verdict::Invalid && self.is_only_left();
        let until = self.settling_above(part).and_then(|above| self.part(above).settle_until);
        let next = self.next_ask(part);
        let until = until.filter(|_| !is_final);
        if until.is_some_and(|until| next < until) {
            return self.add_task(part, Operation::Check, next, self.tree.priority);
        }
        let said = message.map(|message| format!(": {message}")).unwrap_or_default();
        let node = self.part(part);
        let message = match verdict {
            Verdict::Unknown => {
                format!("{} cannot tell whether its part of the state holds{said}", node.contract)
            }
            _ => format!("{} says that its part of the state does not hold{said}", node.contract),
        };
        let attempts = node.serials.saturating_sub(1);
        let cause = Cause::of(FailureClass::Check, message).with_code(verdict.name()).passing();
        self.fail_for(part, Cause { attempts, ..cause });
    }

    /// The services agree each for itself but not with each other: facts may still be on their way.
    fn disagree(&mut self, part: u32, node: u32, checked: &[u32], message: String) {
        let next = checked.iter().map(|part| self.next_ask(*part)).max().unwrap_or(self.world.now);
        let may_change =
            !checked.is_empty() && self.part(part).settle_until.is_some_and(|until| next < until);
        if may_change {
            self.ask_all(part, next);
        } else {
            self.fail_for(node, Cause::of(FailureClass::Invariant, message).passing());
        }
    }

    /// What each service said last stays until it answers: nothing is concluded from it as long as anybody is asked.
    fn ask_all(&mut self, part: u32, at: Timestamp) {
        for checked in self.checked_parts(self.settled_with(part)) {
            // Of a dataset that is leased somebody may have been asked before, and goes on being waited for.
            if self.part(checked).task.is_none() {
                self.add_task(checked, Operation::Check, at, self.tree.priority);
            }
        }
    }

    /// Pauses double from one question to the next, spread so that parts do not ask in step.
    fn next_ask(&self, part: u32) -> Timestamp {
        let part = self.part(part);
        let asked = part.serials.saturating_sub(2 + part.finds()).min(16);
        let pause = (FIRST_PAUSE_MS << asked).min(LONGEST_PAUSE_MS) as f64;
        later(self.world.now, (pause * (0.75 + self.world.chance / 2.0)) as u64)
    }

    /// The part in whose name this one is being asked.
    fn settling_above(&self, part: u32) -> Option<u32> {
        std::iter::successors(Some(part), |at| self.part(*at).parent)
            .find(|at| self.part(*at).status == PartStatus::Checking)
            .or_else(|| self.extension_under_way())
    }

    /// An extension has as long as the dataset itself: what is there already may have to come to agree with it.
    fn settle_s(&self, part: u32) -> u32 {
        let own = self.own_settle_s(part);
        if self.part(part).extension.is_some() { own.max(self.own_settle_s(0)) } else { own }
    }

    fn own_settle_s(&self, part: u32) -> u32 {
        match self.contract(part) {
            Some(contract) => match contract.scenario() {
                Some(scenario) => scenario.settle_s,
                None => contract.capability().map_or(0, |capability| capability.settle_s),
            },
            None => 0,
        }
    }

    /// The capabilities among these parts that can be asked and speak for themselves.
    ///
    /// When two parts of one domain hold the same entity, the later one has advanced it: it speaks for both, because
    /// the state that the earlier one had made is left behind on purpose.
    pub(crate) fn checked_parts(&self, mut below: Vec<u32>) -> Vec<u32> {
        let mut spoken_for = BTreeSet::new();
        let mut checked = Vec::new();
        below.sort_by_key(|part| std::cmp::Reverse(self.part(*part).made));
        for number in below {
            let part = self.part(number);
            let Some(contract) = self.contract(number) else { continue };
            let Some(capability) = contract.capability() else { continue };
            let (Some(output), true) = (&part.output, part.made.is_some()) else { continue };
            let entities = contract.output.entities(output);
            let keys = entities
                .iter()
                .map(|entity| (contract.name.domain().to_owned(), entity.kind.clone(), entity.key.clone()));
            let keys: Vec<_> = keys.collect();
            let advanced = !keys.is_empty() && keys.iter().all(|key| spoken_for.contains(key));
            if !advanced && capability.operations.check {
                checked.push(number);
            }
            spoken_for.extend(keys);
        }
        checked.sort_unstable();
        checked
    }

    fn any_facts(&self, top: u32) -> bool {
        self.below(top).iter().skip(1).any(|part| self.part(*part).facts.is_some())
    }

    /// The first invariant that does not hold, innermost scenarios first, with what it says.
    pub(super) fn broken_invariant(&mut self, top: u32) -> Option<(u32, String)> {
        for number in self.below(top).into_iter().rev() {
            let Some((facts, judged)) = self.judge(number) else { continue };
            if let Some(message) = judged.into_iter().find_map(|judged| judged.broken) {
                return Some((number, message));
            }
            self.change(number).facts = Some(Arc::new(facts));
        }
        None
    }

    /// The facts of a scenario part, and how its invariants stand over them; `None` when there is nothing to judge.
    pub(crate) fn judge(&self, number: u32) -> Option<(Value, Vec<Judged>)> {
        let contract = self.contract(number)?;
        let scenario = contract.scenario()?;
        if self.part(number).status == PartStatus::Skipped {
            return None;
        }
        if scenario.invariants.is_empty() && !self.any_facts(number) {
            return None;
        }
        let facts = self.facts_value(number);
        let steps = self.all_steps_value(number);
        let scope = Scope {
            input: Some(&self.part(number).input),
            steps: Some(&steps),
            facts: Some(&facts),
            each: None,
        };
        let judged = scenario.invariants.iter().map(|invariant| {
            let broken = match invariant.that.evaluate(&scope) {
                Ok(Value::Bool(true)) => None,
                Ok(_) => Some(format!("it does not hold that {}", invariant.says)),
                Err(error) => Some(format!("it cannot be told whether {}: {error}", invariant.says)),
            };
            Judged { part: number, says: invariant.says.clone(), broken }
        });
        let judged = judged.collect();
        Some((facts, judged))
    }
}
