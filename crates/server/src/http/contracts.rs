//! Contracts: the catalogue of an environment, searched and read.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sixpack_engine::{ContractView, Engine, VersionView};
use sixpack_model::catalogue::Search;
use sixpack_model::contract::{Contract, RetryPolicy};
use sixpack_model::limits::{LABELS, SEARCH_BYTES};
use sixpack_model::name::{ContractName, EnvironmentName};
use sixpack_model::scenario::{Source, Step};
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::requests::asked::check_channel;
use super::shapes::diagnostic::DiagnosticJson;
use super::shapes::doubted::DoubtedJson;
use super::shapes::owner::OwnerJson;
use super::shapes::scalar::{Text, Time};
use super::shapes::word::{Change, ContractStanding, KindWord, OperationSaid, Said, StepSource, Word};
use crate::edge::json::Json;
use crate::edge::path::{FromSegments, Path};
use crate::edge::problem::{Problem, ProblemFault};
use crate::edge::query::{Limit, NoParameters, Query};

/// A contract named by a path.
pub(super) struct ContractPath {
    pub(super) environment: EnvironmentName,
    pub(super) contract: ContractName,
}

impl FromSegments for ContractPath {
    fn from_segments<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        let environment = segments.next()?.parse().ok()?;
        let contract = ContractName::new(segments.next()?, segments.next()?).ok()?;
        Some(Self { environment, contract })
    }
}

/// One version of a contract named by a path.
pub(super) struct VersionPath {
    contract: ContractPath,
    version: u32,
}

impl FromSegments for VersionPath {
    fn from_segments<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        let contract = ContractPath::from_segments(segments.by_ref())?;
        let text = segments.next()?;
        // A number is written one way only.
        let version = text.parse().ok().filter(|version: &u32| version.to_string() == text)?;
        Some(Self { contract, version })
    }
}

/// Which contracts to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContractParameters {
    /// Words that all occur in name, description, owner or labels; case does not matter.
    #[param(max_length = 256)]
    q: Option<String>,
    /// The team.
    owner: Option<String>,
    /// A label, `key:value`; may be repeated, then all must be there.
    #[serde(default)]
    label: Vec<String>,
    #[param(inline)]
    kind: Option<KindWord>,
    domain: Option<String>,
    /// As requests see the catalogue that name this channel.
    #[param(max_length = 63)]
    channel: Option<String>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Whose catalogue is read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChannelParameter {
    /// As requests see the contract that name this channel.
    #[param(max_length = 63)]
    channel: Option<String>,
}

/// A contract as the catalogue lists it.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractEntry)]
pub(super) struct ContractJson<'a> {
    #[schema(value_type = String)]
    name: Text<&'a ContractName>,
    version: u32,
    #[schema(inline)]
    kind: KindWord,
    /// `online`, `offline` or `broken`.
    #[schema(inline)]
    status: ContractStanding<'static>,
    description: &'a str,
    owner: OwnerJson<'a>,
    labels: &'a BTreeMap<String, String>,
    /// What a capability offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    operations: Option<Vec<OperationSaid<'static>>>,
    /// How many live sessions perform a capability in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
    /// Leaves that have a check.
    checked: u32,
    /// Leaves in all.
    of: u32,
    /// The channel that offers it in place of what is deployed; only where a channel is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// A contract with everything that is known about it.
#[derive(Serialize, ToSchema)]
#[schema(as = Contract)]
pub(super) struct WholeContractJson<'a> {
    #[serde(flatten)]
    entry: ContractJson<'a>,
    #[serde(flatten)]
    detail: ContractDetailJson<'a>,
}

