//! Sessions: how suppliers connect, take tasks, answer them, and go away.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sixpack_engine::{Engine, Opened, Refusal, SessionView, Shelf};
use sixpack_model::fault::Fault;
use sixpack_model::ids::{SessionId, TaskId};
use sixpack_model::manifest::{Manifest, Mode};
use sixpack_model::name::ContractName;
use sixpack_model::protocol::{PROTOCOLS, check_protocol};
use sixpack_model::session::HEARTBEAT_MS;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::Authorized;
use super::body::Document;
use super::document::ProblemJson;
use super::manifest::ManifestJson;
use super::pages::{Listing, PageJson};
use super::results::{AnswersJson, ReceiptJson, ReceiptsJson};
use super::scenarios::AppliedJson;
use super::shapes::scalar::{Text, Time};
use super::shapes::word::{OperationSaid, Said, SessionStatusWord, Word};
use super::tasks::{TaskJson, TasksJson};
use super::waiting::Call;
use crate::edge::check::{Check, Faults};
use crate::edge::integer::Int;
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, NoParameters, Query};

/// Bytes of a manifest: a thousand capabilities with schemas of ten kilobytes.
pub(super) const MANIFEST_MAX_BYTES: usize = 10 * 1024 * 1024;

/// Values of a manifest: five hundred for each of a thousand capabilities, which is a schema of thirty properties with type,
/// description and a bound for each of input, output and facts.
pub(super) const MANIFEST_MAX_VALUES: usize = 500_000;

/// Tasks that one heartbeat names: far more than one process works on at a time.
pub(super) const RUNNING_MAX: usize = 10_000;

/// How long a stopping server waits for a claim that was just sent away to come back.
const SENT_AWAY: Duration = Duration::from_secs(1);

/// How many tasks a supplier wants, and how long it waits for the first.
#[derive(Deserialize, ToSchema)]
#[schema(as = Claim)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimJson {
    /// 1 when absent.
    #[schema(inline)]
    max: Option<Int<1, 100>>,
    /// 0 when absent.
    #[schema(inline)]
    wait_s: Option<Int<0, 30>>,
}

impl Check for ClaimJson {
    fn check(&self, _: &mut Faults) {}
}

/// What a supplier is working on.
#[derive(Deserialize, ToSchema)]
#[schema(as = Heartbeat)]
#[serde(deny_unknown_fields)]
pub(super) struct HeartbeatJson {
    /// Ids of tasks.
    #[schema(max_items = 10000)]
    running: Vec<String>,
}

impl Check for HeartbeatJson {
    fn check(&self, faults: &mut Faults) {
        faults.too_many("running", self.running.len(), RUNNING_MAX);
    }
}

/// What a supplier has to know between its answers.
#[derive(Serialize, ToSchema)]
#[schema(as = HeartbeatAnswer)]
pub(super) struct HeartbeatAnswerJson {
    /// Tasks to stop; their results are refused.
    #[schema(value_type = Vec<String>)]
    cancelled: Vec<Text<TaskId>>,
    /// No more tasks are given to this session.
    draining: bool,
}

/// What is left to do for a session that drains.
#[derive(Serialize, ToSchema)]
#[schema(as = Drained)]
pub(super) struct DrainedJson {
    /// Tasks that may still be answered.
    claimed: usize,
}

/// A session just opened.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenedSession)]
pub(super) struct OpenedJson<'a> {
    #[schema(value_type = String)]
    id: Text<SessionId>,
    /// How often to say that the supplier is alive.
    heartbeat_s: u64,
    /// Revisions of the supplier protocol that the server speaks.
    protocols: ProtocolsJson,
    /// In the order of the manifest.
    contracts: Vec<AppliedJson<'a>>,
    /// What is allowed and probably not meant.
    warnings: Vec<WarningJson<'a>>,
}

/// From which revision to which.
#[derive(Serialize, ToSchema)]
#[schema(as = Protocols)]
struct ProtocolsJson {
    min: u32,
    max: u32,
}

/// Something that is probably not meant.
#[derive(Serialize, ToSchema)]
#[schema(as = Warning)]
pub(super) struct WarningJson<'a> {
    /// Into the manifest.
    pointer: &'a str,
    code: &'static str,
    message: &'a str,
}

/// A supplier as it is listed.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionJson<'a> {
    #[schema(value_type = String)]
    id: Text<SessionId>,
    environment: &'a str,
    domain: &'a str,
    instance: &'a str,
    /// `deployment` or `dev`.
    mode: &'static str,
    /// The channel of a supplier under development.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<SdkJson<'a>>,
    #[schema(inline)]
    state: SessionStatusWord,
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Tasks that it works on.
    claimed: u32,
    capabilities: Vec<ServedJson>,
}

/// The library that a supplier speaks through.
#[derive(Serialize, ToSchema)]
#[schema(as = Sdk)]
struct SdkJson<'a> {
    name: &'a str,
    version: &'a str,
}

