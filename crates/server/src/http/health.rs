//! Health: whether the process runs, takes calls, and can write.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::Server;
use super::document::ProblemJson;
use super::refusals::unavailable;
use crate::edge::json::Json;
use crate::edge::problem::Problem;
use crate::edge::query::{NoParameters, Query};

/// How long the store may take for the smallest write: a disk that is slower than this cannot serve.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// When to look again: a load balancer asks every few seconds anyway.
const NOT_READY_S: u64 = 5;

const PLAIN: [(http::HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; charset=utf-8")];

/// Whether everything works.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthJson {
    /// `ok` or `failing`.
    status: &'static str,
    checks: Vec<CheckJson>,
}

/// One thing that was looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthCheck)]
struct CheckJson {
    name: &'static str,
    /// `ok` or `failing`.
    status: &'static str,
    message: &'static str,
}

/// What is running.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub(super) struct VersionJson {
    name: &'static str,
    version: &'static str,
    /// The first segment of every path.
    api: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
}

/// Says that the process runs
///
/// Asks nobody else, so that a store in trouble does not get every server restarted.
#[utoipa::path(get, path = "/livez", tag = "health", responses(
    (status = 200, description = "It runs", body = String, content_type = "text/plain"),
))]
pub(super) async fn livez(Query(NoParameters {}): Query<NoParameters>) -> Response {
    (PLAIN, "ok\n").into_response()
}

/// Says whether calls are taken
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Calls are taken", body = String, content_type = "text/plain"),
    (status = 503, description = "`unavailable`: the server is stopping, or its store cannot be written to", body = ProblemJson),
))]
pub(super) async fn readyz(
    State(server): State<Server>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    match checks(&server).await.iter().find(|check| check.status != OK) {
        None => Ok((PLAIN, "ok\n").into_response()),
        Some(failing) => Err(unavailable(NOT_READY_S, format!("{}: {}.", failing.name, failing.message))),
    }
}

/// Says that the server has started
///
/// It listens only after the store is migrated.
#[utoipa::path(get, path = "/startupz", tag = "health", responses(
    (status = 200, description = "It has started", body = String, content_type = "text/plain"),
))]
pub(super) async fn startupz(Query(NoParameters {}): Query<NoParameters>) -> Response {
    (PLAIN, "ok\n").into_response()
}

/// Says what works
#[utoipa::path(get, path = "/healthz", tag = "health", responses(
    (status = 200, description = "Everything works", body = HealthJson),
    (status = 503, description = "Something does not", body = HealthJson),
))]
pub(super) async fn healthz(
    State(server): State<Server>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let checks = checks(&server).await;
    let (code, status) = match checks.iter().all(|check| check.status == OK) {
        true => (StatusCode::OK, OK),
        false => (StatusCode::SERVICE_UNAVAILABLE, FAILING),
    };
    Ok((code, Json(HealthJson { status, checks })).into_response())
}

/// Says what is running
#[utoipa::path(get, path = "/version", tag = "health", responses(
    (status = 200, description = "What is running", body = VersionJson),
))]
pub(super) async fn version(Query(NoParameters {}): Query<NoParameters>) -> Json<VersionJson> {
    Json(VersionJson {
        name: "sixpack",
        version: env!("CARGO_PKG_VERSION"),
        api: "v1",
        commit: option_env!("SIXPACK_COMMIT"),
    })
}

const OK: &str = "ok";
const FAILING: &str = "failing";

async fn checks(server: &Server) -> Vec<CheckJson> {
    let store = match tokio::time::timeout(PING_TIMEOUT, server.engine.ping()).await {
        Ok(Ok(())) => CheckJson { name: "store", status: OK, message: "" },
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store cannot be written to");
            CheckJson { name: "store", status: FAILING, message: "it cannot be written to; the log says why" }
        }
        Err(_) => CheckJson { name: "store", status: FAILING, message: "it did not answer in time" },
    };
    let calls = match server.shutdown.is_cancelled() {
        false => CheckJson { name: "calls", status: OK, message: "" },
        true => CheckJson { name: "calls", status: FAILING, message: "the server is stopping" },
    };
    vec![store, calls]
}
