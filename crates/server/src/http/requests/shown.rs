//! A request as it is shown.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sixpack_engine::RequestView;
use sixpack_model::ids::RequestId;
use sixpack_model::name::ContractName;
use sixpack_model::request::{Priority, Source};
use sixpack_model::stock::RuleName;
use utoipa::ToSchema;

use super::asked::ITEMS_MAX;
use super::rerun::RerunJson;
use crate::http::shapes::failure::FailureJson;
use crate::http::shapes::lease::LeaseJson;
use crate::http::shapes::scalar::{Text, Time};
use crate::http::shapes::secret::Secrets;
use crate::http::shapes::step::ProgressJson;
use crate::http::shapes::tree::TreeView;
use crate::http::shapes::word::{PrioritySaid, RequestStatusWord, Said, SourceSaid, Word};

/// A consumer's wish for datasets, as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Request)]
pub(in crate::http) struct RequestJson<'a> {
    #[schema(value_type = String)]
    id: Text<RequestId>,
    environment: &'a str,
    /// Absent when `items` were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    contract: Option<Text<&'a ContractName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    input: Option<Cow<'a, Value>>,
    /// As asked, with defaults filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<UnitJson<'a>>>,
    /// How many datasets.
    count: usize,
    #[schema(inline)]
    source: SourceSaid<'static>,
    /// The stock rule that it refills: what it makes is leased to nobody before somebody asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    refills: Option<Text<&'a RuleName>>,
    /// Requests that wait for the same dataset from stock and come first; absent when it does not wait in line.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<u64>,
    lease: LeaseLengthJson,
    holder: &'a str,
    #[schema(inline)]
    priority: PrioritySaid<'static>,
    /// The channel of suppliers under development that it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[schema(inline)]
    status: RequestStatusWord,
    /// Grows with every visible change of this object.
    revision: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    deadline_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Empty until it is fulfilled; then one for each dataset, in the order of `items`.
    leases: Vec<LeaseJson<'a>>,
    /// Only when it asks for a dataset again.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun: Option<RerunJson<'a>>,
    progress: ProgressJson<'a>,
    /// What is probably not meant; left out in lists, and when there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<RequestWarningJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureJson<'a>>,
}

/// Something that is probably not meant.
#[derive(Serialize, ToSchema)]
#[schema(as = RequestWarning)]
struct RequestWarningJson {
    /// Into the request: `/input/contry`, or `/items/0/input/contry`.
    pointer: String,
    code: &'static str,
    message: String,
}

/// One dataset that was asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = RequestItem)]
struct UnitJson<'a> {
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[schema(value_type = Object)]
    input: Cow<'a, Value>,
}

/// How long the leases last.
#[derive(Serialize, ToSchema)]
#[schema(as = LeaseLength)]
struct LeaseLengthJson {
    ttl_s: u64,
}

impl<'a> RequestJson<'a> {
    pub(super) fn of(
        view: &'a RequestView,
        trees: &'a [TreeView<'a>],
        secrets: Secrets,
        now: Timestamp,
        listed: bool,
    ) -> Self {
        let request = &view.request;
        let mut units: Vec<UnitJson<'a>> = Vec::new();
        for unit in request.units.iter().take(if request.listed { ITEMS_MAX } else { 1 }) {
            let contract = view.shelf.contract(&unit.contract, unit.version);
            units.push(UnitJson {
                contract: Text(&unit.contract),
                version: unit.version,
                input: secrets.input(contract.as_deref(), &unit.input),
            });
        }
        let (items, first) = if request.listed { (Some(units), None) } else { (None, units.pop()) };
        let (contract, version, input) = match first {
            Some(unit) => (Some(unit.contract), Some(unit.version), Some(unit.input)),
            None => (None, None, None),
        };
        let leases = view.leases.iter().filter_map(|lease| {
            trees.iter().find(|tree| tree.is(lease.tree)).map(|tree| LeaseJson::of(lease, tree))
        });
        Self {
            id: Text(request.id),
            environment: &request.environment,
            contract,
            version,
            input,
            items,
            count: request.units.len(),
            source: Said::new(match request.source {
                Source::StockFirst => "stock_first",
                Source::Fresh => "fresh",
                Source::StockOnly => "stock_only",
                Source::FindFirst => "find_first",
            }),
            refills: request.refills.as_ref().map(Text),
            ahead: view.ahead,
            lease: LeaseLengthJson { ttl_s: request.ttl_ms / 1000 },
            holder: &request.holder,
            priority: Said::new(match request.priority {
                Priority::Person => "person",
                Priority::Pipeline => "pipeline",
                Priority::Stock => "stock",
                Priority::Patrol => "patrol",
            }),
            channel: request.channel.as_deref(),
            status: Word(request.status),
            revision: request.revision,
            created_at: Time(request.created_at),
            deadline_at: Time(request.deadline_at),
            ended_at: request.ended_at.map(Time),
            leases: leases.collect(),
            rerun: view.rerun.as_ref().map(|rerun| RerunJson::of(rerun, view)),
            progress: ProgressJson::of(trees, listed),
            warnings: if listed { Vec::new() } else { warnings(view) },
            failure: request
                .failure
                .as_ref()
                .map(|failure| FailureJson::of(failure, trees, view.lately, now)),
        }
    }
}

/// Inputs that nothing reads. What is asked for several times is told once.
fn warnings(view: &RequestView) -> Vec<RequestWarningJson> {
    let request = &view.request;
    let mut warnings = Vec::new();
    for (index, unit) in request.units.iter().take(if request.listed { ITEMS_MAX } else { 1 }).enumerate() {
        let Some(contract) = view.shelf.contract(&unit.contract, unit.version) else { continue };
        let at = if request.listed { format!("/items/{index}/input") } else { "/input".to_owned() };
        warnings.extend(contract.input.unread(&unit.input).into_iter().map(|fault| RequestWarningJson {
            pointer: format!("{at}{}", fault.pointer),
            code: fault.code,
            message: fault.message,
        }));
    }
    warnings
}
