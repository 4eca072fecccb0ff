//! Leases: read, renewed, given back, taken away.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sixpack_engine::{Caller, Engine, LeaseFilter, Shelf};
use sixpack_model::ids::LeaseId;
use sixpack_model::lease::Lease;
use sixpack_model::limits::REASON_BYTES;
use sixpack_model::text::{line, prose};
use sixpack_model::tree::Tree;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::Authorized;
use super::document::ProblemJson;
use super::extensions::ExtendParameters;
use super::pages::{Listing, PageJson};
use super::requests::asked::SpanS;
use super::requests::holder;
use super::shapes::lease::LeaseJson;
use super::shapes::secret::Secrets;
use super::shapes::tree::TreeView;
use super::shapes::word::{LeaseStatusWord, OutcomeWord, Word};
use super::waiting::Call;
use crate::edge::check::{Check, Faults};
use crate::edge::integer::Int;
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, NoParameters, Query};

/// Bytes of a note: a few sentences about what was wrong.
pub(super) const NOTE_MAX_BYTES: usize = 1_000;

/// A fence: below 2^53, so that every language keeps it exact.
pub(super) type Fence = Int<0, 9_007_199_254_740_991>;

/// How to renew a lease.
#[derive(Deserialize, ToSchema)]
#[schema(as = RenewLease)]
#[serde(deny_unknown_fields)]
pub(super) struct RenewJson {
    #[schema(inline)]
    fence: Fence,
    /// From now on; the length that was asked for when absent.
    #[schema(inline)]
    ttl_s: Option<SpanS>,
}

impl Check for RenewJson {
    fn check(&self, _: &mut Faults) {}
}

/// How a lease ends.
#[derive(Deserialize, ToSchema)]
#[schema(as = ReleaseLease)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseJson {
    #[schema(inline)]
    fence: Fence,
    /// `used` when absent.
    #[schema(inline)]
    outcome: Option<OutcomeWord>,
    /// What was wrong with the data.
    #[schema(max_length = 1000)]
    note: Option<String>,
}

impl Check for ReleaseJson {
    fn check(&self, faults: &mut Faults) {
        if let Some(Err(fault)) = self.note.as_deref().map(|note| prose("/note", note, NOTE_MAX_BYTES)) {
            faults.add("note", fault.code, fault.message);
        }
    }
}

/// Why a lease is taken away.
#[derive(Deserialize, ToSchema)]
#[schema(as = RevokeLease)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeJson {
    /// One line for whoever holds it: what happens to the data, and whom to ask.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl Check for RevokeJson {
    fn check(&self, faults: &mut Faults) {
        match line("/reason", &self.reason, REASON_BYTES) {
            Ok(reason) if reason.is_empty() => {
                faults.add("reason", "empty", "is empty; say why it is taken away");
            }
            Ok(_) => {}
            Err(fault) => faults.add("reason", fault.code, fault.message),
        }
    }
}

/// Which leases to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LeaseParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Only in this state.
    #[param(inline)]
    status: Option<LeaseStatusWord>,
    /// Only of datasets of this contract.
    contract: Option<String>,
    /// Only of this holder, exactly.
    holder: Option<String>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Lists leases, newest first
#[utoipa::path(get, path = "/v1/leases", tag = "leases", params(LeaseParameters), responses(
    (status = 200, description = "A page of leases", body = PageJson<LeaseJson<'_>>),
))]
pub(super) async fn list_leases(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<LeaseParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let holder = holder(parameters.holder)?;
    let filters = (&parameters.environment, &parameters.status, &parameters.contract, &holder);
    let listing = Listing::new("GET /v1/leases", &caller, &filters, limit, cursor)?;
    let filter = LeaseFilter {
        environment: parameters.environment,
        status: parameters.status.map(|Word(status)| status),
        contract: parameters.contract,
        holder,
        token: None,
    };
    let found = engine.leases(&caller, filter, listing.page_as_shown()).await?;
    let now = engine.now().await?;
    let mut shelves: Vec<Arc<Shelf>> = Vec::with_capacity(found.rows.len());
    for (_, tree) in &found.rows {
        shelves.push(engine.shelf_of(tree).await?.unwrap_or_default());
    }
    let views: Vec<(&Lease, TreeView<'_>)> = found
        .rows
        .iter()
        .zip(&shelves)
        .map(|((lease, tree), shelf)| (lease, TreeView::new(tree, shelf, Secrets::Covered, now)))
        .collect();
    let items = views.iter().map(|(lease, view)| LeaseJson::of(lease, view)).collect();
    Ok(Json(listing.answer_as_found(items, found.next)).into_response())
}

/// Reads one lease; its holder's token sees secrets as well
///
/// With `wait_s` it waits as long as the dataset is being extended.
#[utoipa::path(get, path = "/v1/leases/{id}", tag = "leases", params(("id" = String, Path), ExtendParameters), responses(
    (status = 200, description = "The lease", body = LeaseJson<'_>),
    (status = 404, description = "`lease_not_found`", body = ProblemJson),
))]
pub(super) async fn get_lease(
    State(server): State<Server>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(LeaseId,)>,
    Query(parameters): Query<ExtendParameters>,
    call: Call,
) -> Result<Response, Problem> {
    let place = server.waiting.park(&caller, parameters.wait(), &call)?;
    let leased = tokio::select! {
        leased = server.engine.wait_for_extension(&caller, id, parameters.wait()) => leased?,
        () = call.stopping.0.cancelled() => server.engine.lease(&caller, id).await?,
    };
    drop(place);
    answer(&server.engine, &caller, &leased).await
}

