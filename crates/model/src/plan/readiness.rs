//! Readiness: what stock has to know of a dataset that is ready, and what becomes of one whose request has ended without it.

use jiff::Timestamp;
use serde_json::{Map, json};

use super::answers::later;
use super::change::Readiness;
use super::{Outcome, Plan};
use crate::recheck::{Recheck, Why};
use crate::tree::{Ending, PartStatus};

impl Plan<'_> {
    /// What is to be known of the whole dataset, now that it is ready; `checked` are the parts that can be asked.
    pub(super) fn readiness(&self, checked: &[u32]) -> Readiness {
        let root = self.part(0);
        let ready_at = root.ready_at.unwrap_or(self.world.now);
        let (mut checked_at, mut fresh_until) = (None, Timestamp::MAX);
        for number in checked.iter().copied() {
            let Some(valid_at) = self.part(number).evidence.as_ref().and_then(|evidence| evidence.valid_at)
            else {
                fresh_until = Timestamp::MIN;
                continue;
            };
            let contract = self.contract(number);
            let fresh_for_s = contract
                .as_ref()
                .and_then(|contract| contract.capability())
                .map_or(0, |capability| capability.fresh_for_s);
            checked_at = Some(checked_at.map_or(valid_at, |at: Timestamp| at.min(valid_at)));
            fresh_until = fresh_until.min(later(valid_at, u64::from(fresh_for_s) * 1000));
        }
        let selectable = match (&root.output, self.contract(0)) {
            (Some(output), Some(contract)) => contract.output.selectable(output),
            _ => Map::new(),
        };
        Readiness { ready_at, checked_at: checked_at.unwrap_or(ready_at), fresh_until, selectable }
    }

    /// The request has ended without this dataset. What came from stock and was seen by nobody goes back there; anything
    /// else is taken down.
    pub(super) fn unwanted(&mut self) {
        // Somebody has it: it is not the dataset of that request any more.
        if self.tree.lease.is_some() {
            return;
        }
        // Given back already, and asked about before it goes into stock again.
        let returns = |recheck: &Recheck| matches!(recheck.why, Why::Return | Why::Suspect | Why::Retry);
        if self.tree.recheck.as_ref().is_some_and(returns) {
            return;
        }
        let stands = match self.part(0).status {
            PartStatus::Ready | PartStatus::Suspect => true,
            PartStatus::Checking => self.tree.recheck.is_some(),
            _ => false,
        };
        let untouched =
            self.tree.line.is_some() && self.tree.lease.is_none() && self.tree.ending.is_none() && stands;
        if untouched {
            self.stop_recheck();
            self.change(0).status = PartStatus::Ready;
            self.owns = self.owned();
            self.outcome = Some(Outcome::Ready(self.readiness(&self.checked_parts(self.below(0)))));
            self.tell(0, "dataset.returned", json!({}));
        } else {
            self.end(Ending::Unwanted);
        }
    }
}
