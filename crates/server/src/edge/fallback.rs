//! Fallbacks: what nobody else answers, the one shape for it, and the headers of every answer.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::problem::{Problem, echoed};

/// Headers of every answer that has not set them itself (the UI's pages set their own policy).
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Refuses requests whose `Accept` excludes JSON with 406, before anything happens.
///
/// A middleware for routers whose routes answer JSON: `router.layer(axum::middleware::from_fn(json_only))`.
pub async fn json_only(request: Request, next: Next) -> Response {
    if accepts_json(request.headers()) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "No acceptable answer")
        .detail("This route answers `application/json`; the `Accept` header excludes it.")
        .into_response()
}

/// Gives an answer the headers that every answer has.
pub(super) fn set_headers(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
}

/// The problem for a refusal that came without one: from the router, or from a library's extractor.
///
/// `None` when the answer is no refusal or has a body that its handler wrote on purpose.
pub(super) fn problem_of(response: &Response, path: &str) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_some_and(|kind| !kind.starts_with(b"text/plain")) {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => {
            Problem::not_found("route_not_found", format!("There is nothing at `{}`.", echoed(path)))
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok());
            let detail = format!("`{}` allows {}.", echoed(path), allowed.unwrap_or("no method"));
            Problem::new(status, "method_not_allowed", "Method not allowed").detail(detail)
        }
        _ if status.is_server_error() => Problem::internal(),
        _ => Problem::new(status, "bad_request", "The request was refused"),
    })
}

/// `TRACE` would echo headers, secrets included; it is not implemented anywhere.
pub(super) fn trace_refused() -> Problem {
    Problem::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "Not implemented")
        .detail("`TRACE` is not implemented here.")
}

/// RFC 9110 §12.5.1: the most specific range that matches `application/json` decides; weight 0 excludes it.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return true;
    }
    let mut best = (0, false);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let specific = match parts.next().unwrap_or_default() {
            kind if kind.eq_ignore_ascii_case("application/json") => 3,
            kind if kind.eq_ignore_ascii_case("application/*") => 2,
            "*/*" => 1,
            _ => continue,
        };
        let excluded = parts.any(|parameter| {
            let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        if specific > best.0 {
            best = (specific, !excluded);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides_what_is_acceptable() {
        for (accept, expected) in [
            ("", true),
            ("*/*", true),
            ("application/json", true),
            ("text/html, application/*;q=0.5", true),
            ("APPLICATION/JSON; q=1", true),
            ("application/xml", false),
            ("application/json;q=0, */*", false),
            ("*/*;q=0", false),
            ("text/html, */*;q=0.0, application/json;q=0.1", true),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_json(&headers), expected, "{accept}");
        }
    }
}
