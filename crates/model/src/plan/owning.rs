//! Owning: the things in services that a dataset has for itself, so that no two live leases meet in one.
//!
//! A tree owns what its capabilities have made, once it is ready. What came in through the root's own input is referenced:
//! whoever asks for an order of the customer 42 knows of that customer from elsewhere. The same goes for the input of an
//! extension.

use std::collections::BTreeSet;

use serde_json::json;

use super::Plan;
use super::blame::Cause;
use crate::failure::FailureClass;
use crate::ids::{LeaseId, TreeId};
use crate::limits::TREE_ENTITIES;
use crate::schema::Entity;
use crate::text::excerpt;
use crate::tree::PartStatus;

/// An entity that a part has made and that is somebody else's already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEntity {
    /// The part that has made it once more.
    pub part: u32,
    /// What it is.
    pub entity: Entity,
    /// Who owns it.
    pub by: EntityOwner,
}

/// Who owns an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityOwner {
    /// The dataset under a live lease.
    Lease {
        /// The lease.
        id: LeaseId,
        /// Who holds it.
        holder: String,
    },
    /// Another dataset of the same request, which would be leased together with this one.
    Sibling(TreeId),
    /// Another dataset that is being made, in stock, or set aside.
    Dataset(TreeId),
}

impl EntityOwner {
    /// In words, and as details of a failure.
    pub fn tell(&self) -> (String, serde_json::Value) {
        match self {
            Self::Lease { id, holder } => {
                let owner = format!("the dataset under {id} of `{}`", excerpt(holder));
                (owner, json!({ "lease_id": id.to_string(), "holder": holder }))
            }
            Self::Sibling(tree) => {
                let id = tree.root().to_string();
                (format!("{id} of the same request"), json!({ "dataset_id": id }))
            }
            Self::Dataset(tree) => {
                let id = tree.root().to_string();
                (id.clone(), json!({ "dataset_id": id }))
            }
        }
    }
}

impl Plan<'_> {
    /// Notes what the tree owns from now on; false when it cannot own all of that, and fails.
    pub(super) fn own_entities(&mut self) -> bool {
        let owns = self.owned();
        if owns.len() > TREE_ENTITIES {
            let message = format!(
                "its parts have made {} different entities (`x-entity` in their outputs); one dataset may own {TREE_ENTITIES}",
                owns.len()
            );
            self.fail(0, FailureClass::ContractViolation, Some("too_many_entities"), message);
            return false;
        }
        // Who has made it is looked up anew: it may have been somebody else when it was found out.
        let of = |held: &HeldEntity| {
            let made = owns.iter().find(|(_, entity)| *entity == held.entity)?;
            Some(HeldEntity { part: made.0, ..held.clone() })
        };
        if let Some(held) = self.found_out.held.iter().find_map(of) {
            self.fail_for_entity(held);
            return false;
        }
        self.owns = owns;
        true
    }

    /// A dataset that waits for the others of its request cannot be leased with them.
    pub(super) fn entity_held(&mut self, held: HeldEntity) {
        let waits = self.part(0).status == PartStatus::Ready && self.tree.lease.is_none();
        if waits && self.tree.parts.get(held.part as usize).is_some() {
            self.fail_for_entity(held);
        }
    }

    /// The part is found by what it hands on, and by what it was given.
    pub(super) fn note_entities(&mut self, part: u32, made: Vec<Entity>) {
        let given = self.contract(part).map(|contract| contract.input.entities(&self.part(part).input));
        let used = given.into_iter().flatten().filter(|entity| !made.contains(entity));
        self.uses.extend(used.map(|entity| (part, entity)));
        self.entities.extend(made.into_iter().map(|entity| (part, entity)));
    }

    fn fail_for_entity(&mut self, held: HeldEntity) {
        let part = held.part;
        let cause = self.cause_of_clash(held);
        // By its output the undo would take away what is somebody else's: only the key says what this part has made.
        if !self.part(part).origin.existed() {
            self.change(part).output = None;
        }
        self.fail_for(part, cause);
    }

    /// The first entity of a dataset that stands which is known to be somebody else's, and why it cannot be handed over.
    pub(super) fn clash(&self) -> Option<(u32, Cause)> {
        let owns = self.owned();
        let of = |held: &HeldEntity| {
            let made = owns.iter().find(|(_, entity)| *entity == held.entity)?;
            Some(HeldEntity { part: made.0, ..held.clone() })
        };
        let held = self.found_out.held.iter().find_map(of)?;
        Some((held.part, self.cause_of_clash(held)))
    }

    fn cause_of_clash(&self, held: HeldEntity) -> Cause {
        let HeldEntity { part, entity, by } = held;
        let shown = format!("{}:{}", entity.kind, entity.key);
        let (owner, mut details) = by.tell();
        details["entity"] = shown.as_str().into();
        let message = format!(
            "{} has made `{}`, which {owner} owns already; no two live leases own the same entity, so it has to make a \
             new one under each idempotency key",
            self.part(part).contract,
            excerpt(&shown)
        );
        let cause = Cause::of(FailureClass::ContractViolation, message).with_code("entity_held");
        Cause { details: Some(details), ..cause }
    }

    /// What the capabilities of the tree have made, each with the part that was the first to make it; not what belongs to
    /// failed attempts, which is gone.
    pub(super) fn owned(&self) -> Vec<(u32, Entity)> {
        let input = self.contract(0).map(|contract| contract.input.entities(&self.part(0).input));
        let mut known: BTreeSet<Entity> = input.into_iter().flatten().collect();
        let made = self.below(0).into_iter().filter_map(|part| Some((self.part(part).made?, part)));
        let mut made: Vec<(u32, u32)> = made.collect();
        made.sort_unstable();
        let mut owns = Vec::new();
        let mut extension = None;
        for (_, number) in made {
            if let Some(other) = self.tree.extension_of(number).filter(|other| extension != Some(*other)) {
                extension = Some(other);
                // The same goes for what an extension was given.
                let input =
                    self.contract(other).map(|contract| contract.input.entities(&self.part(other).input));
                known.extend(input.into_iter().flatten());
            }
            let Some(contract) = self.contract(number).filter(|contract| contract.capability().is_some())
            else {
                continue;
            };
            let Some(output) = &self.part(number).output else { continue };
            let entities = contract.output.entities(output).into_iter();
            owns.extend(
                entities.filter(|entity| known.insert(entity.clone())).map(|entity| (number, entity)),
            );
        }
        owns
    }
}
