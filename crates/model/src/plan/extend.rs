//! Extending: a leased dataset is advanced by one more part, which joins the tree and is undone with it.
//!
//! ```text
//! leased -> a part joins -> building -> checking: the whole dataset is asked -> ready
//!                              |            |
//!                              +------------+--> failed: it alone is taken down
//! ```
//!
//! The root stays `leased` all the while. What was there before is asked again together with what is new, because the new
//! part may be what the others do not agree with; whatever they say then is noted, and fails nothing but the extension.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bind::accept_input;
use super::{Outcome, Plan};
use crate::extension::Extension;
use crate::failure::{Failure, FailureClass};
use crate::name::ContractName;
use crate::tree::{Operation, Part, PartStatus, Verdict};

impl Plan<'_> {
    /// Begins to extend the dataset; nothing happens when it cannot be, or is not any more as it was looked at.
    pub(super) fn extend(&mut self, seen: u64, name: &ContractName, version: u32, input: Value) {
        if self.tree.version != seen || self.tree.may_be_extended().is_err() {
            return;
        }
        let Some(contract) = self.world.versions.version(name, version) else { return };
        // What is found out now is about the dataset as it was.
        self.stop_recheck();
        self.pin(&contract);
        let bound = accept_input(&contract, input);
        let input = bound.as_ref().map_or_else(|_| Arc::new(json!({})), Arc::clone);
        let mut part = Part::planned(0, Some(0), &contract, input, self.world.now);
        part.step = self.free_step();
        part.attempts_before = self.part(0).failed_attempts;
        part.extension = Some(Extension::UnderWay);
        let number = self.add_part(part);
        let told = json!({ "contract": contract.name.to_string(), "version": contract.version });
        self.tell(number, "dataset.extending", told);
        if let Err(message) = bound {
            let message = format!("its input does not satisfy the contract: {message}");
            return self.fail(number, FailureClass::Binding, Some("invalid_input"), message);
        }
        self.start(number);
    }

    /// The first of `extend_1`, `extend_2`, … that neither a part nor a step of the root has.
    fn free_step(&self) -> String {
        let root = self.contract(0);
        let steps = root.as_ref().and_then(|contract| contract.scenario()).map(|scenario| &scenario.steps);
        let is_taken = |name: &str| {
            self.parts().iter().any(|part| part.parent == Some(0) && part.step == name)
                || steps.is_some_and(|steps| steps.iter().any(|step| step.name == name))
        };
        let mut names = (1u32..).map(|number| format!("extend_{number}"));
        names.find(|name| !is_taken(name)).expect("a tree has fewer parts than there are numbers")
    }

    /// The part that the dataset is being extended by.
    pub(super) fn extension_under_way(&self) -> Option<u32> {
        if self.part(0).status != PartStatus::Leased {
            return None;
        }
        self.look(self.tree.parts.len());
        self.tree.extension_under_way()
    }

    /// Whether a part is new by an extension that is under way.
    pub(super) fn is_of_extension_under_way(&self, part: u32) -> bool {
        self.extension_under_way().is_some_and(|extension| self.tree.extension_of(part) == Some(extension))
    }

    /// Asks everybody about the whole dataset until all have said since the extension was made that it holds; true when
    /// they have.
    pub(super) fn ask_about_extended(&mut self, extension: u32, checked: &[u32]) -> bool {
        let begun_at = self.settling_since(extension);
        let mut all_hold = true;
        for part in checked.iter().copied() {
            let node = self.part(part);
            let said = node.evidence.as_ref().filter(|said| begun_at.is_some_and(|at| said.at >= at));
            match said.map(|said| (said.verdict, said.message.clone())) {
                _ if node.task.is_some() => all_hold = false,
                Some((Verdict::Valid, _)) => {}
                Some((verdict, message)) => {
                    all_hold = false;
                    let turns = self.turns;
                    self.ask_again_or_fail(part, verdict, message);
                    if self.turns != turns {
                        return false;
                    }
                }
                None => {
                    all_hold = false;
                    self.add_task(part, Operation::Check, self.world.now, self.tree.priority);
                }
            }
        }
        all_hold
    }

    /// The extension is made, and all agree with it: from now on it is what was handed over.
    pub(super) fn become_extended(&mut self, extension: u32) {
        self.change(extension).extension = Some(Extension::Ready);
        for part in self.below(0) {
            if self.part(part).handed.is_some() {
                self.change(part).handed = None;
            }
        }
        self.outcome = Some(Outcome::Extended);
        let part = self.part(extension);
        let told = json!({ "contract": part.contract.to_string(), "version": part.version });
        self.tell(extension, "dataset.extended", told);
    }

    /// The extension cannot be made: it is taken down, and the rest stays leased as it is.
    pub(super) fn give_up_extension(&mut self, extension: u32, failure: Failure) {
        self.turns += 1;
        let told = json!({
            "failed": failure.path, "class": failure.class.name(), "code": failure.code, "message": failure.message,
        });
        self.tell(extension, "dataset.not_extended", told);
        for part in self.below(extension) {
            self.turn_around(part);
        }
        self.children.leave_one(0, extension);
        self.withdraw_checks();
        let node = self.change(extension);
        node.settle_until = None;
        node.extension = Some(Extension::Failed(Box::new(failure)));
    }
}
