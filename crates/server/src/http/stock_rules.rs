//! Stock rules: put, read, listed, edited while they are at work, deleted.

mod shown;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::ETAG;
use serde::Deserialize;
use sixpack_engine::{Engine, Put};
use sixpack_model::name::EnvironmentName;
use sixpack_model::stock::{RuleDraft, RuleEdit, RuleName};
use utoipa::{IntoParams, ToSchema};

pub(super) use shown::AppliedRuleJson;
use shown::StockRuleJson;

use super::auth::Authorized;
use super::body::Document;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::scenarios::{IfMatch, etag};
use super::shapes::word::RuleStateWord;
use crate::edge::json::Json;
use crate::edge::path::{FromSegments, Path};
use crate::edge::problem::{Problem, ProblemFault};
use crate::edge::query::{Limit, NoParameters, Query};

/// Bytes of a rule: its largest input, written generously.
const RULE_MAX_BYTES: usize = 256 * 1024;

/// A rule named by a path.
pub(super) struct RulePath {
    pub(super) environment: EnvironmentName,
    pub(super) name: RuleName,
}

impl FromSegments for RulePath {
    fn from_segments<'a>(segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        let (environment, name) = FromSegments::from_segments(segments)?;
        Some(Self { environment, name })
    }
}

/// What is to be kept in stock.
#[derive(ToSchema)]
#[schema(as = NewStockRule)]
#[expect(dead_code, reason = "it describes what the model reads")]
pub(super) struct NewRuleJson {
    /// `domain/name`, always its newest version.
    contract: String,
    /// What the datasets are made from, at most 64 KiB; `{}` when absent.
    #[schema(value_type = Option<Object>)]
    input: Option<serde_json::Value>,
    /// How many are kept ready.
    #[schema(minimum = 1, maximum = 100000)]
    target: u32,
    /// How old a dataset may get in stock; it does not age when absent.
    #[schema(minimum = 1, maximum = 31536000)]
    max_age_s: Option<u32>,
    /// How often a dataset in stock is checked, at most `max_age_s`; only at hand-over when absent.
    #[schema(minimum = 1, maximum = 604800)]
    check_every_s: Option<u32>,
    /// The highest is refilled first; 50 when absent.
    #[schema(minimum = 0, maximum = 100)]
    priority: Option<u8>,
    /// Whether it is not to be refilled. When absent a rule that is there stays as it is, and a new one is active.
    paused: Option<bool>,
    window: Option<NewWindowJson>,
}

/// When a rule is refilled; at any time when absent.
#[derive(ToSchema)]
#[schema(as = NewStockWindow)]
#[expect(dead_code, reason = "it describes what the model reads")]
struct NewWindowJson {
    /// Five fields of cron: minute, hour, day of the month, month, day of the week.
    #[schema(max_length = 200)]
    opens: String,
    #[schema(minimum = 60, maximum = 604800)]
    for_s: u32,
    /// Of the IANA database, such as `Europe/Prague`.
    #[schema(max_length = 200)]
    time_zone: String,
}

/// What can be changed about a rule while it is at work; what is absent stays as it is.
#[derive(ToSchema)]
#[schema(as = EditStockRule)]
#[expect(dead_code, reason = "it describes what the model reads")]
pub(super) struct EditRuleJson {
    #[schema(minimum = 1, maximum = 100000)]
    target: Option<u32>,
    #[schema(inline)]
    state: Option<RuleStateWord>,
}

/// How a rule is to be put.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PutParameters {
    /// `true` checks and answers the same, and changes nothing.
    dry_run: Option<bool>,
}

/// Which rules to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RuleParameters {
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Puts a stock rule in place of the one that has its name
///
/// It is checked against the catalogue. Changing anything needs the role `supplier` or `admin`.
#[utoipa::path(put, path = "/v1/environments/{env}/stock-rules/{name}", tag = "stock", params(
    ("env" = String, Path), ("name" = String, Path), PutParameters,
    ("If-Match" = Option<String>, Header, description = "`\"3\"` replaces only revision 3, `\"0\"` none"),
), request_body = NewRuleJson, responses(
    (status = 200, description = "Put, or what would be", body = StockRuleJson<'_>, headers(("ETag" = String, description = "The revision, in quotes"))),
    (status = 201, description = "Put for the first time", body = StockRuleJson<'_>, headers(("ETag" = String, description = "The revision, in quotes"))),
    (status = 404, description = "`domain_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 412, description = "`version_mismatch`", body = ProblemJson),
))]
pub(super) async fn put_stock_rule(
    State(engine): State<Engine>,
    authorized: Authorized,
    Path(RulePath { environment, name }): Path<RulePath>,
    Query(parameters): Query<PutParameters>,
    IfMatch(over): IfMatch,
    Document(body): Document<RULE_MAX_BYTES>,
) -> Result<Response, Problem> {
    let dry_run = parameters.dry_run.unwrap_or(false);
    authorized.may_publish(dry_run)?;
    let draft = RuleDraft::read(name, &body, engine.now().await?).map_err(unprocessable)?;
    let (view, put) = engine.put_rule(&authorized.0, environment.as_str(), &draft, dry_run, over).await?;
    let is_new = matches!(put, Put::Created(_)) && !dry_run;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let shown = Json(StockRuleJson::of(&view, engine.now().await?));
    Ok((status, [(ETAG, etag(view.stored.revision))], shown).into_response())
}

/// Lists stock rules, by name
#[utoipa::path(get, path = "/v1/environments/{env}/stock-rules", tag = "stock", params(("env" = String, Path), RuleParameters), responses(
    (status = 200, description = "A page of stock rules", body = PageJson<StockRuleJson<'_>>),
    (status = 404, description = "`environment_not_found`", body = ProblemJson),
))]
pub(super) async fn list_stock_rules(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((environment,)): Path<(EnvironmentName,)>,
    Query(parameters): Query<RuleParameters>,
) -> Result<Response, Problem> {
    let endpoint = "GET /v1/environments/{env}/stock-rules";
    let cursor = parameters.cursor.as_deref();
    let listing = Listing::new(endpoint, &caller, &environment.as_str(), parameters.limit, cursor)?;
    let rules = engine.stock_rules(&caller, environment.as_str(), listing.page()).await?;
    let now = engine.now().await?;
    let page = listing.answer(
        &rules,
        |view| view.stored.rule.name.to_string(),
        |view| Some(StockRuleJson::of(view, now)),
    );
    Ok(Json(page).into_response())
}

