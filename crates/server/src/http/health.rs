//! Health: whether the process gets on, takes calls, and can write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use sixpack_engine::{Engine, StoreError};
use tokio::sync::Mutex;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::document::ProblemJson;
use super::refusals::unavailable;
use crate::edge::json::Json;
use crate::edge::problem::Problem;
use crate::edge::query::{NoParameters, Query};

/// How long the store may take for the smallest write: a disk that is slower than this cannot serve.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the answer to it holds. Anybody may ask without a token, and must not be able to keep the disk busy with that;
/// what is asked every few seconds is told what is true now.
const PING_HOLDS: Duration = Duration::from_secs(1);

/// When to look again: a load balancer asks every few seconds anyway.
const NOT_READY_S: u64 = 5;

const PLAIN: [(http::HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; charset=utf-8")];

/// What the last write to prove that the store can be written to has shown.
#[derive(Clone, Default)]
pub(super) struct Pinged(Arc<Mutex<Option<(Instant, Check)>>>);

impl Pinged {
    /// Whether the store can be written to. One asks it at a time; the others hear the same.
    async fn store(&self, engine: &Engine) -> Check {
        let mut last = self.0.lock().await;
        match *last {
            Some((at, check)) if at.elapsed() < PING_HOLDS => check,
            _ => {
                let check = ping(engine).await;
                *last = Some((Instant::now(), check));
                check
            }
        }
    }
}

/// One thing that was looked at; without a message it is as it should be.
#[derive(Debug, Clone, Copy)]
struct Check {
    name: &'static str,
    failing: Option<&'static str>,
}

/// How much is told.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HealthParameters {
    /// For people: every check by name, also those that are as they should be. No value is needed.
    #[param(value_type = Option<bool>)]
    verbose: Option<Verbose>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Verbose {
    True,
    False,
    #[serde(rename = "")]
    Named,
}

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
    /// When it was built, as whoever built it wrote it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    built_at: Option<&'static str>,
    store: StoreJson,
}

/// What keeps the data.
#[derive(Serialize, ToSchema)]
#[schema(as = VersionStore)]
struct StoreJson {
    /// `sqlite` or `postgres`.
    kind: &'static str,
    /// The version of the schema that this build writes.
    schema_version: u32,
}

/// Says that the process gets on
///
/// Asks no disk, no database and nobody else, so that one of them in trouble does not get every server started anew. 503 only when
/// whoever writes to the store has been stuck for 30 seconds, which a new start may help.
#[utoipa::path(get, path = "/livez", tag = "health", params(HealthParameters), responses(
    (status = 200, description = "It gets on", body = String, content_type = "text/plain"),
    (status = 503, description = "`unavailable`: it does not, and should be started anew", body = ProblemJson),
))]
pub(super) async fn livez(
    State(server): State<Server>,
    Query(parameters): Query<HealthParameters>,
) -> Result<Response, Problem> {
    answer(&[process(&server.engine)], &parameters)
}

/// Says whether calls are taken
#[utoipa::path(get, path = "/readyz", tag = "health", params(HealthParameters), responses(
    (status = 200, description = "Calls are taken", body = String, content_type = "text/plain"),
    (status = 503, description = "`unavailable`: the server is stopping, or its store cannot be written to; the detail names what fails", body = ProblemJson),
))]
pub(super) async fn readyz(
    State(server): State<Server>,
    Query(parameters): Query<HealthParameters>,
) -> Result<Response, Problem> {
    answer(&checks(&server).await, &parameters)
}

/// Says that the server has started
///
/// It listens only after the store is migrated.
#[utoipa::path(get, path = "/startupz", tag = "health", params(HealthParameters), responses(
    (status = 200, description = "It has started", body = String, content_type = "text/plain"),
))]
pub(super) async fn startupz(Query(parameters): Query<HealthParameters>) -> Result<Response, Problem> {
    answer(&[Check { name: "migrations", failing: None }], &parameters)
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
    let (code, status) = match checks.iter().all(|check| check.failing.is_none()) {
        true => (StatusCode::OK, OK),
        false => (StatusCode::SERVICE_UNAVAILABLE, FAILING),
    };
    let checks = checks.iter().map(Check::json).collect();
    Ok((code, Json(HealthJson { status, checks })).into_response())
}

/// Says what is running
#[utoipa::path(get, path = "/version", tag = "health", responses(
    (status = 200, description = "What is running", body = VersionJson),
))]
pub(super) async fn version(
    State(server): State<Server>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<VersionJson> {
    Json(VersionJson {
        name: "sixpack",
        version: env!("CARGO_PKG_VERSION"),
        api: "v1",
        commit: option_env!("SIXPACK_COMMIT"),
        built_at: option_env!("SIXPACK_BUILT_AT"),
        store: StoreJson {
            kind: server.engine.store_kind().name(),
            schema_version: server.engine.schema_version(),
        },
    })
}

const OK: &str = "ok";
const FAILING: &str = "failing";

async fn checks(server: &Server) -> [Check; 3] {
    let stopping = server.shutdown.is_cancelled().then_some("the server is stopping");
    let calls = Check { name: "calls", failing: stopping };
    [calls, process(&server.engine), server.pinged.store(&server.engine).await]
}

fn process(engine: &Engine) -> Check {
    let stuck = engine.is_stuck().then_some("whoever writes to the store has been stuck for 30 seconds");
    Check { name: "process", failing: stuck }
}

async fn ping(engine: &Engine) -> Check {
    let failing = match tokio::time::timeout(PING_TIMEOUT, engine.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(StoreError::Full)) => Some("there is no room left for it on the disk; it can be read"),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store cannot be written to");
            Some("it cannot be written to; the log says why")
        }
        Err(_) => Some("it did not answer in time"),
    };
    Check { name: "store", failing }
}

/// `ok`, or a problem that names what fails.
fn answer(checks: &[Check], parameters: &HealthParameters) -> Result<Response, Problem> {
    let verbose = parameters.verbose.as_ref().is_some_and(|verbose| *verbose != Verbose::False);
    if checks.iter().all(|check| check.failing.is_none()) {
        let each = checks.iter().filter(|_| verbose).map(|check| format!("{}: {OK}\n", check.name));
        let text: String = each.chain([format!("{OK}\n")]).collect();
        return Ok((PLAIN, text).into_response());
    }
    let told = checks.iter().filter(|check| verbose || check.failing.is_some());
    let told: Vec<_> = told.map(|check| format!("{}: {}", check.name, check.failing.unwrap_or(OK))).collect();
    Err(unavailable(NOT_READY_S, format!("{}.", told.join("; "))))
}

impl Check {
    fn json(&self) -> CheckJson {
        let status = if self.failing.is_none() { OK } else { FAILING };
        CheckJson { name: self.name, status, message: self.failing.unwrap_or_default() }
    }
}
