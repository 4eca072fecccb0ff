//! Found out: what nobody knew when a decision was made, and the store did when it was to be written.

use std::collections::BTreeSet;

use super::{Change, Happened, HeldEntity, Plan, World};
use crate::name::ContractName;
use crate::tree::Tree;

/// What was found out when a decision was to be written, and has to be decided with.
#[derive(Debug, Clone, Default)]
pub struct FoundOut {
    /// Entities that are somebody else's: a dataset that would be ready with one of them fails.
    pub held: Vec<HeldEntity>,
    /// Capabilities that are doubted: none of what is in stock goes away upon their word.
    pub doubted: BTreeSet<ContractName>,
}

/// The same as [`decide`], by somebody who has found something out.
pub fn decide_knowing(tree: &Tree, happened: Happened, known: FoundOut, world: World<'_>) -> Change {
    let mut plan = Plan::of(tree.clone(), tree.parts.len(), world);
    plan.found_out = known;
    plan.happen(happened);
    plan.into_change()
}
