//! Joining: a child is looked for in stock before it is made, and what is there takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::later;
use super::{Change, Plan};
use crate::ids::DatasetId;
use crate::join::Join;
use crate::limits::{SOUGHT, SOUGHT_MS, TREE_DEPTH, TREE_PARTS};
use crate::request::Priority;
use crate::schema::canonical_json;
use crate::tree::{Ending, Part, PartStatus, Tree};

/// Whether a dataset in stock can take the place of a part that is looked for: it is what the part would be, stands, is asked
/// about by nobody, and fits into the tree.
pub fn may_join(tree: &Tree, part: u32, stocked: &Tree) -> bool {
    let Some(place) = tree.parts.get(part as usize).filter(|part| part.is_sought()) else { return false };
    let root = stocked.root();
    let is_that = stocked.id != tree.id
        && stocked.environment == tree.environment
        && (&root.contract, root.version) == (&place.contract, place.version)
        && canonical_json(&root.input) == canonical_json(&place.input);
    let stands = root.status == PartStatus::Ready
        && stocked.ending.is_none()
        && stocked.lease.is_none()
        && stocked.recheck.is_none()
        && stocked.parts.iter().all(|part| is_at_rest(stocked, part));
    // The tree has its own versions by now; two of one contract are not for it.
    let versions_agree =
        stocked.pins.iter().all(|(name, version)| tree.pins.get(name).is_none_or(|pinned| pinned == version));
    let fits = tree.parts.len() + stocked.parts.len() - 1 <= TREE_PARTS
        && depth(tree, part) + deepest(stocked) <= TREE_DEPTH;
    is_that && stands && versions_agree && fits
}

/// A part that nobody does anything about, and of which nothing is owed.
fn is_at_rest(tree: &Tree, part: &Part) -> bool {
    let is_over = matches!(part.status, PartStatus::Gone | PartStatus::Failed);
    let rests = match tree.failed_attempt_at(part.part) {
        Some(_) => is_over || part.status == PartStatus::Skipped,
        None => matches!(part.status, PartStatus::Ready | PartStatus::Skipped),
    };
    rests && part.task.is_none() && part.extension.is_none()
}

fn depth(tree: &Tree, part: u32) -> usize {
    std::iter::successors(Some(part), |at| tree.parts[*at as usize].parent).count() - 1
}

fn deepest(tree: &Tree) -> usize {
    // A part stands behind the one that it belongs to.
    let mut depths: Vec<usize> = Vec::with_capacity(tree.parts.len());
    for part in &tree.parts {
        depths.push(part.parent.map_or(0, |parent| depths[parent as usize] + 1));
    }
    depths.into_iter().max().unwrap_or(0)
}

