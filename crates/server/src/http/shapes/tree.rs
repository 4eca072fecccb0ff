//! Trees with what is needed to show them: the contract of every part, and who is a child of whom.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sixpack_engine::{Shelf, Wait};
use sixpack_model::contract::Contract;
use sixpack_model::extension::Extension;
use sixpack_model::ids::TreeId;
use sixpack_model::tree::{Operation, Part, PartStatus, Retrying, Tree};

use super::owner::OwnerJson;
use super::secret::Secrets;

/// A tree as one caller sees it now.
pub(in crate::http) struct TreeView<'a> {
    pub(super) tree: &'a Tree,
    pub(super) shelf: &'a Shelf,
    pub(super) secrets: Secrets,
    pub(super) now: Timestamp,
    contracts: Vec<Option<Arc<Contract>>>,
    children: Vec<Vec<u32>>,
    waits: &'a [Wait],
}

impl<'a> TreeView<'a> {
    pub(in crate::http) fn new(tree: &'a Tree, shelf: &'a Shelf, secrets: Secrets, now: Timestamp) -> Self {
        let contracts = tree.parts.iter().map(|part| shelf.contract(&part.contract, part.version)).collect();
        let mut children = vec![Vec::new(); tree.parts.len()];
        for part in &tree.parts {
            if let Some(of) = part.parent.and_then(|parent| children.get_mut(parent as usize)) {
                of.push(part.part);
            }
        }
        Self { tree, shelf, secrets, now, contracts, children, waits: &[] }
    }

    /// The same, knowing which parts wait for a supplier that is not connected.
    pub(in crate::http) fn waiting(self, waits: &'a [Wait]) -> Self {
        Self { waits, ..self }
    }

    /// Since when the part has been waiting for a supplier that is not connected, if it is known to.
    pub(in crate::http) fn waits_since(&self, part: u32) -> Option<Timestamp> {
        self.waits.iter().find(|wait| wait.part == part).map(|wait| wait.since)
    }

    /// Whether this is the tree of that id.
    pub(in crate::http) fn is(&self, id: TreeId) -> bool {
        self.tree.id == id
    }

    pub(super) fn part(&self, part: u32) -> &'a Part {
        &self.tree.parts[part as usize]
    }

    pub(super) fn contract(&self, part: u32) -> Option<&Contract> {
        self.contracts[part as usize].as_deref()
    }

    /// Whom to ask about the part.
    pub(in crate::http) fn owner(&self, part: u32) -> Option<OwnerJson<'_>> {
        self.contract(part).map(|contract| OwnerJson::from(&contract.owner))
    }

    /// Those of all attempts, in the order in which they were planned.
    pub(super) fn children(&self, part: u32) -> &[u32] {
        &self.children[part as usize]
    }

    /// The children of the last attempt that was begun: those of earlier ones are undone, or being undone.
    pub(super) fn last_children(&self, part: u32) -> &[u32] {
        let children = self.children(part);
        let attempt = |child: &u32| self.part(*child).attempts_before;
        let last = children.last().map(attempt).unwrap_or_default();
        // Attempts follow each other.
        &children[children.partition_point(|child| attempt(child) < last)..]
    }

    /// True for a node that only holds others together; an orchestrator does something itself and is none.
    pub(super) fn is_scenario(&self, part: u32) -> bool {
        match self.contract(part) {
            Some(contract) => contract.scenario().is_some(),
            None => !self.children(part).is_empty(),
        }
    }

    /// The part and everything below it, of all attempts, each before its children.
    pub(super) fn below(&self, top: u32) -> Vec<u32> {
        self.walk_down(top, Self::children)
    }

    /// The part and what its last attempt consists of, each before its children; not what the dataset was to be extended by
    /// in vain, or is not extended by yet.
    pub(super) fn last_below(&self, top: u32) -> Vec<u32> {
        let mut below = self.walk_down(top, Self::last_children);
        let is_ready = |part: u32| self.part(part).extension == Some(Extension::Ready);
        below.retain(|part| top > 0 || self.tree.extension_of(*part).is_none_or(is_ready));
        below
    }

    fn walk_down<'b>(&'b self, top: u32, children: impl Fn(&'b Self, u32) -> &'b [u32]) -> Vec<u32> {
        let mut below = vec![top];
        let mut at = 0;
        while let Some(part) = below.get(at).copied() {
            below.extend_from_slice(children(self, part));
            at += 1;
        }
        below.sort_unstable();
        below
    }

    /// Where the part stands, as far as a tree can tell: it does not know whether its task is claimed.
    pub(super) fn status(&self, part: u32) -> &'static str {
        let part = self.part(part);
        match (part.status, &part.task) {
            (PartStatus::Building, _) if matches!(part.retrying, Some(Retrying::Pausing { .. })) => "waiting",
            (PartStatus::Undoing, Some(task)) if task.cancelled => "cancelling",
            (PartStatus::Building, Some(task)) if task.ready_at > self.now => "waiting",
            (PartStatus::Ready, Some(task)) if task.operation == Operation::Check => "checking",
            (status, _) => status.name(),
        }
    }

    pub(super) fn input(&self, part: u32) -> Cow<'a, Value> {
        self.secrets.input(self.contract(part), &self.part(part).input)
    }

    pub(in crate::http) fn output(&self, part: u32) -> Option<Cow<'a, Value>> {
        let output = self.part(part).output.as_deref()?;
        Some(self.secrets.output(self.contract(part), output))
    }

    /// Facts of what a capability made; those of a scenario are shown with its parts.
    pub(super) fn facts(&self, part: u32) -> Option<Cow<'a, Value>> {
        let facts = self.part(part).facts.as_deref().filter(|_| !self.is_scenario(part))?;
        Some(self.secrets.facts(self.contract(part), facts))
    }
}
