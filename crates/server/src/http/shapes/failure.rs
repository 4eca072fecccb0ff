//! Failures: who said no, why, whom to ask, and what became of the rest.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sixpack_engine::Lately;
use sixpack_model::failure::Failure;
use sixpack_model::ids::DatasetId;
use sixpack_model::name::ContractName;
use sixpack_model::tree::{Part, PartStatus};
use utoipa::ToSchema;

use super::owner::OwnerJson;
use super::scalar::{Text, Time};
use super::tree::TreeView;
use super::word::{ClassWord, Word};

/// How far back the counts of `lately` reach.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// Why a dataset could not be made.
#[derive(Serialize, ToSchema)]
#[schema(as = Failure)]
pub(in crate::http) struct FailureJson<'a> {
    /// From the request's contract to the one that failed: `payment › billing/payment-account@3`.
    path: &'a str,
    #[schema(inline)]
    class: ClassWord,
    /// The domain's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    message: &'a str,
    /// What the domain added.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    details: Option<&'a Value>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    dataset_id: Option<Text<DatasetId>>,
    owner: OwnerJson<'a>,
    attempts: u32,
    /// The steps around it that had been made anew, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retried: Vec<RetriedJson<'a>>,
    /// Parts that depended on it and were never begun.
    blocked: &'a [String],
    /// How often this contract failed in the last hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    lately: Option<LatelyJson>,
    undo: UndoJson,
}

/// A step that was made anew before the dataset failed all the same.
#[derive(Serialize, ToSchema)]
#[schema(as = Retried)]
pub(in crate::http) struct RetriedJson<'a> {
    /// Step names from the root and the contract: `ready › checkout/ready-customer@2`.
    path: &'a str,
    /// How many attempts were made at it, the last one included.
    attempts: u32,
}

/// How a contract has been doing.
#[derive(Serialize, ToSchema)]
#[schema(as = Lately)]
pub(in crate::http) struct LatelyJson {
    failures: u64,
    of: u64,
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// When the first of those that failed since then was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    first_failed_at: Option<Time>,
}

/// What became of what had been made, as paths, at the time of this answer.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = UndoReport)]
pub(in crate::http) struct UndoJson {
    /// Undone.
    done: Vec<String>,
    /// Still to be undone.
    pending: Vec<String>,
    /// Could not be undone.
    debts: Vec<String>,
}

impl<'a> FailureJson<'a> {
    /// A failure of one of these trees.
    pub(in crate::http) fn of(
        failure: &'a Failure,
        trees: &'a [TreeView<'a>],
        lately: Option<Lately>,
        now: Timestamp,
    ) -> Self {
        let mut undo = UndoJson::default();
        trees.iter().for_each(|view| view.report_undo(&mut undo, |_| true));
        Self {
            path: &failure.path,
            class: Word(failure.class),
            code: failure.code.as_deref(),
            message: &failure.message,
            details: failure.details.as_ref(),
            contract: Text(&failure.contract),
            version: failure.version,
            dataset_id: place(failure, trees).map(Text),
            owner: OwnerJson::from(&failure.owner),
            attempts: failure.attempts,
            retried: failure
                .retried
                .iter()
                .map(|step| RetriedJson { path: &step.path, attempts: step.attempts })
                .collect(),
            blocked: &failure.blocked,
            lately: lately.map(|Lately { failures, of, first_failed_at }| LatelyJson {
                failures,
                of,
                since: Time(now.saturating_sub(LATELY).unwrap_or(now)),
                first_failed_at: first_failed_at.map(Time),
            }),
            undo,
        }
    }
}

impl<'a> FailureJson<'a> {
    /// Why a dataset could not be extended by this part.
    pub(super) fn of_extension(failure: &'a Failure, view: &'a TreeView<'a>, extension: u32) -> Self {
        let mut undo = UndoJson::default();
        view.report_undo(&mut undo, |part| view.tree.extension_of(part) == Some(extension));
        Self { undo, ..Self::of(failure, std::slice::from_ref(view), None, view.now) }
    }
}

impl<'a> TreeView<'a> {
    /// Why a part could not be made or undone: its own failure, or that of the part below it that failed, else of the
    /// first that owes something.
    pub(super) fn failure(&self, number: u32) -> Option<&'a Failure> {
        if let Some(own) = &self.part(number).failure {
            return Some(own);
        }
        // A dataset that was extended in vain stands as it was.
        let is_own = |part: &u32| number > 0 || self.tree.extension_of(*part).is_none();
        let below = self.below(number).into_iter().filter(is_own).map(|part| self.part(part));
        let failed = below.filter(|part| part.failure.is_some());
        let first = failed.min_by_key(|part| part.status == PartStatus::Debt)?;
        first.failure.as_ref()
    }
}

impl TreeView<'_> {
    /// Adds what became of these parts.
    fn report_undo(&self, undo: &mut UndoJson, of: impl Fn(u32) -> bool) {
        for part in self.tree.parts.iter().filter(|part| of(part.part)) {
            let list = match self.undo_of(part) {
                Some(Undo::Done) => &mut undo.done,
                Some(Undo::Pending) => &mut undo.pending,
                Some(Undo::Debt) => &mut undo.debts,
                None => continue,
            };
            list.push(self.tree.path_of(part.part));
        }
    }

    /// Whether the part is being taken down, or waits for its turn.
    fn is_taken_down(&self, part: &Part) -> bool {
        self.tree.ending.is_some() || part.status == PartStatus::Undoing
    }

    /// `None` for a part that left nothing behind that could be undone, and for one that stands.
    fn undo_of(&self, part: &Part) -> Option<Undo> {
        let can_undo = || {
            let capability = self.contract(part.part).and_then(|contract| contract.capability());
            capability.is_some_and(|capability| capability.operations.undo)
        };
        // A root is a debt too when only a part below it owes something: `owes` is of this very part.
        match part.effects() {
            _ if part.owes() => Some(Undo::Debt),
            0 => None,
            effects if part.undone >= effects => Some(Undo::Done),
            _ if !part.status.ended() && self.is_taken_down(part) && can_undo() => Some(Undo::Pending),
            _ => None,
        }
    }
}

enum Undo {
    Done,
    Pending,
    Debt,
}

/// The part that failed. A failure knows its number only; the tree is the one whose part says the same.
fn place(failure: &Failure, trees: &[TreeView<'_>]) -> Option<DatasetId> {
    let same = |view: &&TreeView<'_>| {
        view.tree.parts.get(failure.part as usize).is_some_and(|part| part.failure.as_ref() == Some(failure))
    };
    let alike = |view: &&TreeView<'_>| {
        view.tree.parts.get(failure.part as usize).is_some_and(|part| part.contract == failure.contract)
    };
    let view = trees.iter().find(same).or_else(|| trees.iter().find(alike))?;
    Some(view.tree.dataset(failure.part))
}
