//! Statistics: how contracts have been doing; and what of the limits is taken.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sixpack_engine::{Engine, LimitsView};
use sixpack_model::ids::{DatasetId, RequestId};
use sixpack_model::name::{ContractName, EnvironmentName};
use sixpack_model::statistics::{Cause, DatasetCounts, RequestCounts, SeenIn, Spread, Statistics};
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::contracts::ContractPath;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::shapes::owner::OwnerJson;
use super::shapes::scalar::{Text, Time};
use super::shapes::word::{ClassWord, Word};
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, NoParameters, Query};

/// Which page to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatisticsParameters {
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How a contract has been doing, told from the last of its requests and datasets.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractStatistics)]
pub(super) struct StatisticsJson<'a> {
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    requests: RequestCountsJson,
    datasets: DatasetCountsJson,
    /// What failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<CauseJson<'a>>,
    /// What failed, by reason, the most frequent first; not in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<Vec<CauseJson<'a>>>,
}

/// The last requests that somebody made for it.
#[derive(Serialize, ToSchema)]
#[schema(as = RequestCounts)]
struct RequestCountsJson {
    fulfilled: u64,
    failed: u64,
    expired: u64,
    cancelled: u64,
    /// Of the fulfilled ones, those whose dataset was there, or on its way, before they asked.
    from_stock: u64,
    /// How long those waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_stock_ms: Option<SpreadJson>,
    /// How long the other fulfilled ones waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_ms: Option<SpreadJson>,
    /// When the oldest of all of these was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
}

/// The last datasets of it: asked for, kept in stock, or parts of others.
#[derive(Serialize, ToSchema)]
#[schema(as = DatasetCounts)]
struct DatasetCountsJson {
    made: u64,
    failed: u64,
    /// How long those that were made took.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_ms: Option<SpreadJson>,
    /// When the oldest of all of these was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
}

/// How long something took.
#[derive(Serialize, ToSchema)]
#[schema(as = Spread)]
struct SpreadJson {
    /// Half took no longer.
    median: u64,
    /// Nine of ten took no longer.
    p90: u64,
}

/// What failed for the same reason: the same contract, class and code of the domain, or where it gave no code, the same message.
#[derive(Serialize, ToSchema)]
#[schema(as = FailureCause)]
struct CauseJson<'a> {
    /// The contract to blame.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    #[schema(inline)]
    class: ClassWord,
    /// The domain's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// That of the newest.
    message: &'a str,
    owner: OwnerJson<'a>,
    count: u64,
    /// When the newest was.
    #[schema(value_type = String, format = DateTime)]
    last_at: Time,
    /// The request that failed last for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    request_id: Option<Text<RequestId>>,
    /// The dataset that failed last for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    dataset_id: Option<Text<DatasetId>>,
}

/// What the caller and an environment may have, and how long things are kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Limits)]
pub(super) struct LimitsJson {
    leases: LeaseLimitsJson,
    /// How long a task waits for a supplier to connect before its dataset fails.
    offline_grace_s: u64,
    retention: RetentionJson,
}

/// How many leases there may be at one time, those that open requests ask for included.
#[derive(Serialize, ToSchema)]
#[schema(as = LeaseLimits)]
struct LeaseLimitsJson {
    /// Of the token that calls.
    of_token: TakenJson,
    /// Of all tokens in the environment.
    of_environment: TakenJson,
}

/// How much of a limit is taken.
#[derive(Serialize, ToSchema)]
#[schema(as = Taken)]
struct TakenJson {
    taken: u64,
    limit: u64,
}

/// How long what has ended is kept; for ever what is absent.
#[derive(Serialize, ToSchema)]
#[schema(as = Retention)]
struct RetentionJson {
    /// Datasets that are gone or failed, with their leases and requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    datasets_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_s: Option<u64>,
}

/// Tells how the contracts of an environment have been doing; by name
///
/// Each is told from its last 30 requests and its last 30 datasets: enough for a list. Reading one contract tells more.
#[utoipa::path(get, path = "/v1/environments/{env}/statistics", tag = "catalogue", params(("env" = String, Path), StatisticsParameters), responses(
    (status = 200, description = "A page of contracts, without `failures`", body = PageJson<StatisticsJson<'_>>),
    (status = 404, description = "`environment_not_found`", body = ProblemJson),
))]
pub(super) async fn list_statistics(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((environment,)): Path<(EnvironmentName,)>,
    Query(parameters): Query<StatisticsParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let endpoint = "GET /v1/environments/{env}/statistics";
    let listing: Listing<ContractName> =
        Listing::new(endpoint, &caller, &environment.as_str(), limit, cursor)?;
    let page = listing.page();
    let rows = engine.statistics(&caller, environment.as_str(), page.after.as_ref(), page.limit).await?;
    let shape = |(name, statistics)| Some(StatisticsJson::listed(name, statistics));
    let page = listing.answer(&rows, |(name, _)| name.to_string(), |row| shape((&row.0, &row.1)));
    Ok(Json(page).into_response())
}

