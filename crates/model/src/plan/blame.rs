//! Blame: a failure names the part, its contract, whom to ask, and what depended on it.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deadlines::{Doing, Open, waits};
use super::{Outcome, Plan, Versions};
use crate::contract::Owner;
use crate::failure::{Failure, FailureClass, Retried};
use crate::task::OpenTask;
use crate::tree::{Ending, Operation, Part, PartStatus, Tree, Verdict};

/// Why something cannot be made, before it is known what follows from that.
pub(super) struct Cause {
    pub(super) class: FailureClass,
    /// The domain's own code.
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// How many attempts were made.
    pub(super) attempts: u32,
    /// Whether it may be another time that it can be made.
    pub(super) passes: bool,
}

impl Cause {
    /// A cause that stays: the same would come of another attempt.
    pub(super) fn of(class: FailureClass, message: String) -> Self {
        Self { class, code: None, message, details: None, attempts: 0, passes: false }
    }

    /// The same, with a code.
    pub(super) fn with_code(self, code: &str) -> Self {
        Self { code: Some(code.to_owned()), ..self }
    }

    /// The same as something that may pass.
    pub(super) fn passing(self) -> Self {
        Self { passes: true, ..self }
    }
}

/// Why a request that has run out of time is not ready: the failure names the part that is waited for.
///
/// `None` when nothing is being waited for.
pub fn overdue(tree: &Tree, versions: &dyn Versions, open: &[OpenTask], now: Timestamp) -> Option<Failure> {
    if tree.ending.is_some() {
        return None;
    }
    let waiting = tree.parts.iter().find(|part| waits(part))?;
    let open = Open::of(open);
    let doing = Doing { tree, now, open: &open };
    let what = match &waiting.task {
        Some(task) if task.operation == Operation::Check => "had not come to agree with the rest",
        _ => "was still being made",
    };
    let (part, contract) = (waiting.part, &waiting.contract);
    let doing_now = doing.tell(part, &[part]);
    let message = format!("{contract} {what} when the request's time was over: {doing_now}");
    let cause = Cause { attempts: doing.attempts(part), ..Cause::of(FailureClass::Timeout, message) };
    Some(Failure { blocked: blocked(tree, versions, part), ..failure(tree, versions, part, cause) })
}

/// Why a dataset could not be handed over that nobody has called invalid: the failure names the first part that could not be confirmed.
///
/// `None` when all could be.
pub fn unconfirmed(tree: &Tree, versions: &dyn Versions) -> Option<Failure> {
    let is =
        |part: &Part, verdict| part.evidence.as_ref().is_some_and(|evidence| evidence.verdict == verdict);
    if tree.parts.iter().any(|part| is(part, Verdict::Invalid)) {
        return None;
    }
    let part = tree.parts.iter().find(|part| is(part, Verdict::Unknown))?;
    let said = part.evidence.as_ref().and_then(|evidence| evidence.message.clone());
    let said = said.map(|message| format!(": {message}")).unwrap_or_default();
    let message = format!("it cannot be told whether what is in stock still holds{said}");
    Some(failure(tree, versions, part.part, Cause::of(FailureClass::Check, message)))
}

