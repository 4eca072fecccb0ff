//! JSON bodies: read strictly, decoded into a request type, checked; every refusal with its place.

use std::io;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

mod parse;

pub use parse::{
    DEPTH_MAX, JsonFault, KEY_MAX_BYTES, LongTexts, NUMBER_MAX, TEXT_MAX_BYTES, VALUES_MAX, parse,
    parse_within,
};

use super::check::{Check, Faults};
use super::decode::{Misfit, decode};
use super::problem::{Problem, ProblemFault};

/// A JSON body: as an extractor strict and checked, as an answer plain.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// Decodes and checks a request type that came as a parsed value, with all the strictness of [`Json`].
///
/// # Errors
/// 422 with pointers into the value.
pub fn accept<T: DeserializeOwned + Check>(value: Value) -> Result<T, Problem> {
    let body: T = decode(object(value)?).map_err(unprocessable)?;
    let mut faults = Faults::default();
    body.check(&mut faults);
    faults.into_result()?;
    Ok(body)
}

/// A value that is an object, as every body is.
///
/// # Errors
/// 422 `type`.
pub fn object(value: Value) -> Result<Value, Problem> {
    if value.is_object() { Ok(value) } else { Err(unprocessable(Misfit::new("type", "expected an object"))) }
}

/// Reads a JSON body of at most so many bytes and values, strictly.
///
/// # Errors
/// 415, those of [`read_body`], and those of [`parse_within`].
pub async fn read_value(
    request: Request,
    max_bytes: usize,
    max_values: usize,
    long_texts: LongTexts,
) -> Result<Value, Problem> {
    check_content(request.headers())?;
    let bytes = read_body(request, max_bytes).await?;
    // The bytes go with the end of this function: a large body must not be there twice for longer than parsing takes.
    parse_within(&bytes, max_values, long_texts).map_err(Problem::from)
}

impl<S, T> FromRequest<S> for Json<T>
where
    S: Sync,
    T: DeserializeOwned + Check,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let value = read_value(request, T::BODY_MAX_BYTES, VALUES_MAX, T::LONG_TEXTS).await?;
        accept(value).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let mut response = Response::new(Body::from(body));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => {
                tracing::error!(err = %error, "an answer cannot be written as JSON");
                Problem::internal().into_response()
            }
        }
    }
}

/// Reads a body of at most `max_bytes`.
///
/// # Errors
/// 413 `body_too_large`, 408 `body_timeout`, 400 `bad_body` when it ends early or its chunks are broken.
pub async fn read_body(request: Request, max_bytes: usize) -> Result<Bytes, Problem> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let declared = declared.and_then(|length| length.parse::<usize>().ok());
    // Decided before the body is touched, so that a client that waits for "continue" never sends it.
    if declared.is_some_and(|length| length > max_bytes) {
        return Err(too_large(max_bytes));
    }
    // Read into one piece of the declared length: collected frame by frame, a large body would be there twice.
    let mut bytes = Vec::with_capacity(declared.unwrap_or_default());
    let mut body = Limited::new(request.into_body(), max_bytes);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large(max_bytes)),
            Err(error) => return Err(unreadable(&*error)),
        }
    }
    Ok(Bytes::from(bytes))
}

fn check_content(headers: &HeaderMap) -> Result<(), Problem> {
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let detail = "Request bodies are not decompressed; send the body without `Content-Encoding`.";
        return Err(unsupported("content_encoding", detail));
    }
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    match (kinds.next().and_then(|kind| kind.to_str().ok()), kinds.next()) {
        (Some(kind), None) if is_json(kind) => Ok(()),
        _ => Err(unsupported("content_type", "The body must be sent as `Content-Type: application/json`.")),
    }
}

fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    })
}

fn unprocessable(misfit: Misfit) -> Problem {
    let item: ProblemFault = misfit.into_fault();
    Problem::unprocessable(vec![item])
}

fn unsupported(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, "Unsupported media type").detail(detail)
}

fn too_large(max_bytes: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
        .detail(format!("The body of this request may have at most {max_bytes} bytes."))
        .closing()
}

fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if this.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "The request came too slowly")
                .detail("The body was not complete in time; nothing was done.")
                .closing();
        }
        cause = this.source();
    }
    Problem::unreadable("bad_body", "The body ended early or its chunks are broken; nothing was done.")
        .closing()
}

#[cfg(test)]
mod tests;
