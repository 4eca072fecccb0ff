//! The edge: everything of HTTP that knows nothing of the domain.
//!
//! A request passes, from outside in: the accept loop with its caps (`connection`), the guard that lets only
//! sound heads and timely bodies through (`guard`, `head`, `chunks`), hyper, [`Edge::answer`] (request id, host,
//! encoding, admission, panics), the router, and in its handlers the strict extractors ([`json::Json`],
//! [`query::Query`], [`path::Path`]). Every refusal on the way is a [`problem::Problem`] and is rendered here,
//! once. Forwarding headers (`Forwarded`, `X-Forwarded-*`) are never believed: the peer is the socket's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use sixpack_engine::Name;
use tokio_util::sync::CancellationToken;
use tower::Service;

mod calls;
pub mod check;
mod chunks;
mod connection;
pub mod cursor;
mod decode;
pub mod fallback;
mod guard;
mod head;
pub mod integer;
pub mod json;
pub mod overload;
pub mod path;
pub mod problem;
pub mod query;
pub mod request_id;
mod settings;
pub mod sse;

pub use calls::{Calls, CallsOf};
pub use connection::serve;
pub use settings::{Counters, EdgeSettings, Taken};

use overload::{Admission, InFlight};
use problem::{Problem, echoed};
use request_id::{RequestId, X_REQUEST_ID, foreign_request_id};

/// The address of the socket that a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Cancelled when the server stops accepting: long polls answer "none" and streams end. An extractor; without the
/// edge in front it is a token that nobody cancels.
#[derive(Debug, Clone, Default)]
pub struct Stopping(pub CancellationToken);

/// A router with everything before and behind it but the sockets.
pub struct Edge {
    router: Router,
    settings: Arc<EdgeSettings>,
    admission: Admission,
    stopping: Stopping,
}

impl Edge {
    /// Puts the edge before `router`. [`serve`] does so itself; tests call [`Edge::answer`] without sockets.
    pub fn new(router: Router, settings: EdgeSettings, stopping: Stopping) -> Arc<Self> {
        let admission = Admission::new(&settings);
        Arc::new(Self { router, settings: Arc::new(settings), admission, stopping })
    }

    /// Answers one request of which the head is sound. Never fails: every fault is an answer.
    pub async fn answer(&self, request: Request, from: Peer) -> Response {
        self.answer_within(request, from, &InFlight::default()).await
    }

    /// As [`Edge::answer`]; the place in flight is put into `in_flight`, to be held until the answer is written.
    async fn answer_within(&self, mut request: Request, from: Peer, in_flight: &InFlight) -> Response {
        let asked = Asked::new(&request, from);
        let response = match self.admit(&request, in_flight) {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                let extensions = request.extensions_mut();
                extensions.insert(asked.id);
                extensions.insert(from);
                extensions.insert(in_flight.clone());
                extensions.insert(self.stopping.clone());
                self.route(request, &asked).await
            }
        };
        let response = self.finish(response, &asked);
        let took = (!in_flight.was_parked()).then(|| asked.at.elapsed());
        self.settings.counters.calls.note(in_flight.operation(), response.status(), took);
        response
    }

    /// Answers a request that the guard refused.
    fn refuse<B>(&self, request: &http::Request<B>, problem: Problem, from: Peer) -> Response {
        let response = self.finish(problem.into_response(), &Asked::new(request, from));
        self.settings.counters.calls.note(None, response.status(), None);
        response
    }

    fn settings(&self) -> Arc<EdgeSettings> {
        Arc::clone(&self.settings)
    }

    fn admit(&self, request: &Request, in_flight: &InFlight) -> Result<(), Problem> {
        self.check_host(request.headers())?;
        head::check_encoding(request.uri().path(), "path")?;
        head::check_encoding(request.uri().query().unwrap_or_default(), "query")?;
        check_expectation(request.headers())?;
        if request.method() == Method::TRACE {
            return Err(fallback::trace_refused());
        }
        let urgent = (self.settings.is_urgent)(request.method(), request.uri().path());
        self.admission.admit(urgent, in_flight).inspect_err(|_| self.settings.counters.overloaded.add_one())
    }

    /// A page of another site whose name was pointed at this address must not reach it.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.settings.hosts.is_empty() {
            return Ok(());
        }
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = match asked.rsplit_once(':') {
            Some((name, _)) if !asked.ends_with(']') => name,
            _ => asked,
        };
        let same = |host: &String| host.eq_ignore_ascii_case(asked) || host.eq_ignore_ascii_case(name);
        if self.settings.hosts.iter().any(same) {
            return Ok(());
        }
        let detail = format!(
            "This server does not answer for the host `{}`; the operator lists its hosts.",
            echoed(asked)
        );
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", "Unknown host").detail(detail))
    }

    async fn route(&self, request: Request, asked: &Asked) -> Response {
        let mut router = self.router.clone();
        let answering = async move { router.call(request).await };
        match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(impossible)) => match impossible {},
            Err(_) => {
                self.settings.counters.panics.add_one();
                tracing::error!(request_id = asked.id.as_str(), "a handler panicked");
                Problem::internal().into_response()
            }
        }
    }

    fn finish(&self, mut response: Response, asked: &Asked) -> Response {
        if response.extensions().get::<Problem>().is_none()
            && let Some(problem) = fallback::problem_of(&response, &asked.path)
        {
            let allow = response.headers_mut().remove(http::header::ALLOW);
            response = problem.into_response();
            if let Some(allow) = allow {
                response.headers_mut().insert(http::header::ALLOW, allow);
            }
        }
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.settings.counters.refused.of(Name::place(problem.code())).add_one();
            *response.body_mut() = Body::from(problem.render(asked.id.as_str()));
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, asked.id.header());
        fallback::set_headers(headers);
        if self.settings.access_log {
            asked.log(response.status());
        }
        response
    }
}

/// What the answer and the log need of a request after it has been taken apart.
struct Asked {
    id: RequestId,
    foreign_id: Option<String>,
    method: Method,
    path: String,
    from: Peer,
    at: Instant,
}

impl Asked {
    fn new<B>(request: &http::Request<B>, from: Peer) -> Self {
        Self {
            id: RequestId::new(),
            foreign_id: foreign_request_id(request.headers()).map(str::to_owned),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            from,
            at: Instant::now(),
        }
    }

    /// The query stays out: clients put secrets there.
    fn log(&self, status: StatusCode) {
        let duration_ms = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            request_id = self.id.as_str(),
            foreign_request_id = self.foreign_id.as_deref(),
            method = self.method.as_str(),
            route = echoed(&self.path),
            peer = %self.from.0.ip(),
            status = status.as_u16(),
            duration_ms,
            "request"
        );
    }
}

/// RFC 9110 §10.1.1 knows one expectation; silently ignoring others would promise what nobody does.
fn check_expectation(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(http::header::EXPECT) {
        Some(expected) if !expected.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Problem::new(StatusCode::EXPECTATION_FAILED, "expectation_failed", "Expectation failed")
                .detail("Only `Expect: 100-continue` is known here."))
        }
        _ => Ok(()),
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(Problem::internal)
    }
}

impl<S: Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