impl Plan<'_> {
    /// The part cannot be made, and never will.
    pub(super) fn fail(&mut self, part: u32, class: FailureClass, code: Option<&str>, message: String) {
        let cause = Cause::of(class, message);
        self.fail_for(part, Cause { code: code.map(str::to_owned), ..cause });
    }

    /// The part cannot be made: a scenario that it belongs to is tried again, or the whole tree turns around; of a dataset
    /// that is leased, the extension that it belongs to.
    pub(super) fn fail_for(&mut self, part: u32, cause: Cause) {
        // The first failure is the reason; what fails while everything is taken down follows from it.
        if self.tree.ending.is_some() {
            return;
        }
        if self.leave_found(part, &cause) {
            return;
        }
        let again = if cause.passes { self.to_retry(part) } else { None };
        let mut failure = failure(&self.tree, self.world.versions, part, cause);
        let extension = self.extension_under_way();
        if let Some(extension) = extension.filter(|at| self.tree.extension_of(part) != Some(*at)) {
            // What was there before stands, whatever it says about what is new.
            return self.give_up_extension(extension, failure);
        }
        self.tell(
            part,
            "dataset.failed",
            json!({
                "contract": failure.contract.to_string(), "version": failure.version,
                "class": failure.class.name(), "code": failure.code, "message": failure.message,
            }),
        );
        if again.is_none() {
            failure.blocked = blocked(&self.tree, self.world.versions, part);
        }
        self.change(part).failure = Some(failure.clone());
        match again {
            Some(scenario) => self.retry(scenario, failure),
            None => self.give_up(failure),
        }
    }

    /// The dataset cannot be made; the whole tree turns around. Of one that is leased, its extension does.
    pub(super) fn give_up(&mut self, failure: Failure) {
        if let Some(extension) = self.extension_under_way() {
            return self.give_up_extension(extension, failure);
        }
        self.outcome = Some(Outcome::Failed(Box::new(failure)));
        self.end(Ending::Failed);
    }
}

pub(super) fn failure(tree: &Tree, versions: &dyn Versions, part: u32, cause: Cause) -> Failure {
    let Cause { class, code, message, details, attempts, passes: _ } = cause;
    let node = &tree.parts[part as usize];
    let owner = versions.version(&node.contract, node.version).map_or_else(
        || Owner { team: node.contract.domain().to_owned(), contact: None, issues: None },
        |contract| contract.owner.clone(),
    );
    Failure {
        path: tree.path_of(part),
        class,
        code,
        message,
        details,
        contract: node.contract.clone(),
        version: node.version,
        part,
        owner,
        attempts,
        retried: retried(tree, part),
        // Known once it is known that the dataset fails with it.
        blocked: Vec::new(),
    }
}

/// The scenarios at and above the part that are not in their first attempt, innermost first.
fn retried(tree: &Tree, part: u32) -> Vec<Retried> {
    let above = std::iter::successors(Some(part), |at| tree.parts[*at as usize].parent);
    let attempts = |part: u32| {
        let node = &tree.parts[part as usize];
        (node.failed_attempts > 0).then(|| Retried {
            path: tree.path_of(part),
            // Between two attempts there is none that counts besides those that failed.
            attempts: node.failed_attempts + u32::from(node.retrying.is_none()),
        })
    };
    above.filter_map(attempts).collect()
}

/// Steps that were not made because they depend on the part, in its own scenario and in those around it.
pub(super) fn blocked(tree: &Tree, versions: &dyn Versions, part: u32) -> Vec<String> {
    let mut paths = Vec::new();
    let mut at = part;
    while let Some(parent) = tree.parts[at as usize].parent {
        let (node, above) = (&tree.parts[at as usize], &tree.parts[parent as usize]);
        let contract = versions.version(&above.contract, above.version);
        if let Some(scenario) = contract.as_ref().and_then(|contract| contract.scenario()) {
            let made: HashSet<&str> = tree
                .children(parent)
                .filter(|child| child.status == PartStatus::Ready)
                .map(|child| child.step.as_str())
                .collect();
            // Steps stand in an order in which dependencies come first, so one pass finds all that follow.
            let mut waiting = HashSet::from([node.step.as_str()]);
            for step in &scenario.steps {
                let waits = step.depends_on.iter().any(|name| waiting.contains(name.as_str()));
                if waits && !made.contains(step.name.as_str()) {
                    waiting.insert(&step.name);
                    let prefix = match tree.steps_to(parent) {
                        steps if steps.is_empty() => String::new(),
                        steps => format!("{steps} › "),
                    };
                    let version = tree.pins.get(&step.uses).map(|version| format!("@{version}"));
                    let version = version.unwrap_or_default();
                    paths.push(format!("{prefix}{} › {}{version}", step.name, step.uses));
                }
            }
        }
        at = parent;
    }
    paths
}
