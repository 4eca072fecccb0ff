//! Events: followed as they are committed.

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use futures::stream::{self, Stream, StreamExt};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use sixpack_engine::{Caller, Engine, EventFilter};
use sixpack_model::event::Event;
use sixpack_model::ids::{DatasetId, RequestId};
use sixpack_model::token::Role;
use utoipa::IntoParams;

use super::Server;
use super::auth::Authorized;
use super::document::ProblemJson;
use super::shapes::event::EventJson;
use super::shapes::scalar::Text;
use super::waiting::Call;
use crate::edge::integer::Int;
use crate::edge::problem::Problem;
use crate::edge::query::Query;
use crate::edge::sse::{KEEP_ALIVE, SseEvent, sse};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long one look waits for news; the stream goes on with the next.
const LOOK: Duration = Duration::from_secs(30);

/// How far back a stream may begin without an id: what a person looks through, and one look of the store.
type Back = Int<0, 1_000>;

/// Kinds of events that only administrators see begin with this.
const ABOUT_TOKENS: &str = "token.";

/// Which events to follow.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParameters {
    /// Only of this environment.
    environment: Option<String>,
    /// Only of this request.
    #[param(value_type = Option<String>)]
    request: Option<Text<RequestId>>,
    /// Only of the tree of this dataset.
    #[param(value_type = Option<String>)]
    dataset: Option<Text<DatasetId>>,
    /// Begins so many events before now, those that the other filters leave out counted as well; nothing beside `Last-Event-ID`.
    #[param(inline)]
    back: Option<Back>,
}

/// Where to go on.
pub(super) struct LastEventId(Option<u64>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(given) = parts.headers.get(LAST_EVENT_ID) else { return Ok(Self(None)) };
        let id = given.to_str().ok().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
        match id.and_then(|id| id.parse().ok()) {
            Some(id) => Ok(Self(Some(id))),
            None => Err(Problem::unreadable(
                "bad_event_id",
                "`Last-Event-ID` must be the `id` of an event, or `0`.",
            )),
        }
    }
}

/// Follows events as server-sent events
///
/// Begins now, or behind `Last-Event-ID`; `0` begins with the oldest.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(
    EventParameters,
    ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen"),
), responses(
    (status = 200, description = "`id`, `event` and `data` (an event as JSON) for each event; a comment every 15 s", body = EventJson<'_>, content_type = "text/event-stream"),
    (status = 410, description = "`events_gone`: some of those behind the last one seen are not kept any more", body = ProblemJson),
))]
pub(super) async fn follow_events(
    State(server): State<Server>,
    Authorized(caller): Authorized,
    Query(parameters): Query<EventParameters>,
    LastEventId(after): LastEventId,
    call: Call,
) -> Result<Response, Problem> {
    let after = match after {
        Some(after) if server.engine.has_missed_events(after).await? => return Err(missed(after)),
        Some(after) => after,
        None => {
            let back = parameters.back.map_or(0, Int::get).unsigned_abs();
            server.engine.last_event().await?.saturating_sub(back)
        }
    };
    let filter = EventFilter {
        environment: parameters.environment,
        request: parameters.request.map(|Text(request)| request),
        tree: parameters.dataset.map(|Text(dataset)| dataset.tree),
    };
    let place = server.waiting.park_stream(&caller, &call)?;
    let events = follow(server.engine.clone(), caller, filter, after);
    Ok(sse(events, call.stopping, place, KEEP_ALIVE))
}

/// Somebody who was away for longer than events are kept must look at everything anew, and not believe that nothing has happened.
fn missed(after: u64) -> Problem {
    Problem::new(StatusCode::GONE, "events_gone", "Events are gone").detail(format!(
        "Some of the events behind {after} were kept for as long as they are, and are gone. Read what you need to know, then          follow from now on without `Last-Event-ID`, or from the oldest that is left with `0`."
    ))
}

/// The events behind `after` as they come; ends when they cannot be read, and the client goes on where it was.
fn follow(engine: Engine, caller: Caller, filter: EventFilter, after: u64) -> impl Stream<Item = SseEvent> {
    let batches =
        stream::unfold((engine, caller, filter, after), |(engine, caller, filter, after)| async move {
            match engine.follow_events(&caller, &filter, after, LOOK).await {
                Ok((events, after)) => {
                    let visible =
                        |event: &&Event| caller.role == Role::Admin || !event.kind.starts_with(ABOUT_TOKENS);
                    let shown: Vec<SseEvent> = events.iter().filter(visible).map(sse_event).collect();
                    Some((shown, (engine, caller, filter, after)))
                }
                Err(refusal) => {
                    tracing::warn!(error = &refusal as &dyn std::error::Error, "events cannot be read");
                    None
                }
            }
        });
    batches.map(stream::iter).flatten()
}

fn sse_event(event: &Event) -> SseEvent {
    SseEvent {
        id: Some(event.sequence.to_string()),
        event: Some(event.kind.to_string()),
        data: serde_json::to_string(&EventJson(event)).expect("an event is made of texts and numbers"),
    }
}
