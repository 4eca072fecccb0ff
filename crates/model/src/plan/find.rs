//! Finding: what a service has already is asked for before anything is made, and taken when it is nobody's.
//!
//! What was found is settled, leased and released like what was made, except that there is nothing of it to undo.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answers::violation;
use super::blame::Cause;
use super::{Attempt, Plan};
use crate::failure::FailureClass;
use crate::find::{GivenUp, Origin, WhyGivenUp};
use crate::schema::Entity;
use crate::text::excerpt;
use crate::tree::{Operation, Part, PartStatus};

impl Plan<'_> {
    /// Asks the service for something that it has already.
    pub(super) fn look_for(&mut self, part: u32) {
        let search = self.change(part).search.as_mut().expect("only a part with a search is looked for");
        search.asked += 1;
        self.add_task(part, Operation::Find, self.world.now, self.tree.priority);
    }

    /// The service has something. It is taken unless it is somebody else's.
    pub(super) fn found(&mut self, attempt: Attempt, output: Value, facts: Option<Value>) {
        let part = attempt.part;
        let Some(contract) = self.contract(part) else {
            return self.violated(attempt, "the contract is no longer known to this server".to_owned());
        };
        if let Some(message) = violation(&contract, &output, facts.as_ref()) {
            return self.violated(attempt, message);
        }
        let owned = self.owned_of_existing(part, &output);
        if owned.is_empty() {
            let message = "it names nothing of its own (`x-entity`): what its input names belongs to whoever asks, and \
                           without a key it could be handed to two holders at once";
            return self.violated(attempt, message.to_owned());
        }
        if let Some((entity, why)) = self.not_to_be_taken(part, &owned) {
            self.change(part).task = None;
            let shown = format!("{}:{}", entity.kind, entity.key);
            let message = format!("`{}` {why}", excerpt(&shown));
            return self.look_on(part, vec![entity], message);
        }
        let entities = contract.output.entities(&output);
        self.made(part, output, facts);
        self.change(part).origin = Origin::Found;
        self.take_existing(part, entities, owned);
        let asked = self.part(part).search.as_ref().map_or(0, |search| search.asked);
        self.tell(part, "dataset.found", json!({ "asked": asked }));
        self.complete(part);
    }

    /// The service has nothing that fits.
    pub(super) fn found_nothing(&mut self, part: u32, message: Option<String>) {
        self.change(part).task = None;
        let message = message.unwrap_or_else(|| "it has nothing that fits".to_owned());
        self.make_instead(part, WhyGivenUp::Nothing, message);
    }

    /// Looking itself did not work: whoever asks wants data, and gets what can be made.
    pub(super) fn find_failed(&mut self, part: u32, cause: Cause) {
        let why = match cause.class {
            FailureClass::ContractViolation => WhyGivenUp::ContractViolation,
            _ => WhyGivenUp::Failed,
        };
        self.make_instead(part, why, cause.message);
    }

    /// What was found and does not hold is left as it is, and looked for again; false when that cannot be done.
    pub(super) fn leave_found(&mut self, part: u32, cause: &Cause) -> bool {
        let node = self.part(part);
        // Nobody who has it any more is not going to be there for the next question.
        let is_looked_for = node.origin == Origin::Found && node.is_being_made();
        if !is_looked_for || cause.class == FailureClass::SupplierOffline {
            return false;
        }
        let refused = match &self.part(part).output {
            Some(output) => self.owned_of_existing(part, output),
            None => Vec::new(),
        };
        self.turns += 1;
        let node = self.change(part);
        node.origin = Origin::Made;
        node.status = PartStatus::Building;
        node.made = None;
        node.output = None;
        node.facts = None;
        node.evidence = None;
        node.settle_until = None;
        node.task = None;
        self.ready.remove(&part);
        self.found = Some(Vec::new());
        self.look_on(part, refused, cause.message.clone());
        true
    }

    /// Takes what somebody has said to be there.
    pub(super) fn import(&mut self, part: u32) {
        let output = self.part(part).output.clone().expect("what is imported comes with its output");
        let entities = self.output_entities(part);
        let owned = self.owned_of_existing(part, &output);
        self.tree.made += 1;
        let made = self.tree.made;
        let node = self.change(part);
        node.status = PartStatus::Building;
        node.made = Some(made);
        self.take_existing(part, entities, owned);
        self.complete(part);
    }

    /// What it names and what its input does not: that is nobody else's from now on.
    pub(super) fn owned_of_existing(&self, part: u32, output: &Value) -> Vec<Entity> {
        let Some(contract) = self.contract(part) else { return Vec::new() };
        let given: BTreeSet<Entity> = contract.input.entities(&self.part(part).input).into_iter().collect();
        contract.output.entities(output).into_iter().filter(|entity| !given.contains(entity)).collect()
    }

    /// Whether there is nothing to undo of the whole tree, because what it consists of was there before.
    pub(super) fn is_only_left(&self) -> bool {
        self.part(0).origin.existed() && self.parts().iter().all(|part| part.effects() == 0)
    }

    /// What was there before is free once the tree is over. A debt keeps it: somebody has to look after that first.
    pub(super) fn free_found(&mut self) {
        let is_over = matches!(self.tree.parts[0].status, PartStatus::Gone | PartStatus::Failed);
        if is_over && self.tree.parts.iter().any(|part| part.origin.existed()) {
            self.found = Some(Vec::new());
        }
    }

    fn take_existing(&mut self, part: u32, entities: Vec<Entity>, owned: Vec<Entity>) {
        self.note_entities(part, entities);
        self.found = Some(owned.into_iter().map(|entity| (part, entity)).collect());
    }

    pub(super) fn output_entities(&self, part: u32) -> Vec<Entity> {
        match (self.contract(part), &self.part(part).output) {
            (Some(contract), Some(output)) => contract.output.entities(output),
            _ => Vec::new(),
        }
    }

    /// The first of what it owns that keeps it from being taken, and why.
    fn not_to_be_taken(&self, part: u32, owned: &[Entity]) -> Option<(Entity, String)> {
        let refused = self.part(part).search.as_ref().map(|search| &search.refused);
        let excluded = |entity: &&Entity| refused.is_some_and(|refused| refused.contains(entity));
        if let Some(entity) = owned.iter().find(excluded) {
            return Some((entity.clone(), "was refused before, and is in `exclude`".to_owned()));
        }
        let held = self.found_out.held.iter().find(|held| owned.contains(&held.entity))?;
        let (owner, _) = held.by.tell();
        Some((held.entity.clone(), format!("is owned by {owner}")))
    }

    /// Asks once more without what could not be taken, or gives up.
    fn look_on(&mut self, part: u32, refused: Vec<Entity>, message: String) {
        self.tell(part, "dataset.find_refused", json!({ "message": message }));
        let search = self.change(part).search.as_mut().expect("only a part with a search is looked for");
        search.refuse(refused);
        if search.may_go_on() {
            return self.look_for(part);
        }
        let asked = search.asked;
        let message = format!("of {asked} answers none could be taken; the last one: {message}");
        self.make_instead(part, WhyGivenUp::Refused, message);
    }

    fn make_instead(&mut self, part: u32, why: WhyGivenUp, message: String) {
        self.tell(part, "dataset.not_found", json!({ "code": why.name(), "message": message }));
        let search = self.change(part).search.as_mut().expect("only a part with a search is looked for");
        search.given_up = Some(GivenUp { why, message });
        self.add_task(part, Operation::Produce, self.world.now, self.tree.priority);
    }
}

impl Part {
    /// How many of its first tasks were there to find it.
    pub fn finds(&self) -> u32 {
        self.search.as_ref().map_or(0, |search| search.asked)
    }

    /// Whether a task of it looks for something that is there already: it makes nothing, whatever comes of it.
    pub fn is_find(&self, serial: u32) -> bool {
        serial <= self.finds()
    }

    /// Whether a task of it is the first that may make something.
    pub fn is_first_to_make(&self, serial: u32) -> bool {
        !self.origin.existed() && serial == self.finds() + 1
    }
}