/// What one contract says beyond its line in the list.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractDetail)]
struct ContractDetailJson<'a> {
    /// JSON Schema 2020-12.
    #[schema(value_type = Value)]
    input: &'a Value,
    /// JSON Schema 2020-12; of a scenario derived from its steps.
    #[schema(value_type = Value)]
    output: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh_for_s: Option<u32>,
    settle_s: u32,
    /// Of one task, or of a whole scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reusable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryJson>,
    /// Of a scenario, in an order in which dependencies come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<ScenarioStepJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invariants: Option<Vec<InvariantJson<'a>>>,
    /// Contracts that a scenario uses.
    #[schema(value_type = Vec<String>)]
    uses: Vec<Text<&'a ContractName>>,
    /// Scenarios that use this contract.
    #[schema(value_type = Vec<String>)]
    used_by: Vec<Text<&'a ContractName>>,
    /// In how many datasets in stock it was the first that did not hold any more.
    drifted: u64,
    /// Datasets that were imported; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<ImportedStockJson>,
    /// Why nothing of it is handed out from stock: it is doubted, or something that it uses is.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubted: Option<DoubtedJson<'a>>,
    /// Newest first.
    versions: Vec<ContractVersionJson<'a>>,
    /// Why it is broken.
    faults: Vec<DiagnosticJson<'a>>,
}

/// How often tasks may begin.
#[derive(Serialize, ToSchema)]
#[schema(as = Rate)]
struct RateJson {
    per_s: f64,
}

/// When an attempt that failed is made again.
#[derive(Serialize, ToSchema)]
#[schema(as = Retry)]
struct RetryJson {
    max_attempts: u32,
    first_delay_ms: u64,
    max_delay_ms: u64,
}

/// A step of a scenario.
#[derive(Serialize, ToSchema)]
#[schema(as = ScenarioStep)]
struct ScenarioStepJson<'a> {
    name: &'a str,
    #[schema(value_type = String)]
    uses: Text<&'a ContractName>,
    /// The input, with expressions in `${{ }}`.
    #[schema(value_type = Value)]
    with: Value,
    /// Steps that must be there first, those that the bindings imply included.
    needs: &'a [String],
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    condition: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_each: Option<&'a str>,
    /// `stock_first` or `fresh`.
    #[schema(inline)]
    from: StepSource<'static>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryJson>,
}

/// A condition over the facts of all parts.
#[derive(Serialize, ToSchema)]
#[schema(as = Invariant)]
struct InvariantJson<'a> {
    that: &'a str,
    says: &'a str,
}

/// One version of a contract.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractVersion)]
struct ContractVersionJson<'a> {
    version: u32,
    /// `new`, `compatible` or `breaking`; of a version of a channel, against the deployed one, also `same`.
    #[schema(inline)]
    change: Change<'a>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// What changed: `[{pointer, message}]`.
    #[schema(value_type = Vec<Object>)]
    changes: &'a Value,
    /// Live sessions that have registered this version of a capability; of deployed versions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
}

/// Searches the catalogue; by name
#[utoipa::path(get, path = "/v1/environments/{env}/contracts", tag = "catalogue", params(("env" = String, Path), ContractParameters), responses(
    (status = 200, description = "A page of contracts", body = PageJson<ContractJson<'_>>),
    (status = 404, description = "`environment_not_found`, `channel_not_found`", body = ProblemJson),
))]
pub(super) async fn list_contracts(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((environment,)): Path<(EnvironmentName,)>,
    Query(parameters): Query<ContractParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let ContractParameters { q, owner, label, kind, domain, channel, .. } = &parameters;
    let filters = (environment.as_str(), q, owner, label, kind, domain, channel);
    let endpoint = "GET /v1/environments/{env}/contracts";
    let listing: Listing<ContractName> = Listing::new(endpoint, &caller, &filters, limit, cursor)?;
    let channel = named(channel.clone())?;
    let (channel, search) = (channel.as_deref(), search(parameters)?);
    let mut found = engine.search_contracts(&caller, environment.as_str(), channel, &search).await?;
    found.sort_by(|one, other| one.contract.name.cmp(&other.contract.name));
    let rows = listing.cut(found, |view, after| view.contract.name > *after);
    let page =
        listing.answer(&rows, |view| view.contract.name.to_string(), |view| Some(ContractJson::listed(view)));
    Ok(Json(page).into_response())
}

