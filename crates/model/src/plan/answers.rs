//! Answers: what a supplier said to an attempt, or that it said nothing.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::advance::Place;
use super::bind::list;
use super::blame::Cause;
use super::{Answer, Attempt, Plan};
use crate::channel::is_of_channel;
use crate::contract::{Contract, RetryPolicy};
use crate::failure::FailureClass;
use crate::ids::SessionId;
use crate::limits::{AGAIN_LEAST_MS, AGAIN_MS, OBTAINED, ORPHANS, TREE_DEPTH, TREE_PARTS};
use crate::schema::Schema;
use crate::tree::{Operation, Part, PartStatus, Task, Verdict, Wish};

/// Why an attempt was never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// The supplier went away.
    Crashed,
    /// Its time was over.
    TimedOut,
}

impl Plan<'_> {
    pub(super) fn answered(&mut self, attempt: Attempt, session: SessionId, answer: Answer) {
        let Some(task) = self.live_task(attempt.part, attempt.serial) else { return };
        let told = json!({
            "operation": task.operation.name(),
            "attempt": attempt.number,
            "session": session.to_string(),
            "message": message_of(&answer),
        });
        if task.cancelled {
            // It is not taken: whoever reads the story must not find it among what was done.
            self.tell(attempt.part, "task.orphaned", told);
            return self.answered_too_late_to_matter(attempt, task.operation, answer);
        }
        self.tell(attempt.part, told_as(&answer), told);
        match (task.operation, answer) {
            (Operation::Produce, Answer::Produced { output, facts }) => {
                self.produced(attempt, output, facts);
            }
            (Operation::Check, Answer::Checked { verdict, facts, message }) => {
                self.checked(attempt.part, verdict, facts, message);
            }
            (Operation::Undo, Answer::Undone) => self.effect_undone(attempt.part),
            (Operation::Produce | Operation::Undo, Answer::Again { after_ms, state, message }) => {
                self.again(attempt, after_ms, state, message);
            }
            (Operation::Find, Answer::Produced { output, facts }) => self.found(attempt, output, facts),
            (Operation::Find, Answer::Nothing { message }) => self.found_nothing(attempt.part, message),
            (Operation::Produce, Answer::Obtain { children }) => self.obtain(attempt.part, children),
            (_, Answer::Failed { retryable, code, message, details }) => {
                // What may pass is no answer to the input: nobody is to change that for it.
                let class = if retryable { FailureClass::Unavailable } else { FailureClass::Rejected };
                let cause = Cause::of(class, message).with_code(&code);
                self.set_back(attempt, Cause { details, passes: retryable, ..cause });
            }
            (operation, answer) => {
                let message = format!(
                    "the supplier answered `{}` to `{}`, which is no answer to it",
                    outcome_name(&answer),
                    operation.name()
                );
                self.violated(attempt, message);
            }
        }
    }

    pub(super) fn unanswered(&mut self, attempt: Attempt, silence: Silence) {
        let Some(task) = self.live_task(attempt.part, attempt.serial) else { return };
        let (class, message) = match silence {
            Silence::Crashed => (FailureClass::Crashed, "the supplier went away before it answered"),
            Silence::TimedOut => {
                (FailureClass::Timeout, "the supplier did not answer in the time that the capability allows")
            }
        };
        let told =
            json!({ "operation": task.operation.name(), "attempt": attempt.number, "message": message });
        self.tell(attempt.part, "task.lost", told);
        if task.operation == Operation::Produce {
            self.change(attempt.part).effect_possible = true;
        }
        if task.cancelled {
            self.change(attempt.part).task = None;
            return;
        }
        self.set_back(attempt, Cause::of(class, message.to_owned()).passing());
    }

    pub(super) fn withdrawn_unclaimed(&mut self, part: u32, serial: u32) {
        if self.live_task(part, serial).is_some_and(|task| task.cancelled) {
            self.change(part).task = None;
        }
    }

    pub(super) fn unserved(&mut self, part: u32, serial: u32, since: Timestamp) {
        let Some(task) = self.live_task(part, serial) else { return };
        self.change(part).task = None;
        if task.cancelled {
            return;
        }
        let node = self.part(part);
        let message = match self.tree.channel.as_deref().filter(|_| is_of_channel(node.version)) {
            Some(channel) => format!(
                "no supplier of {}@{} has been connected in the channel `{channel}` since {since:.0}; start it again, \
                 or request without the channel",
                node.contract, node.version
            ),
            None => format!(
                "no supplier of {} has been connected since {since:.0}; start one, or ask its owner",
                node.contract
            ),
        };
        if self.stands(part) {
            return self.note(part, Verdict::Unknown, None, Some(message));
        }
        let attempts = task.attempt.saturating_sub(task.spent_from);
        // The grace was the time to wait: making everything anew would not bring the supplier back.
        self.fail_for(part, Cause { attempts, ..Cause::of(FailureClass::SupplierOffline, message) });
    }

    /// Keeps what a late answer says was made, to be undone with the rest or, when that is past, now. Without an output
    /// it says only that something may have been made: that goes by the key, and so does an output that is larger than
    /// any may be, which is not kept.
    pub(super) fn orphaned(&mut self, part: u32, output: Option<Value>) {
        let Some(node) = self.tree.parts.get(part as usize) else { return };
        // What was there before is not undone, whatever anybody says about it.
        if node.origin.existed() {
            return;
        }
        // What belongs to another dataset now is undone with that: whoever reads this finds it there.
        if self.tree.moved(part).is_some() {
            return;
        }
        let over = node.status.ended();
        let output = output.filter(|output| Schema::any().validate(output).is_empty()).unwrap_or(Value::Null);
        // Under one idempotency key the same answer tells of the same effect. Once that has been undone it is news
        // again: an attempt that was believed dead may have made it anew.
        let known = node.output.as_deref() == Some(&output) || node.orphans.contains(&output);
        let will_be_undone = if output.is_null() { !over } else { known && node.undone < node.effects() };
        if will_be_undone || node.orphans.len() >= ORPHANS {
            return;
        }
        self.tell(part, "task.orphaned", json!({}));
        self.change(part).orphans.push(output);
        self.reopen_for_undo(part);
    }

    fn live_task(&self, part: u32, serial: u32) -> Option<Task> {
        let node = self.tree.parts.get(part as usize)?;
        node.task.clone().filter(|task| task.serial == serial)
    }

    fn produced(&mut self, attempt: Attempt, output: Value, facts: Option<Value>) {
        let Some(contract) = self.contract(attempt.part) else {
            return self.violated(attempt, "the contract is no longer known to this server".to_owned());
        };
        if let Some(message) = violation(&contract, &output, facts.as_ref()) {
            return self.violated(attempt, message);
        }
        self.note_entities(attempt.part, contract.output.entities(&output));
        self.made(attempt.part, output, facts);
        self.complete(attempt.part);
    }

    pub(super) fn made(&mut self, part: u32, output: Value, facts: Option<Value>) {
        self.tree.made += 1;
        let made = self.tree.made;
        let node = self.change(part);
        node.output = Some(Arc::new(output));
        node.facts = facts.map(Arc::new);
        node.made = Some(made);
        node.state = None;
        node.task = None;
    }

    /// The answer breaks the contract. Asking again would bring the same: it is not retried, and what the attempt made
    /// is undone by its key.
    pub(super) fn violated(&mut self, attempt: Attempt, message: String) {
        self.set_back(attempt, Cause::of(FailureClass::ContractViolation, message));
    }

    fn again(&mut self, attempt: Attempt, after_ms: u64, state: Option<Value>, message: Option<String>) {
        let ready_at = later(self.world.now, after_ms.clamp(AGAIN_LEAST_MS, AGAIN_MS));
        let node = self.change(attempt.part);
        node.state = state;
        // Something is under way out there, whether or not anybody ever asks for it again.
        node.effect_possible |= node.task.as_ref().is_some_and(|task| task.operation == Operation::Produce);
        let task = node.task.as_mut().expect("the answer belongs to a live task");
        task.spent_from = attempt.number;
        task.message = message;
        self.hand_out_again(attempt.part, attempt.number, ready_at);
    }

    /// An attempt failed: another follows if it may help and there are any left.
    fn set_back(&mut self, attempt: Attempt, cause: Cause) {
        let task = self.live_task(attempt.part, attempt.serial).expect("the caller found the task");
        match (task.operation, cause.class) {
            (Operation::Check, FailureClass::ContractViolation) => {
                return self.check_violated(attempt.part, cause.message);
            }
            (Operation::Check, _) => return self.check_failed(attempt.part, cause.message),
            _ => {}
        }
        if task.operation == Operation::Produce
            && (cause.passes || cause.class == FailureClass::ContractViolation)
        {
            self.change(attempt.part).effect_possible = true;
        }
        let retry = self.retry_policy(attempt.part, task.operation);
        let spent = attempt.number.saturating_sub(task.spent_from);
        if cause.passes && spent < retry.max_attempts {
            let ready_at = later(self.world.now, retry.delay_ms(spent, self.world.chance));
            let deadline = match task.operation {
                // What is to be undone has all the time that it needs.
                Operation::Undo => None,
                Operation::Produce | Operation::Check | Operation::Find => {
                    self.part(attempt.part).deadline_at
                }
            };
            if deadline.is_none_or(|deadline| ready_at < deadline) {
                let live = self.change(attempt.part).task.as_mut();
                live.expect("the task was there").message = Some(cause.message);
                return self.hand_out_again(attempt.part, attempt.number, ready_at);
            }
        }
        self.change(attempt.part).task = None;
        let cause = Cause { attempts: spent, ..cause };
        match task.operation {
            Operation::Undo => self.owe(attempt.part, cause),
            Operation::Find => self.find_failed(attempt.part, cause),
            Operation::Produce | Operation::Check => self.fail_for(attempt.part, cause),
        }
    }

    fn obtain(&mut self, part: u32, wishes: Vec<Wish>) {
        let node = self.change(part);
        node.task = None;
        // It may have begun something of its own before it asked.
        node.effect_possible = true;
        if self.depth(part) + 1 > TREE_DEPTH {
            let message = format!("datasets nest at most {TREE_DEPTH} deep; this orchestrator goes deeper");
            return self.fail(part, FailureClass::Orchestration, Some("too_deep"), message);
        }
        let (known, turns) = (self.tree.parts.len(), self.turns);
        let names: Vec<String> = wishes.iter().map(|wish| wish.name.clone()).collect();
        for wish in wishes {
            if let Err((code, message)) = self.obtain_one(part, wish) {
                self.fail(part, FailureClass::Orchestration, Some(code), message);
            }
            if self.turns != turns {
                return;
            }
        }
        // Calling it again with what it was called with before would go on for ever.
        let waits = self
            .children(part)
            .map(|child| self.part(child))
            .any(|child| names.contains(&child.step) && child.status != PartStatus::Ready);
        if self.tree.parts.len() == known && !waits {
            let message = "it asked only for children that it had been given already".to_owned();
            self.fail(part, FailureClass::Orchestration, Some("nothing_new"), message);
        }
    }

    fn obtain_one(&mut self, part: u32, wish: Wish) -> Result<(), (&'static str, String)> {
        let Wish { name, contract, input } = wish;
        let pinned = self.tree.pins.get(&contract).copied();
        let found = match pinned {
            Some(version) => self.world.versions.version(&contract, version),
            None => self.world.versions.current(&contract),
        };
        let Some(found) = found else {
            let message = format!("child `{name}` wants {contract}, which is not in the catalogue");
            return Err(("unknown_contract", message));
        };
        let known = self.children(part).map(|child| self.part(child)).find(|child| child.step == name);
        if let Some(child) = known {
            let same = child.contract == contract && *child.input == found.input.with_defaults(input);
            return if same { Ok(()) } else { Err(("child_changed", changed_message(&name, child))) };
        }
        if self.children(part).count() >= OBTAINED || self.tree.parts.len() >= TREE_PARTS {
            return Err((
                "too_many_children",
                format!("an orchestrator obtains at most {OBTAINED} children"),
            ));
        }
        self.pin(&found);
        let place = Place { step: &name, index: None, timeout_s: None };
        self.start_child(part, &place, &found, input);
        Ok(())
    }

    /// From now on the whole tree uses what was current when the child was first asked for.
    pub(super) fn pin(&mut self, contract: &Contract) {
        let mut pins = super::pins_of(contract, self.world.versions, &self.tree.pins);
        pins.insert(contract.name.clone(), contract.version);
        pins.retain(|name, _| !self.tree.pins.contains_key(name));
        if !pins.is_empty() {
            Arc::make_mut(&mut self.tree.pins).extend(pins);
            self.pins_changed = true;
        }
    }

    fn depth(&self, part: u32) -> usize {
        std::iter::successors(self.part(part).parent, |parent| self.part(*parent).parent).count()
    }

    /// The tree is being taken down; the answer only says what there is to undo.
    fn answered_too_late_to_matter(&mut self, attempt: Attempt, operation: Operation, answer: Answer) {
        let node = self.change(attempt.part);
        node.task = None;
        match (operation, answer) {
            (Operation::Produce, Answer::Produced { output, facts }) => {
                self.made(attempt.part, output, facts);
            }
            // A plain no is the only other answer that says that nothing was made.
            (Operation::Produce, Answer::Failed { retryable: false, .. }) => {}
            (Operation::Produce, _) => node.effect_possible = true,
            (Operation::Check | Operation::Undo | Operation::Find, _) => {}
        }
    }

    /// A scenario may be more or less patient with making a part; undoing it goes by the capability's own rule.
    fn retry_policy(&self, part: u32, operation: Operation) -> RetryPolicy {
        let contract = self.contract(part);
        let own =
            contract.as_ref().and_then(|contract| contract.capability()).map(|capability| capability.retry);
        let step = match operation {
            Operation::Undo => None,
            Operation::Produce | Operation::Check | Operation::Find => {
                self.of_step(part, |step| step.retry).flatten()
            }
        };
        step.or(own).unwrap_or_default()
    }

    /// A part that had ended has something to undo again.
    fn reopen_for_undo(&mut self, part: u32) {
        if !self.part(part).status.ended() {
            return;
        }
        // While the tree lives, only what belongs to a failed attempt or extension ends: it is taken down by itself.
        let ends = self.tree.ending.is_some();
        for number in std::iter::once(part).chain(ends.then_some(0)) {
            let node = self.change(number);
            if node.status.ended() {
                node.status = PartStatus::Undoing;
                node.ended_at = None;
            }
        }
    }
}

