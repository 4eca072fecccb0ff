//! History of stock: what rules have had ready over the last day.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sixpack_engine::{Engine, RuleHistory};
use sixpack_model::limits::{STOCK_HISTORY_POINTS_LISTED, STOCK_HISTORY_SPANS};
use sixpack_model::name::{ContractName, EnvironmentName};
use sixpack_model::stock::{LevelSpan, RuleName};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::auth::Authorized;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::shapes::scalar::{Text, Time};
use super::stock_rules::RulePath;
use crate::edge::integer::Int;
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, Query};

/// In how many points a day is told: two hours each, up to the five minutes in which it is noted.
type Points = Int<12, 288>;

/// Which page to show, and how closely.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoriesParameters {
    /// In how many points the day is told at most; 48 when absent.
    #[param(inline)]
    points: Option<Points>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How closely to tell it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryParameters {
    /// In how many points the day is told at most; 288 when absent.
    #[param(inline)]
    points: Option<Points>,
}

/// What a rule has had ready over the last day, in spans of the same length. Every list has one entry a span, from the first in
/// which anything was noted to that of now: none before, and `null` for a span in which no server has looked. Rules for the same
/// contract and input share it.
#[derive(Serialize, ToSchema)]
#[schema(as = StockHistory)]
pub(super) struct StockHistoryJson<'a> {
    /// The rule.
    #[schema(value_type = String)]
    name: Text<&'a RuleName>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    /// When the first span begins; absent when nothing was noted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// How long a span is.
    every_s: u32,
    /// How many could be taken: the lowest that was noted in the span.
    #[schema(inline)]
    ready: EachSpan,
    /// How many were being made: the highest that was noted.
    #[schema(inline)]
    coming: EachSpan,
    /// How many were to be kept ready.
    #[schema(inline)]
    target: EachSpan,
    /// How many were handed out in the span.
    #[schema(inline)]
    hits: EachSpan,
    /// How many were asked for in the span and not there.
    #[schema(inline)]
    misses: EachSpan,
    /// How many refills have made in the span.
    #[schema(inline)]
    made: EachSpan,
    /// How many refills failed in the span.
    #[schema(inline)]
    failed: EachSpan,
}

/// One number a span; `null` where no server has looked.
#[derive(Serialize)]
#[serde(transparent)]
struct EachSpan(Vec<Option<u64>>);

impl PartialSchema for EachSpan {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0));
        ArrayBuilder::new().items(number).into()
    }
}

impl ToSchema for EachSpan {}

/// Tells what stock rules have had ready over the last day, by name
///
/// One call for the sparklines of a page. It is noted every five minutes with the look at all stock, and kept for a day.
#[utoipa::path(get, path = "/v1/environments/{env}/stock-history", tag = "stock", params(("env" = String, Path), HistoriesParameters), responses(
    (status = 200, description = "A page of stock rules with what they have had", body = PageJson<StockHistoryJson<'_>>),
    (status = 404, description = "`environment_not_found`", body = ProblemJson),
))]
pub(super) async fn list_stock_history(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((environment,)): Path<(EnvironmentName,)>,
    Query(parameters): Query<HistoriesParameters>,
) -> Result<Response, Problem> {
    let HistoriesParameters { points, limit, cursor } = parameters;
    let endpoint = "GET /v1/environments/{env}/stock-history";
    let listing = Listing::new(endpoint, &caller, &environment.as_str(), limit, cursor.as_deref())?;
    let points = points_of(points, STOCK_HISTORY_POINTS_LISTED);
    let told = engine.stock_histories(&caller, environment.as_str(), listing.page(), points).await?;
    let page =
        listing.answer(&told, |told| told.rule.name.to_string(), |told| Some(StockHistoryJson::from(told)));
    Ok(Json(page).into_response())
}

/// Tells what a stock rule has had ready over the last day
///
/// It is noted every five minutes with the look at all stock, and kept for a day.
#[utoipa::path(get, path = "/v1/environments/{env}/stock-rules/{name}/history", tag = "stock", params(
    ("env" = String, Path), ("name" = String, Path), HistoryParameters,
), responses(
    (status = 200, description = "What it has had", body = StockHistoryJson<'_>),
    (status = 404, description = "`stock_rule_not_found`, `environment_not_found`", body = ProblemJson),
))]
pub(super) async fn get_stock_history(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(RulePath { environment, name }): Path<RulePath>,
    Query(HistoryParameters { points }): Query<HistoryParameters>,
) -> Result<Response, Problem> {
    let points = points_of(points, STOCK_HISTORY_SPANS);
    let told = engine.stock_history(&caller, environment.as_str(), &name, points).await?;
    Ok(Json(StockHistoryJson::from(&told)).into_response())
}

fn points_of(points: Option<Points>, absent: u32) -> u32 {
    points.and_then(|points| u32::try_from(points.get()).ok()).unwrap_or(absent)
}

impl<'a> From<&'a RuleHistory> for StockHistoryJson<'a> {
    fn from(told: &'a RuleHistory) -> Self {
        let history = &told.history;
        let each = |of: fn(&LevelSpan) -> u64| {
            EachSpan(history.spans.iter().map(|span| span.as_ref().map(of)).collect())
        };
        Self {
            name: Text(&told.rule.name),
            contract: Text(&told.rule.contract),
            since: history.since.map(Time),
            every_s: history.every_s,
            ready: each(|span| span.ready),
            coming: each(|span| span.coming),
            target: each(|span| span.target),
            hits: each(|span| span.counts.hits),
            misses: each(|span| span.counts.misses),
            made: each(|span| span.counts.made),
            failed: each(|span| span.counts.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sixpack_model::limits::{
        STOCK_HISTORY_POINTS_LEAST, STOCK_HISTORY_POINTS_LISTED, STOCK_HISTORY_SPANS,
    };

    #[test]
    fn documented_points_are_those_of_the_model() {
        let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
        for (path, absent) in [
            ("/v1/environments/{env}/stock-history", STOCK_HISTORY_POINTS_LISTED),
            ("/v1/environments/{env}/stock-rules/{name}/history", STOCK_HISTORY_SPANS),
        ] {
            let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
            let points = parameters.iter().find(|parameter| parameter["name"] == "points").unwrap();
            let schema = &points["schema"];
            assert_eq!(schema["minimum"], json!(STOCK_HISTORY_POINTS_LEAST), "{path}: {schema}");
            assert_eq!(schema["maximum"], json!(STOCK_HISTORY_SPANS), "{path}: {schema}");
            let told = points["description"].as_str().unwrap();
            assert!(told.contains(&format!("{absent} when absent")), "{path}: {told}");
        }
    }
}