/// Reads one contract
#[utoipa::path(get, path = "/v1/environments/{env}/contracts/{domain}/{name}", tag = "catalogue", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path), ChannelParameter,
), responses(
    (status = 200, description = "The contract", body = WholeContractJson<'_>),
    (status = 404, description = "`environment_not_found`, `contract_not_found`, `channel_not_found`", body = ProblemJson),
))]
pub(super) async fn get_contract(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(ContractPath { environment, contract }): Path<ContractPath>,
    Query(ChannelParameter { channel }): Query<ChannelParameter>,
) -> Result<Response, Problem> {
    let channel = named(channel)?;
    let view = engine.contract(&caller, environment.as_str(), channel.as_deref(), &contract, None).await?;
    Ok(Json(WholeContractJson::of(&view)).into_response())
}

/// Removes a contract that nothing depends on any more
///
/// A capability must be offline, and nothing of it may be left: no scenario and no stock rule that uses it, no dataset that is not over, no debt.
#[utoipa::path(delete, path = "/v1/environments/{env}/contracts/{domain}/{name}", tag = "catalogue", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path),
), responses(
    (status = 204, description = "It is not offered any more; also when repeated"),
    (status = 404, description = "`contract_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 409, description = "`contract_in_use`", body = ProblemJson),
))]
pub(super) async fn remove_contract(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(ContractPath { environment, contract }): Path<ContractPath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode, Problem> {
    engine.remove_contract(&caller, environment.as_str(), &contract).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads one version of a contract
#[utoipa::path(get, path = "/v1/environments/{env}/contracts/{domain}/{name}/versions/{version}", tag = "catalogue", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path), ("version" = u32, Path), ChannelParameter,
), responses(
    (status = 200, description = "The contract as it was in that version", body = WholeContractJson<'_>),
    (status = 404, description = "`environment_not_found`, `contract_not_found`, `channel_not_found`", body = ProblemJson),
))]
pub(super) async fn get_contract_version(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(path): Path<VersionPath>,
    Query(ChannelParameter { channel }): Query<ChannelParameter>,
) -> Result<Response, Problem> {
    let VersionPath { contract: ContractPath { environment, contract }, version } = path;
    let (environment, channel) = (environment.as_str(), named(channel)?);
    let view = engine.contract(&caller, environment, channel.as_deref(), &contract, Some(version)).await?;
    Ok(Json(WholeContractJson::of(&view)).into_response())
}

/// A channel as a parameter names it.
fn named(channel: Option<String>) -> Result<Option<String>, Problem> {
    if let Some(Err(error)) = channel.as_deref().map(check_channel) {
        let fault = ProblemFault::new("?channel", "name_pattern", error.to_string());
        return Err(Problem::unprocessable(vec![fault]));
    }
    Ok(channel)
}

fn search(parameters: ContractParameters) -> Result<Search, Problem> {
    let text = parameters.q.unwrap_or_default();
    if text.len() > SEARCH_BYTES {
        let message = format!("has {} bytes, {SEARCH_BYTES} are allowed", text.len());
        return Err(Problem::unprocessable(vec![ProblemFault::new("?q", "too_long", message)]));
    }
    if parameters.label.len() > LABELS {
        let message = format!("may be given {LABELS} times: no contract has more labels");
        return Err(Problem::unprocessable(vec![ProblemFault::new("?label", "too_many", message)]));
    }
    let labels = parameters.label.iter().map(|label| match label.split_once(':') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            let message = "must be written `key:value`";
            Err(Problem::unprocessable(vec![ProblemFault::new("?label", "invalid_value", message)]))
        }
    });
    Ok(Search {
        text,
        owner: parameters.owner,
        labels: labels.collect::<Result<_, _>>()?,
        kind: parameters.kind.map(|Word(kind)| kind),
        domain: parameters.domain,
    })
}

/// Imported datasets of a contract.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedStock)]
struct ImportedStockJson {
    /// In stock.
    ready: u64,
    /// Being checked, so that they can be taken.
    checking: u64,
}

impl ImportedStockJson {
    fn of(view: &ContractView) -> Option<Self> {
        let (ready, checking) = (view.imported.ready, view.imported.coming);
        (ready + checking > 0).then_some(Self { ready, checking })
    }
}

