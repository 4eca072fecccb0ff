//! Extensions: a leased dataset is advanced by one more contract.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use sixpack_engine::Extending;
use sixpack_model::ids::LeaseId;
use sixpack_model::limits::EXTENSIONS;
use sixpack_model::name::ContractName;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::Authorized;
use super::document::ProblemJson;
use super::leases::{Fence, answer};
use super::shapes::lease::LeaseJson;
use super::waiting::Call;
use crate::edge::check::{Check, Faults};
use crate::edge::integer::Int;
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::Query;

/// How long a call is held.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExtendParameters {
    /// Seconds to wait for the end of an extension that is under way; 0 when absent.
    #[param(inline)]
    wait_s: Option<Int<0, 60>>,
}

impl ExtendParameters {
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_s.map_or(0, |wait_s| wait_s.get().unsigned_abs()))
    }
}

/// The number of an extension; [`EXTENSIONS`] at most.
type Number = Int<1, { EXTENSIONS as i64 }>;

/// By what a dataset is to be extended.
#[derive(Deserialize, ToSchema)]
#[schema(as = ExtendLease)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendJson {
    #[schema(inline)]
    fence: Fence,
    /// What is to be made, `domain/name`: a capability or a scenario.
    contract: String,
    /// What it is made from. A property that is left out takes the value of the dataset's output under the same name, if
    /// that fits, and otherwise its default.
    #[schema(value_type = Option<Value>)]
    input: Option<Map<String, Value>>,
    /// Which extension of the lease this is, from 1: repeating the call with it answers the same. The next one when absent.
    #[schema(inline)]
    number: Option<Number>,
}

impl Check for ExtendJson {
    fn check(&self, faults: &mut Faults) {
        if let Err(error) = self.contract.parse::<ContractName>() {
            faults.add("contract", "name_pattern", error.to_string());
        }
    }
}

/// Advances a leased dataset by one more contract, just in time
///
/// What is made joins the dataset: it is checked with the rest, and undone with it when the lease ends. When it cannot be
/// made, what it has made is undone, the rest stays leased, and the answer says why: `extensions` has one entry for each call.
#[utoipa::path(post, path = "/v1/leases/{id}/extend", tag = "leases", params(("id" = String, Path), ExtendParameters), request_body = ExtendJson, responses(
    (status = 200, description = "The lease", body = LeaseJson<'_>),
    (status = 404, description = "`lease_not_found`, `contract_not_found`", body = ProblemJson),
    (status = 409, description = "`lease_fenced`, `lease_ended`, `extending`, `extension_mismatch`, `too_many_extensions`, `contract_broken`", body = ProblemJson),
))]
pub(super) async fn extend_lease(
    State(server): State<Server>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(LeaseId,)>,
    Query(parameters): Query<ExtendParameters>,
    call: Call,
    Json(body): Json<ExtendJson>,
) -> Result<Response, Problem> {
    let extending = Extending {
        fence: body.fence.get().unsigned_abs(),
        contract: body.contract.parse().expect("it was checked"),
        input: Value::Object(body.input.unwrap_or_default()),
        number: body.number.map(|number| usize::try_from(number.get()).expect("it is within its bounds")),
    };
    server.engine.extend_lease(&caller, id, extending).await?;
    // It has begun: when there is no place to wait in, it is answered as it stands.
    let (place, wait) = match server.waiting.park(&caller, parameters.wait(), &call) {
        Ok(place) => (place, parameters.wait()),
        Err(_) => (None, Duration::ZERO),
    };
    let leased = tokio::select! {
        leased = server.engine.wait_for_extension(&caller, id, wait) => leased?,
        () = call.stopping.0.cancelled() => server.engine.lease(&caller, id).await?,
    };
    drop(place);
    answer(&server.engine, &caller, &leased).await
}
