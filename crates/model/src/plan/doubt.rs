//! Doubt: what a dataset in stock comes to when one capability calls it invalid, believed or not.

use serde_json::json;

use super::{Outcome, Plan};
use crate::recheck::{Recheck, Why};
use crate::tree::{PartStatus, Verdict};

impl Plan<'_> {
    /// Whether what is said about it tells how believable a capability is. It does not when a consumer may have changed it
    /// meanwhile, or when it was set aside already.
    pub(super) fn is_there_for_stock(&self) -> bool {
        let asked = self
            .tree
            .recheck
            .is_none_or(|recheck| matches!(recheck.why, Why::HandOver | Why::Patrol | Why::Suspect));
        let root = self.part(0);
        let stays = !matches!(root.status, PartStatus::Leased | PartStatus::Quarantined);
        self.tree.line.is_some() && asked && stays && root.set_aside.is_none()
    }

    /// Whether a dataset that was asked about for this reason goes away from stock when one capability says so.
    pub(super) fn is_upon_its_word(&self, why: Why) -> bool {
        let root = self.part(0);
        match why {
            Why::HandOver | Why::Patrol => root.status != PartStatus::Leased,
            Why::Suspect => true,
            Why::Return | Why::Retry | Why::Diagnosis => false,
        }
    }

    /// A dataset does not hold by the word of a capability that is not believed: it stays, and nobody gets it before it was
    /// asked about again. What was called invalid once does not count as valid not long ago.
    pub(super) fn hold_back(&mut self, recheck: Recheck, part: u32, message: &str) {
        let checked = self.checked_parts(self.below(0));
        for part in checked.iter().copied() {
            if self.part(part).evidence.as_ref().is_some_and(|evidence| evidence.verdict == Verdict::Invalid)
                && let Some(evidence) = &mut self.change(part).evidence
            {
                evidence.valid_at = None;
            }
        }
        self.tell(part, "dataset.held_back", json!({ "because": recheck.why.name(), "message": message }));
        if recheck.why == Why::Suspect {
            self.change(0).status = PartStatus::Suspect;
            return;
        }
        self.change(0).status = PartStatus::Ready;
        self.outcome = Some(Outcome::HeldBack(self.readiness(&checked)));
    }
}
