//! Faults: a switch on every service that breaks it on purpose, for demonstrations and tests.
//!
//! ```text
//! none --PUT /admin/fault--> down (503) | slow (late) | reject (409 for creates) --PUT /admin/fault--> none
//! ```

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::http::{Body, Denial};
use crate::service::Service;
use crate::state::states;

/// No client waits longer, and a forgotten switch shall not tie up connections for hours.
const MAX_DELAY_MS: u64 = 60_000;

states! {
    /// How a service is broken.
    FaultMode {
        /// It works.
        None = "none",
        /// Everything but the admin routes answers 503, the delivery of events to it included.
        Down = "down",
        /// Everything but the admin routes answers `delay_ms` late.
        Slow = "slow",
        /// Creates are refused with 409, as if a rule of the domain stood against them.
        Reject = "reject",
    }
}

/// What `PUT /admin/fault` takes. It lasts until the next one, or until the service ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// How the service is broken.
    pub mode: FaultMode,
    /// How late a slow service answers.
    #[serde(default)]
    pub delay_ms: u64,
    /// The code of the refusal of a rejecting service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The sentence of the refusal of a service that is down or rejects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Breaks only the routes of this collection, such as `accounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

impl Fault {
    /// A fault of all routes with the usual messages.
    pub fn new(mode: FaultMode) -> Self {
        Self { mode, delay_ms: 0, code: None, message: None, only: None }
    }

    /// Whether this fault concerns a path. Admin routes always work: they are the way back.
    fn strikes(&self, path: &str) -> bool {
        let collection = path.trim_start_matches('/').split('/').next().unwrap_or("");
        collection != "admin" && self.only.as_ref().is_none_or(|only| only == collection)
    }
}

/// `PUT /admin/fault`.
pub(crate) async fn set(
    State(service): State<Service>,
    Body(fault): Body<Fault>,
) -> Result<StatusCode, Denial> {
    if fault.delay_ms > MAX_DELAY_MS {
        let message = format!("`delay_ms` is {}, and {MAX_DELAY_MS} is the most", fault.delay_ms);
        return Err(Denial::unfit("delay_too_long", message));
    }
    service.faults().send_replace(fault);
    Ok(StatusCode::NO_CONTENT)
}

/// Stands before all routes and answers in their place while the switch says so.
pub(crate) async fn intercept(State(service): State<Service>, request: Request, next: Next) -> Response {
    let mut faults = service.faults().subscribe();
    let fault = faults.borrow_and_update().clone();
    let path = request.uri().path();
    if !fault.strikes(path) {
        return next.run(request).await;
    }
    let name = service.name();
    match fault.mode {
        FaultMode::None => {}
        FaultMode::Down => {
            let message = fault.message.unwrap_or_else(|| format!("{name} is down; try again later"));
            return Denial::new(StatusCode::SERVICE_UNAVAILABLE, "down", message).into_response();
        }
        FaultMode::Slow => {
            let delay = tokio::time::sleep(Duration::from_millis(fault.delay_ms));
            tokio::select! {
                () = delay => {}
                // Whoever mends the service sets free those who wait.
                _ = faults.changed() => {}
            }
        }
        FaultMode::Reject if is_create(request.method(), path) => {
            let code = fault.code.unwrap_or_else(|| "not_accepted".to_owned());
            let message =
                fault.message.unwrap_or_else(|| format!("{name} accepts nothing new at the moment"));
            return Denial::conflict(&code, message).into_response();
        }
        FaultMode::Reject => {}
    }
    next.run(request).await
}

/// A `POST` to a whole collection; events are told, not created.
fn is_create(method: &Method, path: &str) -> bool {
    let inner = path.trim_start_matches('/');
    method == Method::POST && !inner.contains('/') && inner != "events"
}
