//! Attempts: what is counted of each that ends with a write, whichever database it is written to.

use std::sync::Arc;

use sixpack_model::plan::Change;
use sixpack_model::tree::Tree;

use crate::health::{ATTEMPT_ENDS, StoreMeasures};
use crate::measures::Name;
use crate::tasks::Claimed;
use crate::trees::{Guard, Written};

/// An attempt that ends with a write, if the write is done.
pub(crate) struct Attempt {
    tree: Arc<Tree>,
    part: u32,
    end: usize,
}

impl Attempt {
    /// The attempt whose claim is given up with a write, and how it ends.
    pub(crate) fn of(guard: &Guard, change: &Change) -> Option<Self> {
        let (Guard::Claim(claim) | Guard::Abandoned(claim)) = guard else { return None };
        let part = claim.task.part;
        let mut told = change.events.iter().filter(|event| event.part == part);
        let end = told.find_map(|event| {
            let end = event.kind.strip_prefix("task.")?;
            ATTEMPT_ENDS.iter().position(|known| *known == end)
        });
        Some(Self { tree: Arc::clone(&change.tree), part, end: end? })
    }

    /// Counts it.
    pub(crate) fn count(&self, measures: &StoreMeasures, held_ms: Option<u64>) {
        let contract = &self.tree.parts[self.part as usize].contract;
        let name = Name { first: &self.tree.environment, domain: contract.domain(), name: contract.name() };
        let of_capability = measures.attempts.of(name);
        of_capability.ends[self.end].add_one();
        if let Some(held_ms) = held_ms {
            of_capability.held.note_ms(held_ms);
        }
    }
}

/// What became of the write of a tree, how long the attempt was in its supplier's hands that ended with it, and what was claimed of
/// what it made ready.
pub(crate) struct TreeWritten {
    pub(crate) written: Written,
    pub(crate) held_ms: Option<u64>,
    pub(crate) claimed: Vec<Claimed>,
}

impl From<Written> for TreeWritten {
    fn from(written: Written) -> Self {
        Self { written, held_ms: None, claimed: Vec::new() }
    }
}

impl TreeWritten {
    /// Counts the attempt if the write was done, and tells what became of that.
    pub(crate) fn counted(
        self,
        attempt: Option<&Attempt>,
        measures: &StoreMeasures,
    ) -> (Written, Vec<Claimed>) {
        if let (Written::Done(_), Some(attempt)) = (&self.written, attempt) {
            attempt.count(measures, self.held_ms);
        }
        (self.written, self.claimed)
    }
}

/// How long an attempt was in its supplier's hands that was claimed then and ends now.
pub(crate) fn held_ms(claimed_at: Option<i64>, now: i64) -> Option<u64> {
    claimed_at.map(|at| now.saturating_sub(at).max(0).unsigned_abs())
}