/// Tells how a contract has been doing
///
/// Told from its last 200 requests and its last 200 datasets, those of channels left out: it costs the same however long the history is.
#[utoipa::path(get, path = "/v1/environments/{env}/contracts/{domain}/{name}/statistics", tag = "catalogue", params(
    ("env" = String, Path), ("domain" = String, Path), ("name" = String, Path),
), responses(
    (status = 200, description = "How it has been doing", body = StatisticsJson<'_>),
    (status = 404, description = "`environment_not_found`, `contract_not_found`", body = ProblemJson),
))]
pub(super) async fn get_statistics(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(ContractPath { environment, contract }): Path<ContractPath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let statistics = engine.contract_statistics(&caller, environment.as_str(), &contract).await?;
    let failures = statistics.causes.iter().map(CauseJson::from).collect();
    let told = StatisticsJson { failures: Some(failures), ..StatisticsJson::listed(&contract, &statistics) };
    Ok(Json(told).into_response())
}

/// Tells what the caller and an environment may have
#[utoipa::path(get, path = "/v1/environments/{env}/limits", tag = "catalogue", params(("env" = String, Path)), responses(
    (status = 200, description = "The limits, and what of them is taken", body = LimitsJson),
    (status = 404, description = "`environment_not_found`", body = ProblemJson),
))]
pub(super) async fn get_limits(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((environment,)): Path<(EnvironmentName,)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let limits = engine.limits(&caller, environment.as_str()).await?;
    Ok(Json(LimitsJson::from(&limits)).into_response())
}

impl<'a> StatisticsJson<'a> {
    fn listed(contract: &'a ContractName, statistics: &'a Statistics) -> Self {
        Self {
            contract: Text(contract),
            requests: RequestCountsJson::from(&statistics.requests),
            datasets: DatasetCountsJson::from(&statistics.datasets),
            last_failure: statistics.last_failure().map(CauseJson::from),
            failures: None,
        }
    }
}

impl From<&RequestCounts> for RequestCountsJson {
    fn from(counts: &RequestCounts) -> Self {
        Self {
            fulfilled: counts.fulfilled,
            failed: counts.failed,
            expired: counts.expired,
            cancelled: counts.cancelled,
            from_stock: counts.from_stock,
            from_stock_ms: counts.from_stock_ms.map(SpreadJson::from),
            made_ms: counts.made_ms.map(SpreadJson::from),
            since: counts.since.map(Time),
        }
    }
}

impl From<&DatasetCounts> for DatasetCountsJson {
    fn from(counts: &DatasetCounts) -> Self {
        Self {
            made: counts.made,
            failed: counts.failed,
            made_ms: counts.made_ms.map(SpreadJson::from),
            since: counts.since.map(Time),
        }
    }
}

impl From<Spread> for SpreadJson {
    fn from(Spread { median_ms, p90_ms }: Spread) -> Self {
        Self { median: median_ms, p90: p90_ms }
    }
}

impl<'a> From<&'a Cause> for CauseJson<'a> {
    fn from(cause: &'a Cause) -> Self {
        let failure = &cause.failure;
        let (request, dataset) = match cause.seen_in {
            SeenIn::Request(request) => (Some(request), None),
            SeenIn::Dataset(dataset) => (None, Some(dataset)),
        };
        Self {
            contract: Text(&failure.contract),
            class: Word(failure.class),
            code: failure.code.as_deref(),
            message: &failure.message,
            owner: OwnerJson::from(&failure.owner),
            count: cause.count,
            last_at: Time(cause.last_at),
            request_id: request.map(Text),
            dataset_id: dataset.map(Text),
        }
    }
}

impl From<&LimitsView> for LimitsJson {
    fn from(view: &LimitsView) -> Self {
        let seconds = |span: Option<std::time::Duration>| span.map(|span| span.as_secs());
        Self {
            leases: LeaseLimitsJson {
                of_token: TakenJson { taken: view.taken.by_token, limit: view.leases_per_token },
                of_environment: TakenJson {
                    taken: view.taken.in_environment,
                    limit: view.leases_per_environment,
                },
            },
            offline_grace_s: view.offline_grace.as_secs(),
            retention: RetentionJson {
                datasets_s: seconds(view.retention.datasets),
                events_s: seconds(view.retention.events),
                sessions_s: seconds(view.retention.sessions),
            },
        }
    }
}
