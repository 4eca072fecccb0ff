//! Debts: effects that could not be undone, or wait for a supplier to undo them, for whoever has to look after them.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sixpack_engine::{DatasetView, DebtStatus, Engine};
use sixpack_model::ids::{DatasetId, RequestId};
use sixpack_model::limits::REASON_BYTES;
use sixpack_model::name::ContractName;
use sixpack_model::text::line;
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::datasets::{id_of, tree_view};
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::quarantine::check_reason;
use super::shapes::dataset::DatasetJson;
use super::shapes::owner::OwnerJson;
use super::shapes::scalar::{Text, Time};
use super::shapes::secret::Secrets;
use super::shapes::tree::TreeView;
use super::shapes::word::{DebtStatusWord, Word};
use crate::edge::check::{Check, Faults};
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, NoParameters, Query};

/// Which debts to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DebtParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Only of this contract, `domain/name`.
    contract: Option<String>,
    /// Only what is exhausted (`debt`), or only what waits for its supplier (`waiting`).
    #[param(inline)]
    status: Option<DebtStatusWord>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// What has become of an effect that could not be undone.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResolveDebt)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveDebtJson {
    /// One line for whoever reads what happened to it, such as how it was removed or why it may stay.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl Check for ResolveDebtJson {
    fn check(&self, faults: &mut Faults) {
        check_reason(&self.reason, faults);
    }
}

/// An effect that is owed: it could not be undone, or waits for its supplier.
#[derive(Serialize, ToSchema)]
#[schema(as = Debt)]
pub(super) struct DebtJson<'a> {
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    root_id: Text<DatasetId>,
    environment: &'a str,
    /// `debt`: its undo is exhausted, and it stays until a person resolves it. `waiting`: its supplier is not connected, and
    /// undoes it when it is.
    #[schema(inline)]
    status: DebtStatusWord,
    /// From the root's contract to this one: `payment › billing/payment-account@3`.
    path: String,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// Goes at undoing it.
    attempts: u32,
    /// The domain's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    message: Cow<'a, str>,
    /// What is left behind, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    output: Option<Cow<'a, Value>>,
    #[schema(value_type = String)]
    request_id: Text<RequestId>,
    /// The channel of suppliers under development in which it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
}

/// Lists effects that could not be undone, and undos that wait for their supplier, oldest first
///
/// An undo is listed when it has been waiting longer than the server's grace for a supplier that is not connected.
/// A page may hold fewer than `limit` entries and still have a next one.
#[utoipa::path(get, path = "/v1/debts", tag = "debts", params(DebtParameters), responses(
    (status = 200, description = "A page of debts", body = PageJson<DebtJson<'_>>),
))]
pub(super) async fn list_debts(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<DebtParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let filters = (&parameters.environment, &parameters.contract, &parameters.status);
    let listing = Listing::new("GET /v1/debts", &caller, &filters, limit, cursor)?;
    let status = parameters.status.map(|Word(status)| status);
    let debts = engine.debts(&caller, parameters.environment.as_deref(), status, listing.page()).await?;
    let now = engine.now().await?;
    let views: Vec<_> = debts.iter().map(|debt| (debt, tree_view(debt, Secrets::Covered, now))).collect();
    let wanted = parameters.contract.as_deref();
    let page = listing.answer(
        &views,
        |(debt, _)| id_of(debt).to_string(),
        |(debt, view)| {
            Some(DebtJson::of(debt, view))
                .filter(|debt| wanted.is_none_or(|wanted| debt.contract.0.to_string() == wanted))
        },
    );
    Ok(Json(page).into_response())
}

/// Notes that somebody has looked after an effect that could not be undone
///
/// It is listed no more, and nobody is asked to undo it again. For administrators, and for suppliers of a domain that has a part in the
/// dataset. Repeated, it changes nothing: what was resolved first stays.
#[utoipa::path(post, path = "/v1/debts/{id}/resolve", tag = "debts", params(("id" = String, Path)), request_body = ResolveDebtJson, responses(
    (status = 200, description = "The part as it stands then, with who has resolved it", body = DatasetJson<'_>),
    (status = 403, description = "`foreign_dataset`: no part of the dataset is of the token's domain", body = ProblemJson),
    (status = 404, description = "`dataset_not_found`", body = ProblemJson),
    (status = 409, description = "`not_owed`", body = ProblemJson),
))]
pub(super) async fn resolve_debt(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(DatasetId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<ResolveDebtJson>,
) -> Result<Response, Problem> {
    let reason = line("/reason", &body.reason, REASON_BYTES).expect("it was checked");
    let dataset = engine.resolve_debt(&caller, id, reason).await?;
    let view = tree_view(&dataset, Secrets::Covered, engine.now().await?);
    Ok(Json(DatasetJson::whole(&view, dataset.part, &dataset.timeline)).into_response())
}

impl<'a> DebtJson<'a> {
    fn of(debt: &'a DatasetView, view: &'a TreeView<'a>) -> Self {
        let part = &debt.tree.parts[debt.part as usize];
        let waits = view.waits_since(debt.part);
        let failure = part.failure.as_ref().filter(|_| waits.is_none());
        let owner = failure.map(|failure| &failure.owner);
        Self {
            dataset_id: Text(id_of(debt)),
            root_id: Text(debt.tree.id.root()),
            environment: &debt.tree.environment,
            status: Word(if waits.is_some() { DebtStatus::Waiting } else { DebtStatus::Debt }),
            path: debt.tree.path_of(debt.part),
            contract: Text(&part.contract),
            version: part.version,
            owner: owner.map(OwnerJson::from).or_else(|| view.owner(debt.part)),
            since: waits.or(part.ended_at).map(Time),
            attempts: match (&part.task, failure) {
                (Some(task), None) => task.attempt.saturating_sub(task.spent_from),
                (_, failure) => failure.map_or(0, |failure| failure.attempts),
            },
            code: failure.and_then(|failure| failure.code.as_deref()),
            message: match (waits, failure) {
                (Some(_), _) => awaited(debt).into(),
                (None, failure) => failure.map_or("", |failure| failure.message.as_str()).into(),
            },
            output: view.output(debt.part),
            request_id: Text(debt.tree.request),
            channel: debt.tree.channel.as_deref(),
        }
    }
}

fn awaited(debt: &DatasetView) -> String {
    let part = &debt.tree.parts[debt.part as usize];
    format!(
        "its undo waits for a supplier of {}@{}, and none is connected; start one, or ask its owner",
        part.contract, part.version
    )
}
