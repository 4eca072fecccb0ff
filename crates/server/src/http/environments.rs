//! Environments: the landscapes that datasets live in.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sixpack_engine::{Engine, EnvironmentView};
use sixpack_model::name::EnvironmentName;
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::pages::{Listing, PageJson};
use super::shapes::scalar::Time;
use crate::edge::json::Json;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, Query};

/// Which page to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EnvironmentParameters {
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A landscape that datasets live in.
#[derive(Serialize, ToSchema)]
#[schema(as = Environment)]
pub(super) struct EnvironmentJson<'a> {
    name: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// How many contracts are offered.
    contracts: usize,
    /// How many sessions are live.
    sessions: u64,
    /// How many leases are held.
    leases: u64,
    /// How many undos have been waiting longer than the grace for a supplier that is not connected.
    waiting_undos: u64,
}

/// Lists environments by name
#[utoipa::path(get, path = "/v1/environments", tag = "catalogue", params(EnvironmentParameters), responses(
    (status = 200, description = "A page of environments", body = PageJson<EnvironmentJson<'_>>),
))]
pub(super) async fn list_environments(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<EnvironmentParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let listing: Listing<EnvironmentName> =
        Listing::new("GET /v1/environments", &caller, &(), limit, cursor)?;
    let rows = listing
        .cut(engine.environments(&caller).await?, |view, after| view.row.name.as_str() > after.as_str());
    let page = listing.answer(&rows, |view| view.row.name.clone(), |view| Some(EnvironmentJson::from(view)));
    Ok(Json(page).into_response())
}

impl<'a> From<&'a EnvironmentView> for EnvironmentJson<'a> {
    fn from(view: &'a EnvironmentView) -> Self {
        Self {
            name: &view.row.name,
            created_at: Time(view.row.created_at),
            contracts: view.shelf.entries().count(),
            sessions: view.sessions,
            leases: view.leases,
            waiting_undos: view.waiting_undos,
        }
    }
}
