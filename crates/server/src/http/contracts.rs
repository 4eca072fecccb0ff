//! Contracts: the catalogue of an environment, searched and read.

mod shown;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use sixpack_engine::Engine;
use sixpack_model::catalogue::Search;
use sixpack_model::limits::{LABELS, SEARCH_BYTES};
use sixpack_model::name::{ContractName, EnvironmentName};
use utoipa::IntoParams;

use super::auth::Authorized;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::requests::asked::check_channel;
use super::shapes::word::{KindWord, Word};
use crate::edge::json::Json;
use crate::edge::path::{FromSegments, Path};
use crate::edge::problem::{Problem, ProblemFault};
use crate::edge::query::{Limit, NoParameters, Query};
use shown::{ContractJson, WholeContractJson};

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