/// A moment so many milliseconds later; far beyond any limit it stays where it is.
pub(super) fn later(at: Timestamp, ms: u64) -> Timestamp {
    let span = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn changed_message(name: &str, child: &Part) -> String {
    format!(
        "child `{name}` was first asked for as {} with another input; the same name always answers the same child",
        child.contract
    )
}

pub(super) fn violation(contract: &Contract, output: &Value, facts: Option<&Value>) -> Option<String> {
    let faults = contract.output.validate(output);
    if !faults.is_empty() {
        return Some(format!("the output does not satisfy its schema: {}", list(&faults)));
    }
    facts_violation(contract, facts)
}

/// Why facts break the contract, if they do.
pub(super) fn facts_violation(contract: &Contract, facts: Option<&Value>) -> Option<String> {
    let schema = contract.capability()?.facts.as_ref()?;
    let faults = schema.validate(facts?);
    (!faults.is_empty()).then(|| format!("the facts do not satisfy their schema: {}", list(&faults)))
}

fn outcome_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Produced { .. } | Answer::Checked { .. } | Answer::Undone => "done",
        Answer::Again { .. } => "again",
        Answer::Failed { .. } => "failed",
        Answer::Nothing { .. } => "none",
        Answer::Obtain { .. } => "obtain",
    }
}

/// The event that tells of an answer.
fn told_as(answer: &Answer) -> &'static str {
    match answer {
        Answer::Produced { .. } | Answer::Checked { .. } | Answer::Undone => "task.done",
        Answer::Again { .. } => "task.again",
        Answer::Failed { .. } => "task.failed",
        Answer::Nothing { .. } => "task.found_none",
        Answer::Obtain { .. } => "task.obtained",
    }
}

fn message_of(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Checked { message, .. } | Answer::Again { message, .. } | Answer::Nothing { message } => {
            message.as_deref()
        }
        Answer::Failed { message, .. } => Some(message),
        _ => None,
    }
}
