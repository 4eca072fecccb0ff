//! Waiting: parked calls take a place of their own, give it back when they end, and end early when the server stops.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use sixpack_engine::Caller;
use sixpack_model::ids::SessionId;

use crate::CLAIMS_PER_SESSION;
use crate::edge::overload::{InFlight, LongPolls, POLLS_MAX, PollPlace};
use crate::edge::problem::Problem;
use crate::edge::{Counters, Stopping};

/// The places of parked calls.
#[derive(Clone)]
pub(super) struct Places {
    by_token: LongPolls,
    by_session: LongPolls,
}

impl Places {
    pub(super) fn new(per_token: usize, counters: &Counters) -> Self {
        let by_token = LongPolls::new(per_token, POLLS_MAX);
        // Every call that waits has a place of its token.
        by_token.counted_by(&counters.parked, POLLS_MAX);
        Self { by_token, by_session: LongPolls::new(CLAIMS_PER_SESSION, POLLS_MAX) }
    }

    /// A place for a call that waits `wait`; none is needed for one that does not.
    pub(super) fn park(
        &self,
        caller: &Caller,
        wait: Duration,
        call: &Call,
    ) -> Result<Option<PollPlace>, Problem> {
        if wait.is_zero() {
            return Ok(None);
        }
        self.by_token.park(&caller.token.to_string(), &call.in_flight).map(Some)
    }

    /// A place for a stream, which lasts until one of both sides ends it.
    pub(super) fn park_stream(&self, caller: &Caller, call: &Call) -> Result<PollPlace, Problem> {
        self.by_token.park(&caller.token.to_string(), &call.in_flight)
    }

    /// Places for a claim, which is held to its session's share as well.
    pub(super) fn park_claim(
        &self,
        caller: &Caller,
        session: SessionId,
        wait: Duration,
        call: &Call,
    ) -> Result<Option<(PollPlace, PollPlace)>, Problem> {
        if wait.is_zero() {
            return Ok(None);
        }
        let of_session = self.by_session.park(&session.to_string(), &call.in_flight)?;
        let of_token = self.by_token.park(&caller.token.to_string(), &call.in_flight)?;
        Ok(Some((of_session, of_token)))
    }
}

/// What a call needs to be parked.
pub(super) struct Call {
    in_flight: InFlight,
    pub(super) stopping: Stopping,
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            in_flight: InFlight::from_request_parts(parts, state).await?,
            stopping: Stopping::from_request_parts(parts, state).await?,
        })
    }
}
