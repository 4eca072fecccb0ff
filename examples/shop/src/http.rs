//! HTTP in and out: requests taken apart with a sentence for each mistake, answers put together.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longer keys are no identifiers any more.
const MAX_KEY_BYTES: usize = 200;

/// Why a service does not do what it was asked: the status, a stable code, and a sentence for people.
#[derive(Debug)]
pub(crate) struct Denial {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Denial {
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    /// A rule of the domain stands against it as things are now.
    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// The request can never be done as it is.
    pub(crate) fn unfit(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn missing(noun: &str, id: &str) -> Self {
        let message = format!("there is no {noun} `{id}`; it was never made, or it has been deleted");
        Self::new(StatusCode::NOT_FOUND, format!("{noun}_not_found"), message)
    }

    fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        let message = "something went wrong inside the service; its log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<rusqlite::Error> for Denial {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<serde_json::Error> for Denial {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let wire = WireDenial { code: self.code, message: self.message };
        (self.status, Json(wire)).into_response()
    }
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireDenial {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The JSON body of a request.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Denial;

    async fn from_request(request: Request, state: &S) -> Result<Self, Denial> {
        let taken = Json::<T>::from_request(request, state).await;
        taken.map(|Json(body)| Self(body)).map_err(|rejection: JsonRejection| {
            Denial::new(rejection.status(), "body_invalid", rejection.body_text())
        })
    }
}

/// The query parameters of a request.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denial> {
        let taken = Query::<T>::from_request_parts(parts, state).await;
        taken.map(|Query(params)| Self(params)).map_err(|rejection: QueryRejection| {
            Denial::new(rejection.status(), "query_invalid", rejection.body_text())
        })
    }
}

/// The `Idempotency-Key` of a request, if it has one.
pub(crate) struct Key(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Denial> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if !key.is_empty() && key.len() <= MAX_KEY_BYTES => Ok(Self(Some(key.to_owned()))),
            _ => {
                let message =
                    format!("`Idempotency-Key` has to be 1 to {MAX_KEY_BYTES} visible ASCII characters");
                Err(Denial::new(StatusCode::BAD_REQUEST, "key_invalid", message))
            }
        }
    }
}

/// The answer to a create: 201 for a new entity, 200 for the one that the same key made before.
pub(crate) enum Made<E> {
    New(E),
    Before(E),
}

impl<E: Serialize> IntoResponse for Made<E> {
    fn into_response(self) -> Response {
        match self {
            Self::New(entity) => (StatusCode::CREATED, Json(entity)).into_response(),
            Self::Before(entity) => (StatusCode::OK, Json(entity)).into_response(),
        }
    }
}

/// What a path without a route answers.
pub(crate) async fn unknown_route(request: Request) -> Denial {
    let message = format!("there is no {} {} here", request.method(), request.uri().path());
    Denial::new(StatusCode::NOT_FOUND, "route_unknown", message)
}

/// What a route answers to a method that it does not have.
pub(crate) async fn unknown_method(request: Request) -> Denial {
    let message = format!("{} cannot be asked with {}", request.uri().path(), request.method());
    Denial::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