/// Moves the end of a lease; never to an earlier time
#[utoipa::path(post, path = "/v1/leases/{id}/renew", tag = "leases", params(("id" = String, Path)), request_body = RenewJson, responses(
    (status = 200, description = "The lease", body = LeaseJson<'_>),
    (status = 404, description = "`lease_not_found`", body = ProblemJson),
    (status = 409, description = "`lease_fenced`, `lease_ended`", body = ProblemJson),
))]
pub(super) async fn renew_lease(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(LeaseId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<RenewJson>,
) -> Result<Response, Problem> {
    let ttl_ms = body.ttl_s.map(|ttl_s| ttl_s.get().unsigned_abs() * 1000);
    let leased = engine.renew_lease(&caller, id, body.fence.get().unsigned_abs(), ttl_ms).await?;
    answer(&engine, &caller, &leased).await
}

/// Gives a dataset back
///
/// A second release with the same fence answers the same.
#[utoipa::path(post, path = "/v1/leases/{id}/release", tag = "leases", params(("id" = String, Path)), request_body = ReleaseJson, responses(
    (status = 200, description = "The lease", body = LeaseJson<'_>),
    (status = 404, description = "`lease_not_found`", body = ProblemJson),
    (status = 409, description = "`lease_fenced`, `lease_ended`", body = ProblemJson),
))]
pub(super) async fn release_lease(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(LeaseId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<ReleaseJson>,
) -> Result<Response, Problem> {
    let outcome = body.outcome.map(|Word(outcome)| outcome);
    let note = body.note.map(|note| prose("/note", &note, NOTE_MAX_BYTES).expect("it was checked"));
    let leased = engine.release_lease(&caller, id, body.fence.get().unsigned_abs(), outcome, note).await?;
    answer(&engine, &caller, &leased).await
}

/// Takes a dataset away from its holder
///
/// For administrators, and for suppliers of a domain that has a part in the dataset. A second call answers the same, with
/// the first reason.
#[utoipa::path(post, path = "/v1/leases/{id}/revoke", tag = "leases", params(("id" = String, Path)), request_body = RevokeJson, responses(
    (status = 200, description = "The lease", body = LeaseJson<'_>),
    (status = 403, description = "`foreign_dataset`: no part of the dataset is of the token's domain", body = ProblemJson),
    (status = 404, description = "`lease_not_found`", body = ProblemJson),
    (status = 409, description = "`lease_ended`: it was released or has expired before", body = ProblemJson),
))]
pub(super) async fn revoke_lease(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(LeaseId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<RevokeJson>,
) -> Result<Response, Problem> {
    let reason = line("/reason", &body.reason, REASON_BYTES).expect("it was checked");
    let leased = engine.revoke_lease(&caller, id, reason).await?;
    answer(&engine, &caller, &leased).await
}

pub(super) async fn answer(
    engine: &Engine,
    caller: &Caller,
    leased: &(Lease, Arc<Tree>),
) -> Result<Response, Problem> {
    let (lease, tree) = leased;
    let now = engine.now().await?;
    let shelf = engine.shelf_of(tree).await?.unwrap_or_default();
    let view = TreeView::new(tree, &shelf, Secrets::of_lease(caller, lease), now);
    Ok(Json(LeaseJson::of(lease, &view)).into_response())
}