impl<'a> ContractJson<'a> {
    fn listed(view: &'a ContractView) -> Self {
        let contract = &*view.contract;
        let (checked, of) = view.checked;
        Self {
            name: Text(&contract.name),
            version: contract.version,
            kind: Word(contract.kind()),
            status: Said::new(view.state.name()),
            description: &contract.description,
            owner: OwnerJson::from(&contract.owner),
            labels: &contract.labels,
            operations: contract
                .capability()
                .map(|capability| capability.operations.names().into_iter().map(Said::new).collect()),
            sessions: view.sessions,
            checked,
            of,
            channel: view.channel.as_deref(),
            updated_at: Time(view.updated_at),
        }
    }
}

impl<'a> WholeContractJson<'a> {
    fn of(view: &'a ContractView) -> Self {
        Self { entry: ContractJson::listed(view), detail: ContractDetailJson::of(view) }
    }
}

impl<'a> ContractDetailJson<'a> {
    fn of(view: &'a ContractView) -> Self {
        let contract: &'a Contract = &view.contract;
        let (capability, scenario) = (contract.capability(), contract.scenario());
        let mut uses: Vec<&ContractName> =
            scenario.into_iter().flat_map(|scenario| scenario.uses()).collect();
        uses.sort_unstable();
        uses.dedup();
        Self {
            input: contract.input.document(),
            output: contract.output.document(),
            facts: capability.and_then(|capability| capability.facts.as_ref()).map(|facts| facts.document()),
            fresh_for_s: capability.map(|capability| capability.fresh_for_s),
            settle_s: scenario.map_or_else(
                || capability.map_or(0, |capability| capability.settle_s),
                |scenario| scenario.settle_s,
            ),
            timeout_s: capability
                .map(|capability| capability.timeout_s)
                .or(scenario.and_then(|scenario| scenario.timeout_s)),
            reusable: capability.map(|capability| capability.reusable),
            concurrency: capability.and_then(|capability| capability.concurrency),
            rate: capability
                .and_then(|capability| capability.rate)
                .map(|rate| RateJson { per_s: rate.per_s }),
            retry: capability.map(|capability| RetryJson::from(capability.retry)),
            steps: scenario.map(|scenario| scenario.steps.iter().map(ScenarioStepJson::from).collect()),
            invariants: scenario.map(|scenario| {
                let invariants = scenario.invariants.iter();
                invariants.map(|one| InvariantJson { that: one.that.text(), says: &one.says }).collect()
            }),
            uses: uses.into_iter().map(Text).collect(),
            used_by: view.used_by.iter().map(Text).collect(),
            drifted: view.drifted.unwrap_or(0),
            imported: ImportedStockJson::of(view),
            doubted: view.doubted.as_ref().map(DoubtedJson::from),
            versions: view.versions.iter().map(ContractVersionJson::from).collect(),
            faults: view.faults.iter().map(DiagnosticJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Step> for ScenarioStepJson<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            name: &step.name,
            uses: Text(&step.uses),
            with: step.with.document(),
            needs: &step.depends_on,
            condition: step.condition.as_ref().map(|condition| condition.text()),
            for_each: step.for_each.as_ref().map(|list| list.text()),
            from: Said::new(match step.from {
                Source::StockFirst => "stock_first",
                Source::Fresh => "fresh",
            }),
            timeout_s: step.timeout_s,
            retry: step.retry.map(RetryJson::from),
        }
    }
}

impl From<RetryPolicy> for RetryJson {
    fn from(retry: RetryPolicy) -> Self {
        let RetryPolicy { max_attempts, first_delay_ms, max_delay_ms } = retry;
        Self { max_attempts, first_delay_ms, max_delay_ms }
    }
}

impl<'a> From<&'a VersionView> for ContractVersionJson<'a> {
    fn from(version: &'a VersionView) -> Self {
        let VersionView { version, change, changes, published_at, sessions } = version;
        Self {
            version: *version,
            change: Said::new(change),
            created_at: Time(*published_at),
            changes,
            sessions: *sessions,
        }
    }
}