/// A capability that a session serves.
#[derive(Serialize, ToSchema)]
#[schema(as = Served)]
struct ServedJson {
    /// `domain/name`.
    name: String,
    /// The version that it registered; absent once it takes no tasks any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// As its newest version offers them.
    #[schema(inline)]
    operations: Vec<OperationSaid<'static>>,
}

/// How a manifest is to be taken.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OpenParameters {
    /// `true` refuses what is otherwise only warned of.
    strict: Option<bool>,
}

/// Which sessions to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SessionParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Only of this domain.
    domain: Option<String>,
    /// Only in this state.
    #[param(inline)]
    state: Option<SessionStatusWord>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Opens a session
///
/// Publishes what is new in the manifest's contracts, and takes the place of an older session of the same environment,
/// domain and instance. In the mode `dev` it publishes for its channel only, and takes the place of an older session of
/// the same environment, domain and channel.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", params(OpenParameters), request_body(content = ManifestJson, description = "At most 10 MiB and 500,000 values, a quarter of them objects"), responses(
    (status = 201, description = "The session", body = OpenedJson<'_>, headers(("Location" = String, description = "Where the session is acted upon"))),
    (status = 404, description = "`environment_not_found`, `domain_not_found`: the token is bound to others", body = ProblemJson),
    (status = 409, description = "`protocol` (the supplier speaks another one), `name_taken`, `too_many_channels`", body = ProblemJson),
))]
pub(super) async fn open_session(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(OpenParameters { strict }): Query<OpenParameters>,
    Document(document): Document<MANIFEST_MAX_BYTES, MANIFEST_MAX_VALUES>,
) -> Result<Response, Problem> {
    check_protocol(&document).map_err(Refusal::Protocol)?;
    let parse = if strict == Some(true) { Manifest::parse_strictly } else { Manifest::parse };
    let manifest = parse(&document).map_err(Refusal::Invalid)?;
    let opened = engine.open_session(&caller, manifest).await?;
    let location = HeaderValue::try_from(format!("/v1/sessions/{}", opened.id)).expect("an id is ASCII");
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(OpenedJson::from(&opened))).into_response())
}

/// Lists suppliers, newest first
///
/// A page may hold fewer than `limit` entries and still have a next one.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(SessionParameters), responses(
    (status = 200, description = "A page of sessions", body = PageJson<SessionJson<'_>>),
))]
pub(super) async fn list_sessions(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<SessionParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let filters = (&parameters.environment, &parameters.domain, &parameters.state);
    let listing = Listing::new("GET /v1/sessions", &caller, &filters, limit, cursor)?;
    let views = engine.sessions(&caller, parameters.environment.as_deref(), listing.page()).await?;
    let wanted = |view: &SessionView| {
        parameters.domain.as_ref().is_none_or(|domain| view.session.domain == *domain)
            && parameters.state.is_none_or(|Word(state)| view.session.status == state)
    };
    let page = listing.answer(
        &views,
        |view| view.session.id.to_string(),
        |view| {
            let shelf = engine.shelf(&view.session.environment).unwrap_or_default();
            wanted(view).then(|| SessionJson::of(view, &shelf))
        },
    );
    Ok(Json(page).into_response())
}

