//! Requests: made, read, waited for, cancelled.

pub(super) mod asked;
mod rerun;
pub(super) mod shown;

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use sixpack_engine::{Caller, Engine, RequestFilter, RequestView};
use sixpack_model::ids::RequestId;
use sixpack_model::limits::LINE_BYTES;
use sixpack_model::text::line;
use utoipa::IntoParams;

use asked::{Asked, NewRequestJson};
use shown::RequestJson;

use super::Server;
use super::auth::Authorized;
use super::body::{Document, fingerprint};
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::shapes::secret::Secrets;
use super::shapes::tree::TreeView;
use super::shapes::word::{RequestStatusWord, Word};
use super::waiting::Call;
use crate::edge::check::BODY_MAX_BYTES;
use crate::edge::integer::Int;
use crate::edge::json::{Json, accept};
use crate::edge::path::Path;
use crate::edge::problem::{Problem, ProblemFault};
use crate::edge::query::{Limit, NoParameters, Query};

/// Bytes of an idempotency key, as in the drafts of the header's standard.
pub(super) const KEY_MAX_BYTES: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Seconds that a call may be held: below the idle time-outs of common proxies.
type WaitS = Int<0, 60>;

/// How long a call is held.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitParameters {
    /// Seconds to wait for the end of the request; 0 when absent.
    #[param(inline)]
    wait_s: Option<WaitS>,
}

/// How long a call is held, and for what.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangeParameters {
    /// Seconds to wait for news; 0 when absent.
    #[param(inline)]
    wait_s: Option<WaitS>,
    /// The revision that is known: a greater one is news. When absent only the end of the request is.
    #[param(inline)]
    after: Option<Int<0, { i64::MAX }>>,
}

/// Which requests to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Only in this state.
    #[param(inline)]
    status: Option<RequestStatusWord>,
    /// Only for this contract, `domain/name`.
    contract: Option<String>,
    /// `true`: only those that refill stock; `false`: only the others.
    refills: Option<bool>,
    /// Only of this holder, exactly.
    holder: Option<String>,
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// The caller's key for a request that may be sent twice.
pub(super) struct IdempotencyKey(Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let visible = |key: &&str| {
            (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match (keys.next(), keys.next()) {
            (None, _) => Ok(Self(None)),
            (Some(key), None) if key.to_str().ok().filter(visible).is_some() => {
                Ok(Self(key.to_str().ok().map(str::to_owned)))
            }
            _ => {
                let detail = format!(
                    "`Idempotency-Key` must be there once, with 1 to {KEY_MAX_BYTES} visible ASCII characters."
                );
                Err(Problem::unreadable("bad_idempotency_key", detail))
            }
        }
    }
}

/// Makes a request and waits for it to end
///
/// A repetition with the same `Idempotency-Key` answers with the same request as it stands now.
#[utoipa::path(
    post,
    path = "/v1/requests",
    tag = "requests",
    params(
        WaitParameters,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters", min_length = 1, max_length = 255),
    ),
    request_body = NewRequestJson,
    responses(
        (status = 201, description = "The request as it stands", body = RequestJson<'_>, headers(
            ("Location" = String, description = "Where the request can be read"),
            ("Idempotency-Replayed" = Option<bool>, description = "`true` when the key was used before"),
        )),
        (status = 404, description = "`environment_not_found`, `contract_not_found`, `channel_not_found`, `dataset_not_found`", body = ProblemJson),
        (status = 409, description = "`contract_broken`, `version_gone`, `dataset_never_made`, `secret_input`", body = ProblemJson),
    )
)]
pub(super) async fn create_request(
    State(server): State<Server>,
    Authorized(caller): Authorized,
    Query(parameters): Query<WaitParameters>,
    IdempotencyKey(key): IdempotencyKey,
    call: Call,
    Document(body): Document<BODY_MAX_BYTES>,
) -> Result<Response, Problem> {
    let idempotency = key.map(|key| (key, fingerprint(&body)));
    let made = match accept::<NewRequestJson>(body)?.into_asked(idempotency) {
        Asked::Anew(wanted) => server.engine.create_request(&caller, wanted).await?,
        Asked::Again(rerun) => server.engine.rerun_dataset(&caller, rerun).await?,
    };
    // The request is made: when there is no place to wait in, it is answered as it stands.
    let wait = wait(parameters.wait_s);
    let (place, wait) = match server.waiting.park(&caller, wait, &call) {
        Ok(place) => (place, wait),
        Err(_) => (None, Duration::ZERO),
    };
    let view = tokio::select! {
        view = server.engine.wait_for_made(&caller, &made, wait) => view?,
        () = call.stopping.0.cancelled() => server.engine.request(&caller, made.id).await?,
    };
    drop(place);
    let mut response = answer(StatusCode::CREATED, &server.engine, &caller, &view).await?;
    let location = HeaderValue::try_from(format!("/v1/requests/{}", made.id)).expect("an id is ASCII");
    response.headers_mut().insert(LOCATION, location);
    if made.replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Lists requests, newest first
#[utoipa::path(get, path = "/v1/requests", tag = "requests", params(RequestParameters), responses(
    (status = 200, description = "A page of requests without their steps", body = PageJson<RequestJson<'_>>),
))]
pub(super) async fn list_requests(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<RequestParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let holder = holder(parameters.holder.clone())?;
    let RequestParameters { environment, status, contract, refills, .. } = &parameters;
    let filters = (environment, status, contract, refills, &holder);
    let listing = Listing::new("GET /v1/requests", &caller, &filters, limit, cursor)?;
    let filter = RequestFilter {
        environment: parameters.environment,
        status: parameters.status.map(|Word(status)| status),
        contract: parameters.contract,
        refills: parameters.refills,
        holder,
    };
    let found = engine.requests(&caller, filter, listing.page_as_shown()).await?;
    let now = engine.now().await?;
    let trees: Vec<Vec<TreeView<'_>>> =
        found.rows.iter().map(|view| trees_of(view, Secrets::Covered, now)).collect();
    let rows = found.rows.iter().zip(&trees);
    let items = rows.map(|(view, trees)| RequestJson::of(view, trees, Secrets::Covered, now, true)).collect();
    Ok(Json(listing.answer_as_found(items, found.next)).into_response())
}

