//! Datasets: listed, and read with their parts and what happened to them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use sixpack_engine::{DatasetFilter, DatasetView, Engine};
use sixpack_model::ids::DatasetId;
use utoipa::IntoParams;

use super::auth::Authorized;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::shapes::dataset::DatasetJson;
use super::shapes::secret::Secrets;
use super::shapes::tree::TreeView;
use super::shapes::word::{PartStatusWord, Word};
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::{Problem, ProblemFault};
use crate::edge::query::{Limit, NoParameters, Query};

/// Which datasets to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DatasetParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Only instances of this contract, parts of others included.
    contract: Option<String>,
    /// Only in this state.
    #[param(inline)]
    status: Option<PartStatusWord>,
    /// Only datasets, parts included, that made or used this entity: `kind:key`.
    entity: Option<String>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Lists datasets, newest first
///
/// Roots only, unless `contract` or `entity` is given. A part names the lease that its tree is under.
#[utoipa::path(get, path = "/v1/datasets", tag = "datasets", params(DatasetParameters), responses(
    (status = 200, description = "A page of datasets without their parts", body = PageJson<DatasetJson<'_>>),
))]
pub(super) async fn list_datasets(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<DatasetParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let filters = (&parameters.environment, &parameters.contract, &parameters.status, &parameters.entity);
    let listing = Listing::new("GET /v1/datasets", &caller, &filters, limit, cursor)?;
    let filter = DatasetFilter {
        environment: parameters.environment,
        contract: parameters.contract,
        status: parameters.status.map(|Word(status)| status),
        entity: parameters.entity.as_deref().map(entity).transpose()?,
    };
    let found = engine.datasets(&caller, filter, listing.page_as_shown()).await?;
    let now = engine.now().await?;
    let views: Vec<_> =
        found.rows.iter().map(|dataset| (dataset.part, tree_view(dataset, Secrets::Covered, now))).collect();
    let items = views.iter().map(|(part, view)| DatasetJson::listed(view, *part)).collect();
    Ok(Json(listing.answer_as_found(items, found.next)).into_response())
}

/// Reads a dataset, root or part, with everything below it and what happened to it
#[utoipa::path(get, path = "/v1/datasets/{id}", tag = "datasets", params(("id" = String, Path)), responses(
    (status = 200, description = "The dataset", body = DatasetJson<'_>),
    (status = 404, description = "`dataset_not_found`", body = ProblemJson),
))]
pub(super) async fn get_dataset(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(DatasetId,)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let dataset = engine.dataset(&caller, id).await?;
    let secrets = Secrets::of_leases(&caller, &dataset.lease);
    let view = tree_view(&dataset, secrets, engine.now().await?);
    Ok(Json(DatasetJson::whole(&view, dataset.part, &dataset.timeline)).into_response())
}

/// The tree of a dataset.
pub(super) fn tree_view(dataset: &DatasetView, secrets: Secrets, now: Timestamp) -> TreeView<'_> {
    TreeView::new(&dataset.tree, &dataset.shelf, secrets, now).waiting(&dataset.waits)
}

pub(super) fn id_of(dataset: &DatasetView) -> DatasetId {
    dataset.tree.dataset(dataset.part)
}

fn entity(text: &str) -> Result<(String, String), Problem> {
    match text.split_once(':') {
        Some((kind, key)) if !kind.is_empty() && !key.is_empty() => Ok((kind.to_owned(), key.to_owned())),
        _ => {
            let message = "must be written `kind:key`, for example `customer:c-17`";
            Err(Problem::unprocessable(vec![ProblemFault::new("?entity", "invalid_value", message)]))
        }
    }
}
