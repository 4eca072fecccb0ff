//! Evidence: what the services said about a dataset when they were last asked.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use sixpack_model::failure::FailureClass;
use sixpack_model::tree::{PartStatus, Verdict};
use utoipa::ToSchema;

use super::scalar::{Text, Time};
use super::tree::TreeView;
use super::word::{PartVerdict, Said, WholeVerdict};
use sixpack_model::ids::DatasetId;
use sixpack_model::name::ContractName;

/// What stands for a part that nobody can be asked about.
const UNCHECKED: &str = "unchecked";

/// What is said of a dataset of which some part could not be asked about, and was valid before.
const STALE: &str = "stale";

/// The last check of a whole dataset.
#[derive(Serialize, ToSchema)]
#[schema(as = Evidence)]
pub(in crate::http) struct EvidenceJson<'a> {
    /// `valid` says that all parts that can be checked are, `stale` that some could not be asked and were valid not long ago.
    #[schema(inline)]
    verdict: WholeVerdict<'static>,
    /// When the last part was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    checked_at: Option<Time>,
    /// Parts that were asked.
    checked: usize,
    /// Parts in all.
    of: usize,
    /// Every part that a capability made.
    parts: Vec<PartEvidenceJson<'a>>,
    /// What is demanded of all parts together; only for scenarios that have invariants, once they are ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invariants: Vec<HeldInvariantJson<'a>>,
}

/// The last answer of one service about its part.
#[derive(Serialize, ToSchema)]
#[schema(as = PartEvidence)]
pub(in crate::http) struct PartEvidenceJson<'a> {
    /// Step names from the root, joined by ` › `; empty for the root.
    path: String,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[schema(inline)]
    verdict: PartVerdict<'static>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    checked_at: Option<Time>,
    /// True when the part could not be confirmed the last time, and was valid before: `valid_at` says when, `message` why.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// When it last said that the part is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_at: Option<Time>,
    /// The build of the supplier that answered; absent when that has told none, or nobody answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    /// The instance of the supplier that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

/// A condition over all parts, as it was found when it was last evaluated.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldInvariant)]
pub(in crate::http) struct HeldInvariantJson<'a> {
    /// What it says.
    says: &'a str,
    /// Whether it held then.
    held: bool,
    /// When that was: it is evaluated over the facts of all parts, once every service has said that its part is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    evaluated_at: Option<Time>,
    /// True when a part was found not to hold, or could not be asked about, since then: the facts of now were not held against it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outdated: bool,
}

impl TreeView<'_> {
    /// The evidence about a part and everything below it; `None` as long as nobody was asked and nothing is ready.
    pub(super) fn evidence(&self, top: u32) -> Option<EvidenceJson<'_>> {
        let ready = self.part(top).ready_at.is_some();
        let leaves = self
            .last_below(top)
            .into_iter()
            .filter(|part| !self.is_scenario(*part) && self.part(*part).status != PartStatus::Skipped);
        let parts: Vec<PartEvidenceJson<'_>> = leaves.map(|part| self.part_evidence(part, ready)).collect();
        let checked = parts.iter().filter(|part| part.checked_at.is_some()).count();
        if !ready && checked == 0 {
            return None;
        }
        let said = |verdict: Verdict| parts.iter().any(|part| part.verdict.is(verdict.name()));
        let worst =
            [Verdict::Invalid, Verdict::Unknown, Verdict::Valid].into_iter().find(|verdict| said(*verdict));
        // Of what nobody could tell, all was valid before.
        let is_stale = worst == Some(Verdict::Unknown)
            && parts.iter().all(|part| part.stale || !part.verdict.is(Verdict::Unknown.name()));
        let checked_at = parts.iter().filter_map(|part| part.checked_at).max();
        let outdated = matches!(worst, Some(Verdict::Invalid | Verdict::Unknown));
        let evaluated_at = match outdated {
            // One that is not valid now was valid in the round in which all were.
            true => {
                parts.iter().filter(|part| part.checked_at.is_some()).filter_map(|part| part.valid_at).min()
            }
            false => checked_at.or(self.part(top).ready_at.map(Time)),
        };
        Some(EvidenceJson {
            verdict: Said::new(if is_stale { STALE } else { worst.map_or(UNCHECKED, Verdict::name) }),
            checked_at,
            checked,
            of: parts.len(),
            invariants: if ready { self.invariants(top, evaluated_at, outdated) } else { Vec::new() },
            parts,
        })
    }

    fn invariants(&self, top: u32, evaluated_at: Option<Time>, outdated: bool) -> Vec<HeldInvariantJson<'_>> {
        let scenario = self.contract(top).and_then(|contract| contract.scenario());
        let invariants = scenario.map(|scenario| scenario.invariants.as_slice()).unwrap_or_default();
        // A dataset that drifted says of which part, and by which sentence, it does not hold together any more.
        let drifted = self.tree.root().failure.as_ref();
        let broken =
            drifted.filter(|failure| failure.class == FailureClass::Invariant && failure.part == top);
        let is_broken = |says: &str| broken.is_some_and(|failure| failure.message.contains(says));
        invariants
            .iter()
            .map(|invariant| HeldInvariantJson {
                says: &invariant.says,
                held: !is_broken(&invariant.says),
                evaluated_at,
                outdated,
            })
            .collect()
    }

    fn part_evidence(&self, number: u32, ready: bool) -> PartEvidenceJson<'_> {
        let part = self.part(number);
        let evidence = part.evidence.as_ref();
        let cannot_tell = evidence
            .is_some_and(|evidence| evidence.verdict == Verdict::Unknown && evidence.valid_at.is_some());
        PartEvidenceJson {
            path: self.tree.steps_to(number),
            dataset_id: Text(self.tree.dataset(number)),
            contract: Text(&part.contract),
            version: part.version,
            verdict: Said::new(evidence.map_or(UNCHECKED, |evidence| evidence.verdict.name())),
            facts: self.facts(number),
            message: evidence.and_then(|evidence| evidence.message.as_deref()),
            checked_at: evidence.map(|evidence| Time(evidence.at)),
            stale: ready && cannot_tell,
            valid_at: evidence.and_then(|evidence| evidence.valid_at).map(Time),
            build: evidence.and_then(|evidence| evidence.build.as_deref()),
            instance: evidence.and_then(|evidence| evidence.instance.as_deref()),
        }
    }
}
