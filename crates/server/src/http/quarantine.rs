//! Quarantine: datasets that do not hold any more, listed, and decided about.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sixpack_engine::{DatasetView, Engine};
use sixpack_model::ids::DatasetId;
use sixpack_model::limits::REASON_BYTES;
use sixpack_model::name::ContractName;
use sixpack_model::text::line;
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::datasets::tree_view;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::shapes::dataset::DatasetJson;
use super::shapes::owner::OwnerJson;
use super::shapes::scalar::{Text, Time};
use super::shapes::secret::Secrets;
use super::shapes::word::{ClassWord, ResolutionWord, Word};
use crate::edge::check::{Check, Faults};
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, NoParameters, Query};

/// Which datasets to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct QuarantineParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// What becomes of a dataset in quarantine.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResolveDataset)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveJson {
    /// `retry`: ask about it again, and back into stock if it holds; `undo`: take it down; `discard`: forget it as it is,
    /// nothing is undone; `return`: back into stock unasked.
    #[schema(inline)]
    resolution: ResolutionWord,
    /// One line for whoever reads what happened to it.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl Check for ResolveJson {
    fn check(&self, faults: &mut Faults) {
        check_reason(&self.reason, faults);
    }
}

/// Whether a decision says why, in a line.
pub(super) fn check_reason(reason: &str, faults: &mut Faults) {
    match line("/reason", reason, REASON_BYTES) {
        Ok(reason) if reason.is_empty() => {
            faults.add("reason", "empty", "is empty; say why it is decided so");
        }
        Ok(_) => {}
        Err(fault) => faults.add("reason", fault.code, fault.message),
    }
}

/// A dataset that does not hold any more.
#[derive(Serialize, ToSchema)]
#[schema(as = QuarantinedDataset)]
pub(super) struct QuarantinedJson<'a> {
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    environment: &'a str,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    /// When it was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// What it was asked about for: `hand_over` or `patrol`.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drifted: Option<DriftedJson<'a>>,
}

/// The part that was the first to drift.
#[derive(Serialize, ToSchema)]
#[schema(as = DriftedPart)]
struct DriftedJson<'a> {
    /// From the root's step to the contract: `payment › billing/payment-account@3`.
    path: &'a str,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    owner: OwnerJson<'a>,
    /// `check`, or `invariant` when every service agrees for itself.
    #[schema(inline)]
    class: ClassWord,
    message: &'a str,
}

/// Lists datasets in quarantine, newest first
#[utoipa::path(get, path = "/v1/quarantine", tag = "quarantine", params(QuarantineParameters), responses(
    (status = 200, description = "A page of datasets that do not hold any more", body = PageJson<QuarantinedJson<'_>>),
))]
pub(super) async fn list_quarantine(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<QuarantineParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let listing = Listing::new("GET /v1/quarantine", &caller, &parameters.environment, limit, cursor)?;
    let found = engine.quarantine(&caller, parameters.environment, listing.page_as_shown()).await?;
    let items = found.rows.iter().map(QuarantinedJson::of).collect();
    Ok(Json(listing.answer_as_found(items, found.next)).into_response())
}

/// Decides what becomes of a dataset in quarantine
///
/// For administrators, and for suppliers of a domain that has a part in the dataset.
#[utoipa::path(post, path = "/v1/datasets/{id}/resolve", tag = "quarantine", params(("id" = String, Path)), request_body = ResolveJson, responses(
    (status = 200, description = "The dataset as it stands then", body = DatasetJson<'_>),
    (status = 403, description = "`foreign_dataset`: no part of the dataset is of the token's domain", body = ProblemJson),
    (status = 404, description = "`dataset_not_found`", body = ProblemJson),
    (status = 409, description = "`not_in_quarantine`", body = ProblemJson),
))]
pub(super) async fn resolve_dataset(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(DatasetId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<ResolveJson>,
) -> Result<Response, Problem> {
    let reason = line("/reason", &body.reason, REASON_BYTES).expect("it was checked");
    let Word(resolution) = body.resolution;
    let dataset = engine.resolve_dataset(&caller, id, resolution, reason).await?;
    let view = tree_view(&dataset, Secrets::Covered, engine.now().await?);
    Ok(Json(DatasetJson::whole(&view, dataset.part, &dataset.timeline)).into_response())
}

impl<'a> QuarantinedJson<'a> {
    fn of(view: &'a DatasetView) -> Self {
        let root = view.tree.root();
        Self {
            dataset_id: Text(view.tree.id.root()),
            environment: &view.tree.environment,
            contract: Text(&root.contract),
            version: root.version,
            since: root.set_aside.map(|set_aside| Time(set_aside.at)),
            because: root.set_aside.map(|set_aside| set_aside.because.name()),
            drifted: root.failure.as_ref().map(|failure| DriftedJson {
                path: &failure.path,
                dataset_id: Text(view.tree.dataset(failure.part)),
                contract: Text(&failure.contract),
                version: failure.version,
                owner: OwnerJson::from(&failure.owner),
                class: Word(failure.class),
                message: &failure.message,
            }),
        }
    }
}
