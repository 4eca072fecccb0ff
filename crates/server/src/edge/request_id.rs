//! Request ids: every answer carries one of ours; one that the client sent is only logged beside it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The header that carries the id, on the way in and out.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest foreign id that is logged: enough for every tracing format in use.
const FOREIGN_MAX_BYTES: usize = 64;

/// The id of one request at this server. Handlers take it as an extractor.
#[derive(Debug, Clone, Copy)]
pub struct RequestId {
    text: [u8; Hyphenated::LENGTH],
}

impl RequestId {
    /// A new id; ids sort by time.
    pub(super) fn new() -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self { text }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("a hyphenated id is ASCII")
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.text).expect("a hyphenated id is a header value")
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    /// Without the edge in front (a router tested alone) the id is a new one.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_else(Self::new))
    }
}

/// The client's own id for the request, when there is exactly one and it is fit for a log.
pub(super) fn foreign_request_id(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(&X_REQUEST_ID).iter();
    let (Some(id), None) = (all.next(), all.next()) else { return None };
    let id = id.to_str().ok()?;
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=FOREIGN_MAX_BYTES).contains(&id.len()) && id.bytes().all(fit)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_foreign_id_is_taken() {
        for (id, taken) in [("ci-4711_a.b", true), ("", false), ("a b", false), (&"x".repeat(65), false)] {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(id).unwrap())]);
            assert_eq!(foreign_request_id(&headers).is_some(), taken, "{id}");
        }
        let mut twice = HeaderMap::new();
        twice.append(X_REQUEST_ID, HeaderValue::from_static("a"));
        twice.append(X_REQUEST_ID, HeaderValue::from_static("b"));
        assert_eq!(foreign_request_id(&twice), None);
    }
}
