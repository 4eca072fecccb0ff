//! Taking down: what was made is undone, newest first, and what cannot be undone stays listed as a debt.
//!
//! Nothing is undone while an attempt is still out that may make something: its answer is waited for, or the news that
//! its supplier is gone.

use serde_json::json;

use super::blame::Cause;
use super::{Outcome, Plan};
use crate::debt::ResolvedDebt;
use crate::failure::Failure;
use crate::request::Priority;
use crate::tree::{Ending, Operation, Part, PartStatus};

/// Cleaning up goes before new stock: what is left behind grows until it is gone.
const UNDO_PRIORITY: Priority = Priority::Pipeline;

impl Plan<'_> {
    /// Turns the tree around: from now on it is taken down. A tree turns around once.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.tree.ending.is_some() {
            return;
        }
        self.turns += 1;
        self.tree.ending = Some(ending);
        self.tree.lease = None;
        self.tree.recheck = None;
        for number in 0..self.tree.parts.len() as u32 {
            self.turn_around(number);
        }
        let kind = if self.is_only_left() { "dataset.released" } else { "dataset.undoing" };
        self.tell(0, kind, json!({ "because": ending.name() }));
    }

    pub(super) fn take_down(&mut self) {
        if self.parts().iter().all(|part| part.status.ended()) {
            return;
        }
        let waiting = self.parts().iter().any(|part| part.task.is_some());
        let all: Vec<u32> = (0..self.tree.parts.len() as u32).collect();
        if !waiting && !self.undo_next(&all) {
            self.close(&all[1..]);
            self.close_root();
        }
    }

    /// One effect of the part is gone; a late result may have told of more.
    pub(super) fn effect_undone(&mut self, part: u32) {
        let node = self.change(part);
        node.task = None;
        node.state = None;
        node.undone += 1;
    }

    /// The effect of the part stays: somebody has to look after it.
    pub(super) fn owe(&mut self, part: u32, cause: Cause) {
        let path = self.tree.path_of(part);
        let owner = self.contract(part).map(|contract| contract.owner.clone());
        let Cause { class, code, message, attempts, .. } = cause;
        let node = self.part(part);
        let told = json!({
            "contract": node.contract.to_string(), "version": node.version, "code": code, "message": message,
        });
        self.tell(part, "dataset.debt", told);
        let now = self.world.now;
        let node = self.change(part);
        node.status = PartStatus::Debt;
        node.resolved = None;
        node.ended_at = Some(now);
        if let Some(owner) = owner {
            node.failure = Some(Failure {
                path,
                class,
                code,
                message,
                details: None,
                contract: node.contract.clone(),
                version: node.version,
                part,
                owner,
                attempts,
                retried: Vec::new(),
                blocked: Vec::new(),
            });
        }
        // A root that is a capability has ended with this, and the tree with it: nothing is left that would close it.
        if self.tree.ending.is_some() && self.parts().iter().all(|part| part.status.ended()) {
            self.close_root();
        }
    }

    /// Somebody has looked after the effect of the part; nothing when it owes none, or none any more.
    pub(super) fn resolve_debt(&mut self, part: u32, by: String, reason: String) {
        if !self.tree.parts.get(part as usize).is_some_and(Part::owes) {
            return;
        }
        self.tell(part, "dataset.debt_resolved", json!({ "by": by, "message": reason }));
        let at = self.world.now;
        // A root stands for whatever is owed below it.
        let is_owed_below = part == 0 && self.parts().iter().any(|other| other.part > 0 && other.owes());
        let node = self.change(part);
        node.undone = node.effects();
        node.status = if is_owed_below { PartStatus::Debt } else { PartStatus::Gone };
        node.failure = None;
        node.ended_at = Some(at);
        node.resolved = Some(Box::new(ResolvedDebt { by, reason, at }));
        // A root that stood as a debt because of this one is over now, unless it owes something of its own.
        let waits = |part: &Part| !part.status.ended() || part.owes();
        if self.tree.ending.is_some() && !self.parts().iter().any(waits) {
            self.change(0).status = PartStatus::Undoing;
            self.close_root();
        }
    }

    pub(super) fn turn_around(&mut self, number: u32) {
        let status = self.part(number).status;
        // What a failed attempt has made is being undone already, and goes on with that.
        if status.ended() || status == PartStatus::Undoing {
            return;
        }
        self.change(number).status = PartStatus::Undoing;
        if self.ready.remove(&number).is_some() {
            // Planned by this very decision: it was never there for anybody to claim.
            self.change(number).task = None;
        }
        if let Some(withdrawn) = self.ready_task(number) {
            self.withdrawn.push(withdrawn);
            self.change(number).task.as_mut().expect("a withdrawn task is there").cancelled = true;
        }
    }

    /// Plans the undo of the newest of these parts that has one; false when there is none.
    pub(super) fn undo_next(&mut self, parts: &[u32]) -> bool {
        let order = |part: &&Part| (part.made.unwrap_or(u32::MAX), part.part);
        let owed = |part: &&Part| part.status == PartStatus::Undoing && self.has_effect(part);
        let newest = parts.iter().map(|part| self.part(*part)).filter(owed).max_by_key(order);
        let Some(number) = newest.map(|part| part.part) else { return false };
        // What produce wanted to be told again is none of the undo's business.
        self.change(number).state = None;
        self.add_task(number, Operation::Undo, self.world.now, UNDO_PRIORITY);
        true
    }

    fn has_effect(&self, part: &Part) -> bool {
        let effects = part.effects();
        // A contract that cannot be read any more is taken to have an undo: better asked in vain than forgotten.
        part.undone < effects
            && self.contract(part.part).is_none_or(|contract| {
                contract.capability().is_some_and(|capability| capability.operations.undo)
            })
    }

    /// Everything of these parts that can be undone is undone.
    pub(super) fn close(&mut self, parts: &[u32]) {
        let now = self.world.now;
        for number in parts.iter().copied() {
            let node = self.part(number);
            if node.status.ended() {
                continue;
            }
            let status = if node.failure.is_some() { PartStatus::Failed } else { PartStatus::Gone };
            let node = self.change(number);
            node.status = status;
            node.ended_at = Some(now);
        }
    }

    /// Everything that can be undone of the whole tree is undone.
    fn close_root(&mut self) {
        let now = self.world.now;
        let ending = self.tree.ending.expect("only a tree that ends is closed");
        // The root of a single capability may itself owe something.
        let owes = self.parts().iter().any(|part| part.status == PartStatus::Debt);
        let root = self.change(0);
        root.status = match ending {
            _ if owes => PartStatus::Debt,
            Ending::Failed => PartStatus::Failed,
            Ending::Unwanted | Ending::Used | Ending::Discarded | Ending::Joined => PartStatus::Gone,
        };
        root.ended_at = Some(now);
        let told = if owes { "dataset.owing" } else { "dataset.gone" };
        self.outcome.get_or_insert(Outcome::Ended);
        self.tell(0, told, json!({}));
    }
}

impl Part {
    /// How many effects of the part there may be: what was recorded or may have happened unseen, and the orphans.
    pub fn effects(&self) -> u32 {
        self.own_effects() + self.orphans.len() as u32
    }

    /// What was there before is no effect of anybody's.
    fn own_effects(&self) -> u32 {
        let is_made = self.made.is_some() && !self.origin.existed();
        u32::from(is_made || self.effect_possible)
    }

    /// Whether an effect of this very part is left that nobody could undo.
    pub fn owes(&self) -> bool {
        self.status == PartStatus::Debt && self.undone < self.effects()
    }

    /// What the next undo is about: the output of the first effect that is not undone yet; `None` when only the key
    /// of the attempt is known.
    pub fn to_undo(&self) -> Option<&serde_json::Value> {
        match self.undone.checked_sub(self.own_effects()) {
            None => self.output.as_deref(),
            Some(orphan) => self.orphans.get(orphan as usize).filter(|orphan| !orphan.is_null()),
        }
    }
}