/// Lets a session take no more tasks
///
/// What it has may still be answered; parked claims answer empty at once.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)), responses(
    (status = 200, description = "It drains", body = DrainedJson),
    (status = 404, description = "`session_not_found`", body = ProblemJson),
    (status = 409, description = "`session_ended`", body = ProblemJson),
))]
pub(super) async fn drain_session(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(SessionId,)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DrainedJson>, Problem> {
    let claimed = engine.drain_session(&caller, id).await?;
    Ok(Json(DrainedJson { claimed }))
}

/// Asks for tasks
///
/// Answers as soon as there is one, with none when the time is up or the session drains.
#[utoipa::path(post, path = "/v1/sessions/{id}/claim", tag = "sessions", params(("id" = String, Path)), request_body = ClaimJson, responses(
    (status = 200, description = "Tasks", body = TasksJson<'_>),
    (status = 404, description = "`session_not_found`", body = ProblemJson),
    (status = 409, description = "`session_ended`, `superseded`", body = ProblemJson),
))]
pub(super) async fn claim_tasks(
    State(server): State<Server>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(SessionId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    call: Call,
    Json(body): Json<ClaimJson>,
) -> Result<Response, Problem> {
    let max = u32::try_from(body.max.map_or(1, Int::get)).expect("the type of `max` keeps it small");
    let wait = Duration::from_secs(body.wait_s.map_or(0, Int::get).unsigned_abs());
    let _places = server.waiting.park_claim(&caller, id, wait, &call)?;
    let claim = server.engine.claim(&caller, id, max, wait);
    tokio::pin!(claim);
    let tasks = tokio::select! {
        tasks = &mut claim => tasks?,
        () = call.stopping.0.cancelled() => {
            server.engine.release_parked();
            // One that was not parked yet is dropped: what it may have been given goes back.
            tokio::time::timeout(SENT_AWAY, claim).await.unwrap_or_else(|_| Ok(Vec::new()))?
        }
    };
    Ok(Json(TasksJson { tasks: tasks.iter().map(TaskJson::from).collect() }).into_response())
}

/// Answers tasks
///
/// Each result stands for itself: one that is refused harms no other. Hands out tasks with the answer, if asked.
#[utoipa::path(post, path = "/v1/sessions/{id}/results", tag = "sessions", params(("id" = String, Path)), request_body = AnswersJson, responses(
    (status = 200, description = "What became of each, in the same order", body = ReceiptsJson<'_>),
    (status = 404, description = "`session_not_found`", body = ProblemJson),
    (status = 409, description = "`session_ended`, `superseded`", body = ProblemJson),
))]
pub(super) async fn answer_tasks(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(SessionId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<AnswersJson>,
) -> Result<Response, Problem> {
    let max = body.claim_max();
    let (mut receipts, answers) = body.take_apart();
    let (recorded, tasks) = engine.answer(&caller, id, answers, max.unwrap_or(0)).await?;
    let open = receipts.iter_mut().filter(|receipt| receipt.is_open());
    open.zip(recorded).for_each(|(receipt, recorded): (&mut ReceiptJson, _)| receipt.settle(recorded));
    let tasks = max.map(|_| tasks.iter().map(TaskJson::from).collect());
    Ok(Json(ReceiptsJson { results: receipts, tasks }).into_response())
}

/// Says that a supplier is alive, and what it is working on
#[utoipa::path(post, path = "/v1/sessions/{id}/heartbeat", tag = "sessions", params(("id" = String, Path)), request_body = HeartbeatJson, responses(
    (status = 200, description = "What the supplier has to know", body = HeartbeatAnswerJson),
    (status = 404, description = "`session_not_found`", body = ProblemJson),
    (status = 409, description = "`session_ended`, `superseded`", body = ProblemJson),
))]
pub(super) async fn heartbeat(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(SessionId,)>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<HeartbeatJson>,
) -> Result<Json<HeartbeatAnswerJson>, Problem> {
    // What is no id names no task of anybody.
    let running: Vec<TaskId> = body.running.iter().filter_map(|id| id.parse().ok()).collect();
    let (cancelled, draining) = engine.heartbeat(&caller, id, &running).await?;
    Ok(Json(HeartbeatAnswerJson { cancelled: cancelled.into_iter().map(Text).collect(), draining }))
}

impl<'a> From<&'a Opened> for OpenedJson<'a> {
    fn from(opened: &'a Opened) -> Self {
        Self {
            id: Text(opened.id),
            heartbeat_s: HEARTBEAT_MS / 1000,
            protocols: ProtocolsJson { min: *PROTOCOLS.start(), max: *PROTOCOLS.end() },
            contracts: opened.contracts.iter().map(AppliedJson::of).collect(),
            warnings: opened.warnings.iter().map(WarningJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Fault> for WarningJson<'a> {
    fn from(fault: &'a Fault) -> Self {
        Self { pointer: &fault.pointer, code: fault.code, message: &fault.message }
    }
}

impl<'a> SessionJson<'a> {
    fn of(view: &'a SessionView, shelf: &Shelf) -> Self {
        let session = &view.session;
        let served = |name: &String| {
            let name = ContractName::new(&session.domain, name).ok()?;
            let contract = shelf.offered_by(session.channel.as_deref(), &name);
            let capability = contract.as_ref().and_then(|contract| contract.capability());
            let operations = capability.map(|capability| capability.operations.names()).unwrap_or_default();
            let operations = operations.into_iter().map(Said::new).collect();
            let name = name.to_string();
            let version = view.serves.iter().find(|(served, _)| *served == name).map(|(_, version)| *version);
            Some(ServedJson { name, version, operations })
        };
        Self {
            id: Text(session.id),
            environment: &session.environment,
            domain: &session.domain,
            instance: &session.instance,
            mode: Mode::of_channel(session.channel.as_deref()),
            channel: session.channel.as_deref(),
            build: session.build.as_deref(),
            // The version of a library has no spaces.
            sdk: session
                .sdk
                .as_deref()
                .and_then(|sdk| sdk.rsplit_once(' '))
                .map(|(name, version)| SdkJson { name, version }),
            state: Word(session.status),
            started_at: Time(session.created_at),
            last_seen_at: Time(session.seen_at),
            ended_at: session.ended_at.map(Time),
            claimed: view.claimed,
            capabilities: session.capabilities.iter().filter_map(served).collect(),
        }
    }
}
