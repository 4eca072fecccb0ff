//! Blame: a failure names the part, its contract, whom to ask, and what depended on it.

use serde_json::{Value, json};

use super::{Outcome, Plan, Versions};
use crate::contract::Owner;
use crate::failure::{Failure, FailureClass};
use crate::tree::{Ending, Operation, PartStatus, Tree};

/// Why a request that has run out of time is not ready: the failure names the part that is waited for.
///
/// `None` when nothing is being waited for.
pub fn overdue(tree: &Tree, versions: &dyn Versions) -> Option<Failure> {
    let waiting = tree.parts.iter().find(|part| part.task.as_ref().is_some_and(|task| !task.cancelled))?;
    let task = waiting.task.as_ref().expect("the part was chosen for its task");
    let what = match task.operation {
        Operation::Produce => "was still being made",
        Operation::Check => "had not come to agree with the rest",
        Operation::Undo => return None,
    };
    let attempts = task.attempt - task.spent_from;
    let message = match waiting.evidence.as_ref().and_then(|evidence| evidence.message.as_ref()) {
        Some(said) => format!("{} {what} when the request's time was over: {said}", waiting.contract),
        None => format!("{} {what} when the request's time was over", waiting.contract),
    };
    Some(failure(tree, versions, waiting.part, (FailureClass::Timeout, None), message, None, attempts))
}

impl Plan<'_> {
    /// The part cannot be made; the whole tree turns around.
    pub(super) fn fail(&mut self, part: u32, class: FailureClass, code: Option<&str>, message: String) {
        self.fail_with(part, class, code, message, None, 0);
    }

    pub(super) fn fail_with(
        &mut self,
        part: u32,
        class: FailureClass,
        code: Option<&str>,
        message: String,
        details: Option<Value>,
        attempts: u32,
    ) {
        // The first failure is the reason; what fails while everything is taken down follows from it.
        if self.tree.ending.is_some() {
            return;
        }
        let kind = (class, code.map(str::to_owned));
        let failure = failure(&self.tree, self.world.versions, part, kind, message, details, attempts);
        self.tell(
            part,
            "dataset.failed",
            json!({ "path": failure.path, "class": class.name(), "code": failure.code, "message": failure.message }),
        );
        self.change(part).failure = Some(failure.clone());
        self.outcome = Some(Outcome::Failed(Box::new(failure)));
        self.end(Ending::Failed);
    }
}

fn failure(
    tree: &Tree,
    versions: &dyn Versions,
    part: u32,
    (class, code): (FailureClass, Option<String>),
    message: String,
    details: Option<Value>,
    attempts: u32,
) -> Failure {
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
        blocked: blocked(tree, versions, part),
    }
}

/// Steps that were not made because they depend on the part, in its own scenario and in those around it.
fn blocked(tree: &Tree, versions: &dyn Versions, part: u32) -> Vec<String> {
    let mut paths = Vec::new();
    let mut at = part;
    while let Some(parent) = tree.parts[at as usize].parent {
        let (node, above) = (&tree.parts[at as usize], &tree.parts[parent as usize]);
        let contract = versions.version(&above.contract, above.version);
        if let Some(scenario) = contract.as_ref().and_then(|contract| contract.scenario()) {
            // Steps stand in an order in which dependencies come first, so one pass finds all that follow.
            let mut waiting = vec![node.step.as_str()];
            for step in &scenario.steps {
                let made = tree
                    .children(parent)
                    .any(|child| child.step == step.name && child.status == PartStatus::Ready);
                if !made && step.depends_on.iter().any(|name| waiting.contains(&name.as_str())) {
                    waiting.push(&step.name);
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