/// Reads one stock rule
#[utoipa::path(get, path = "/v1/environments/{env}/stock-rules/{name}", tag = "stock", params(
    ("env" = String, Path), ("name" = String, Path),
), responses(
    (status = 200, description = "The rule", body = StockRuleJson<'_>, headers(("ETag" = String, description = "The revision, in quotes"))),
    (status = 404, description = "`stock_rule_not_found`, `environment_not_found`", body = ProblemJson),
))]
pub(super) async fn get_stock_rule(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(RulePath { environment, name }): Path<RulePath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let view = engine.stock_rule(&caller, environment.as_str(), &name).await?;
    let shown = Json(StockRuleJson::of(&view, engine.now().await?));
    Ok(([(ETAG, etag(view.stored.revision))], shown).into_response())
}

/// Changes target and state of a stock rule while it is at work
#[utoipa::path(patch, path = "/v1/environments/{env}/stock-rules/{name}", tag = "stock", params(
    ("env" = String, Path), ("name" = String, Path),
    ("If-Match" = Option<String>, Header, description = "`\"3\"` changes only revision 3"),
), request_body = EditRuleJson, responses(
    (status = 200, description = "The rule; with its old revision when nothing has changed", body = StockRuleJson<'_>, headers(("ETag" = String, description = "The revision, in quotes"))),
    (status = 404, description = "`stock_rule_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 412, description = "`version_mismatch`", body = ProblemJson),
))]
pub(super) async fn edit_stock_rule(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(RulePath { environment, name }): Path<RulePath>,
    Query(NoParameters {}): Query<NoParameters>,
    IfMatch(over): IfMatch,
    Document(body): Document<RULE_MAX_BYTES>,
) -> Result<Response, Problem> {
    let edit = RuleEdit::read(&body).map_err(unprocessable)?;
    let view = engine.edit_rule(&caller, environment.as_str(), &name, edit, over).await?;
    let shown = Json(StockRuleJson::of(&view, engine.now().await?));
    Ok(([(ETAG, etag(view.stored.revision))], shown).into_response())
}

/// Deletes a stock rule
#[utoipa::path(delete, path = "/v1/environments/{env}/stock-rules/{name}", tag = "stock", params(
    ("env" = String, Path), ("name" = String, Path),
    ("If-Match" = Option<String>, Header, description = "`\"3\"` deletes only revision 3"),
), responses(
    (status = 204, description = "It is not there any more"),
    (status = 404, description = "`stock_rule_not_found`, `environment_not_found`", body = ProblemJson),
    (status = 412, description = "`version_mismatch`", body = ProblemJson),
))]
pub(super) async fn delete_stock_rule(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path(RulePath { environment, name }): Path<RulePath>,
    Query(NoParameters {}): Query<NoParameters>,
    IfMatch(over): IfMatch,
) -> Result<StatusCode, Problem> {
    engine.delete_rule(&caller, environment.as_str(), &name, over).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unprocessable(faults: Vec<sixpack_model::fault::Fault>) -> Problem {
    Problem::unprocessable(faults.into_iter().map(ProblemFault::from).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sixpack_model::limits::{
        LINE_BYTES, STOCK_AGE_S, STOCK_CHECK_S, STOCK_INPUT_BYTES, STOCK_PRIORITY, STOCK_TARGET,
        WINDOW_LEAST_S, WINDOW_S,
    };

    #[test]
    fn documented_limits_are_those_of_the_model() {
        let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        for (pointer, limit) in [
            ("/NewStockRule/properties/target/maximum", STOCK_TARGET),
            ("/NewStockRule/properties/max_age_s/maximum", STOCK_AGE_S),
            ("/NewStockRule/properties/check_every_s/maximum", STOCK_CHECK_S),
            ("/NewStockRule/properties/priority/maximum", STOCK_PRIORITY),
            ("/NewStockWindow/properties/opens/maxLength", LINE_BYTES as u64),
            ("/NewStockWindow/properties/for_s/minimum", WINDOW_LEAST_S),
            ("/NewStockWindow/properties/for_s/maximum", WINDOW_S),
            ("/NewStockWindow/properties/time_zone/maxLength", LINE_BYTES as u64),
            ("/EditStockRule/properties/target/maximum", STOCK_TARGET),
        ] {
            assert_eq!(schemas.pointer(pointer), Some(&json!(limit)), "{pointer}");
        }
        const { assert!(super::RULE_MAX_BYTES > 2 * STOCK_INPUT_BYTES) };
    }
}