/// Reads one request; waits for news
#[utoipa::path(get, path = "/v1/requests/{id}", tag = "requests", params(("id" = String, Path), ChangeParameters), responses(
    (status = 200, description = "The request as it stands", body = RequestJson<'_>),
    (status = 404, description = "`request_not_found`", body = ProblemJson),
))]
pub(super) async fn get_request(
    State(server): State<Server>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(RequestId,)>,
    Query(parameters): Query<ChangeParameters>,
    call: Call,
) -> Result<Response, Problem> {
    let wait = wait(parameters.wait_s);
    let after = parameters.after.map(|after| u64::try_from(after.get()).expect("a revision is not negative"));
    let place = server.waiting.park(&caller, wait, &call)?;
    let view = tokio::select! {
        view = server.engine.wait_for_request(&caller, id, after, wait) => view?,
        () = call.stopping.0.cancelled() => server.engine.request(&caller, id).await?,
    };
    drop(place);
    answer(StatusCode::OK, &server.engine, &caller, &view).await
}

/// Cancels a request; one that has ended stays as it is
#[utoipa::path(post, path = "/v1/requests/{id}/cancel", tag = "requests", params(("id" = String, Path)), responses(
    (status = 200, description = "The request as it stands", body = RequestJson<'_>),
    (status = 404, description = "`request_not_found`", body = ProblemJson),
))]
pub(super) async fn cancel_request(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(RequestId,)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let view = engine.cancel_request(&caller, id).await?;
    answer(StatusCode::OK, &engine, &caller, &view).await
}

/// A holder as a parameter names it, in the form in which it is stored: both spellings of an accent find it.
pub(super) fn holder(given: Option<String>) -> Result<Option<String>, Problem> {
    given.map(|holder| line("?holder", &holder, LINE_BYTES)).transpose().map_err(|fault| {
        Problem::unprocessable(vec![ProblemFault::new(fault.pointer, fault.code, fault.message)])
    })
}

fn wait(seconds: Option<WaitS>) -> Duration {
    Duration::from_secs(seconds.map_or(0, Int::get).unsigned_abs())
}

async fn answer(
    status: StatusCode,
    engine: &Engine,
    caller: &Caller,
    view: &RequestView,
) -> Result<Response, Problem> {
    let now = engine.now().await?;
    let secrets = Secrets::of_leases(caller, &view.leases);
    let trees = trees_of(view, secrets, now);
    let mut response = Json(RequestJson::of(view, &trees, secrets, now, false)).into_response();
    *response.status_mut() = status;
    Ok(response)
}

fn trees_of<'a>(view: &'a RequestView, secrets: Secrets, now: Timestamp) -> Vec<TreeView<'a>> {
    view.trees.iter().map(|tree| TreeView::new(tree, &view.shelf, secrets, now)).collect()
}