impl Plan<'_> {
    /// Whether a child of this parent, of this contract and input, is looked for in stock before it is made.
    pub(super) fn is_to_be_sought(&self, parent: u32, child: u32) -> bool {
        let tree = &self.tree;
        // What refills stock would only empty it elsewhere, and what a lease is extended by is asked for now.
        if !tree.takes_stock || tree.priority == Priority::Stock || tree.lease.is_some() {
            return false;
        }
        if self.sought >= SOUGHT || self.contract(parent).is_none_or(|above| above.scenario().is_none()) {
            return false;
        }
        // What stock had may be why the attempt before has failed: the next one is made.
        let is_first = std::iter::successors(Some(parent), |at| self.part(*at).parent)
            .all(|above| self.part(above).failed_attempts == 0);
        let child = self.part(child);
        is_first && self.world.versions.is_stocked(&child.contract, &child.input)
    }

    /// Has a child looked for in stock, for a moment: whoever does may die over it.
    pub(super) fn seek(&mut self, part: u32) {
        self.sought += 1;
        let until = later(self.world.now, SOUGHT_MS);
        self.change(part).join = Some(Box::new(Join::Sought { until }));
    }

    /// Whether a part that is not begun is still looked for in stock. Whoever was to look has not said anything when its time
    /// is over.
    pub(super) fn waits_for_stock(&mut self, part: u32) -> bool {
        let Some(until) = self.part(part).sought_until() else { return false };
        if self.world.now < until {
            return true;
        }
        self.stop_seeking(part);
        false
    }

    /// Somebody has looked for a part in stock. What was found takes its place if it fits; when there is nothing, it is made.
    pub(super) fn sought(&mut self, part: u32, found: Option<&Tree>) {
        if !self.tree.parts.get(part as usize).is_some_and(Part::is_sought) {
            return;
        }
        match found {
            Some(stocked) if may_join(&self.tree, part, stocked) => self.join(part, stocked),
            Some(_) => {}
            None => {
                self.stop_seeking(part);
                self.start(part);
            }
        }
    }

    fn stop_seeking(&mut self, part: u32) {
        self.sought = self.sought.saturating_sub(1);
        self.change(part).join = None;
    }

    fn join(&mut self, part: u32, stocked: &Tree) {
        self.stop_seeking(part);
        let first = self.tree.parts.len() as u32;
        let number = |at: u32| if at == 0 { part } else { first + at - 1 };
        let made = self.made_anew(stocked);
        for old in &stocked.parts {
            let joined = Part {
                part: number(old.part),
                parent: old.parent.map(number),
                join: Some(Box::new(Join::From(stocked.made_as(old.part)))),
                made: made.get(&old.part).copied(),
                // Nobody has had it in this dataset.
                handed: None,
                deadline_at: None,
                attempt_until: None,
                settle_until: None,
                ..old.clone()
            };
            if old.part == 0 {
                let place = self.change(part);
                *place = Part {
                    parent: place.parent,
                    step: std::mem::take(&mut place.step),
                    index: place.index,
                    deadline_at: place.deadline_at,
                    attempts_before: place.attempts_before,
                    created_at: place.created_at,
                    ..joined
                };
            } else {
                self.children.add(joined.parent.filter(|_| !stocked.is_left_behind(old)));
                self.tree.parts.push(joined);
            }
        }
        self.pin_joined(stocked);
        for joined in std::iter::once(part).chain(first..self.tree.parts.len() as u32) {
            let entities = self.output_entities(joined);
            self.note_entities(joined, entities);
        }
        let ready_at = self.part(part).ready_at;
        let from = stocked.id.root().to_string();
        self.tell(part, "dataset.joined", json!({ "from": from, "ready_at": ready_at }));
        let id = self.tree.id;
        let place = move |at: u32| id.part(number(at));
        self.joins = Some(Box::new(self.moved(stocked, place)));
    }

    /// The numbers in which the parts were made, behind all that this tree has made so far.
    fn made_anew(&mut self, stocked: &Tree) -> BTreeMap<u32, u32> {
        let mut made: Vec<(u32, u32)> =
            stocked.parts.iter().filter_map(|part| Some((part.made?, part.part))).collect();
        made.sort_unstable();
        let before = self.tree.made;
        self.tree.made += made.len() as u32;
        (before + 1..).zip(made).map(|(anew, (_, part))| (part, anew)).collect()
    }

    /// What it has obtained by name is pinned for the whole tree.
    fn pin_joined(&mut self, stocked: &Tree) {
        let more = stocked.pins.iter().filter(|(name, _)| !self.tree.pins.contains_key(name));
        let more: Vec<_> = more.map(|(name, version)| (name.clone(), *version)).collect();
        if !more.is_empty() {
            Arc::make_mut(&mut self.tree.pins).extend(more);
            self.pins_changed = true;
        }
    }

    /// What becomes of the dataset itself: it is over, and there is nothing of it to undo any more.
    fn moved(&self, stocked: &Tree, place: impl Fn(u32) -> DatasetId) -> Change {
        let mut plan = Plan::of(stocked.clone(), stocked.parts.len(), self.world);
        let now = plan.world.now;
        plan.tree.ending = Some(Ending::Joined);
        for number in 0..stocked.parts.len() as u32 {
            let node = plan.change(number);
            if !node.status.ended() {
                node.status = PartStatus::Gone;
                node.ended_at = Some(now);
            }
            node.join = Some(Box::new(Join::Into(place(number))));
            node.made = None;
            node.effect_possible = false;
            node.orphans = Vec::new();
            node.undone = 0;
        }
        let told: Value = json!({ "into": place(0).to_string() });
        plan.tell(0, "dataset.joined", told);
        plan.into_change()
    }
}

impl Change {
    /// The parts that are looked for in stock from now on.
    pub fn sought(&self) -> Vec<u32> {
        let is_sought = |part: &&u32| self.tree.parts[**part as usize].is_sought();
        self.created.iter().filter(is_sought).copied().collect()
    }
}
