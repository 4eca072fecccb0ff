//! How a request relates to the dataset that it asks for again, as it is shown.

use std::borrow::Cow;

use serde::Serialize;
use sixpack_engine::{RequestView, RerunView};
use sixpack_model::ids::DatasetId;
use sixpack_model::rerun::{Comparison, Difference};
use sixpack_model::tree::Tree;
use utoipa::ToSchema;

use crate::http::shapes::difference::DifferenceJson;
use crate::http::shapes::scalar::Text;
use crate::http::shapes::secret::Secrets;
use crate::http::shapes::word::{RerunFacts, Said};

/// A dataset that was asked for again, and whether the facts are the same as they were.
#[derive(Serialize, ToSchema)]
#[schema(as = Rerun)]
pub(super) struct RerunJson<'a> {
    /// The dataset that is asked for again.
    #[schema(value_type = String)]
    of: Text<DatasetId>,
    /// `pending` until the request has ended, then `equal` or `different`; `unknown` when it ended without a dataset, or
    /// when there are no facts to compare. What a schema marks `x-volatile` does not count.
    #[schema(inline)]
    facts: RerunFacts<'static>,
    /// At most 100, in the order of the paths.
    differences: Vec<DifferenceJson<'a>>,
    /// How many there are beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

impl<'a> RerunJson<'a> {
    pub(super) fn of(rerun: &'a RerunView, view: &'a RequestView) -> Self {
        let shown = |difference| told(difference, rerun, view);
        let (facts, differences, more) = match &rerun.facts {
            None => ("pending", Vec::new(), 0),
            Some(Comparison::Unknown) => ("unknown", Vec::new(), 0),
            Some(Comparison::Equal) => ("equal", Vec::new(), 0),
            Some(Comparison::Different { differences, more }) => {
                ("different", differences.iter().map(shown).collect(), *more)
            }
        };
        Self {
            of: Text(rerun.of.root()),
            facts: Said::new(facts),
            differences,
            more: (more > 0).then_some(more),
        }
    }
}

/// A difference between the two datasets.
fn told<'a>(difference: &'a Difference, rerun: &RerunView, view: &RequestView) -> DifferenceJson<'a> {
    // Covered also for the holder of the lease: what was before belongs to another one.
    let covered = |tree: &Tree, part: u32| {
        let part = tree.parts.get(part as usize)?;
        let contract = view.shelf.contract(&part.contract, part.version);
        Some(Secrets::Covered.facts(contract.as_deref(), part.facts.as_deref()?).into_owned())
    };
    let facts = |tree: Option<&Tree>, part: Option<u32>| covered(tree?, part?).map(Cow::Owned);
    let before = facts(rerun.original.as_deref(), difference.before);
    let after = facts(view.trees.first().map(|tree| &**tree), difference.after);
    DifferenceJson::of(difference, before, after)
}
