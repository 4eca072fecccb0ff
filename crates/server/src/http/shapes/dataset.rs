//! Datasets as they are shown: a part of a tree with everything below it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use sixpack_model::contract::ContractKind;
use sixpack_model::debt::ResolvedDebt;
use sixpack_model::event::Event;
use sixpack_model::ids::{DatasetId, LeaseId, RequestId};
use sixpack_model::name::ContractName;
use utoipa::ToSchema;

use super::event::TimelineJson;
use super::evidence::EvidenceJson;
use super::failure::FailureJson;
use super::from_stock::FromStockJson;
use super::owner::OwnerJson;
use super::scalar::{Text, Time};
use super::search::SearchJson;
use super::tree::TreeView;
use super::waits_for::WaitsForJson;
use super::word::{KindWord, OriginWord, Said, Standing, Word};

/// One instance of a contract, with what it is made of.
#[derive(Serialize, ToSchema)]
#[schema(as = Dataset)]
pub(in crate::http) struct DatasetJson<'a> {
    #[schema(value_type = String)]
    id: Text<DatasetId>,
    #[schema(value_type = String)]
    root_id: Text<DatasetId>,
    environment: &'a str,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[schema(inline)]
    kind: KindWord,
    /// The status of a step, or for a root also `leased`. `suspect`: in stock, and made with an older version; `quarantined`: it
    /// was in stock and does not hold any more.
    #[schema(inline)]
    status: Standing<'static>,
    /// Step names from the root, joined by ` › `; empty for the root.
    path: String,
    /// The name of the step; absent for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    /// Which attempt at the scenario above it belongs to; only in a part of a step that was made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Where its data comes from: `made` for it, `found` in its service, or `imported`. What was found or imported is never
    /// undone.
    #[schema(inline)]
    origin: OriginWord,
    /// How it was looked for, if its request said `find_first`.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchJson<'a>>,
    /// The dataset in stock that has taken its place; only of a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_stock: Option<FromStockJson>,
    /// The part of another dataset that it is now; only of what was in stock and is `gone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    joined_id: Option<Text<DatasetId>>,
    #[schema(value_type = Value)]
    input: Cow<'a, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    output: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerJson<'a>>,
    /// The live lease on the tree that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    lease_id: Option<Text<LeaseId>>,
    #[schema(value_type = String)]
    request_id: Text<RequestId>,
    /// The channel of suppliers under development that its request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ready_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Its own, or that of the part below it that failed: `dataset_id` in it says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
    /// Who has looked after what it owed, and what has become of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<ResolvedDebtJson<'a>>,
    /// Whom it waits for; only of a part whose task nobody is connected to do, in the answer about one dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<WaitsForJson<'a>>,
    /// What it is made of; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    parts: Option<Vec<DatasetJson<'a>>>,
    /// What happened to it and everything below it, oldest first; only in the answer about one dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<TimelineJson<'a>>>,
}

/// That somebody has looked after an effect that could not be undone.
#[derive(Serialize, ToSchema)]
#[schema(as = ResolvedDebt)]
struct ResolvedDebtJson<'a> {
    /// The name of the token that said so.
    by: &'a str,
    /// What has become of it, in their words.
    reason: &'a str,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

impl<'a> From<&'a ResolvedDebt> for ResolvedDebtJson<'a> {
    fn from(ResolvedDebt { by, reason, at }: &'a ResolvedDebt) -> Self {
        Self { by, reason, at: Time(*at) }
    }
}

impl<'a> DatasetJson<'a> {
    /// One line of a list.
    pub(in crate::http) fn listed(view: &'a TreeView<'a>, number: u32) -> Self {
        let part = view.part(number);
        let kind = if view.is_scenario(number) { ContractKind::Scenario } else { ContractKind::Capability };
        let trees = std::slice::from_ref(view);
        Self {
            id: Text(view.tree.dataset(number)),
            root_id: Text(view.tree.id.root()),
            environment: &view.tree.environment,
            contract: Text(&part.contract),
            version: part.version,
            kind: Word(kind),
            status: Said::new(view.status(number)),
            path: view.tree.steps_to(number),
            step: (number > 0).then_some(part.step.as_str()),
            attempt: part
                .parent
                .filter(|parent| view.part(*parent).failed_attempts > 0)
                .map(|_| part.attempts_before + 1),
            origin: Word(part.origin),
            search: part.search.as_deref().map(SearchJson::from),
            from_stock: FromStockJson::of(view.tree, number),
            joined_id: view.tree.moved(number).map(Text),
            input: view.input(number),
            output: view.output(number),
            facts: view.facts(number),
            evidence: view.evidence(number),
            owner: view.contract(number).map(|contract| OwnerJson::from(&contract.owner)),
            lease_id: view.tree.lease.map(Text),
            request_id: Text(view.tree.request),
            channel: view.tree.channel.as_deref(),
            created_at: Time(part.created_at),
            ready_at: part.ready_at.map(Time),
            ended_at: part.ended_at.map(Time),
            failure: view.failure(number).map(|failure| FailureJson::of(failure, trees, None, view.now)),
            resolved: part.resolved.as_deref().map(ResolvedDebtJson::from),
            waits_for: WaitsForJson::of(view, number),
            parts: None,
            timeline: None,
        }
    }

    /// The whole of it, with what happened.
    pub(in crate::http) fn whole(view: &'a TreeView<'a>, number: u32, events: &'a [Event]) -> Self {
        let below = view.below(number);
        let timeline = events
            .iter()
            .filter(|event| below.binary_search(&event.part).is_ok())
            .map(|event| TimelineJson { event, path: view.tree.steps_to(event.part) })
            .collect();
        Self { timeline: Some(timeline), ..Self::with_parts(view, number) }
    }

    fn with_parts(view: &'a TreeView<'a>, number: u32) -> Self {
        let parts = view.children(number).iter().map(|child| Self::with_parts(view, *child)).collect();
        Self { parts: Some(parts), ..Self::listed(view, number) }
    }
}
