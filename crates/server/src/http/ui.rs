//! The browser application: its page for every address of it, and the files that the page loads.
//!
//! The files are put into the program by `build.rs`, as `npm run build` has left them in `web/dist`. A program that was
//! built without them says so in place of the page.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use super::Server;

/// What the page may do: load what this server has, and nothing else. No text ever becomes a script or markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Pages of other sites can neither hold a handle on ours nor load its files.
const APART: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The names of these files change with what is in them.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Other files are asked for anew each day.
const FOR_A_DAY: &str = "public, max-age=86400";

const WITHOUT_PAGES: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Sixpack</title>\n\
    <p>Sixpack runs. This program was built without its pages: run <code>npm ci</code> and <code>npm run build</code> \
    in <code>web/</code>, then build it again. The command line and the API under <code>/v1</code> have everything.</p>\n";

/// A file of the application.
struct Asset {
    path: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    /// The same compressed, where that is worth it.
    gzip: Option<&'static [u8]>,
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Routes of the application; everybody may load it, since without a token it shows nothing.
pub(super) fn router() -> Router<Server> {
    Router::new()
        .route("/", get(page))
        .route("/sign-in", get(page))
        .route("/settings", get(page))
        .route("/env/{*rest}", get(page))
        .route("/assets/{file}", get(asset))
        .route("/favicon.svg", get(asset))
}

async fn page(headers: HeaderMap) -> Response {
    let mut response = match find("/index.html") {
        Some(page) => answer(page, &headers, "no-cache"),
        None => ([(CONTENT_TYPE, "text/html; charset=utf-8")], WITHOUT_PAGES).into_response(),
    };
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

async fn asset(uri: Uri, headers: HeaderMap) -> Response {
    match find(uri.path()) {
        Some(asset) if asset.path.starts_with("/assets/") => answer(asset, &headers, FOR_EVER),
        Some(asset) => answer(asset, &headers, FOR_A_DAY),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

fn answer(asset: &Asset, headers: &HeaderMap, kept: &'static str) -> Response {
    let compressed = asset.gzip.filter(|_| takes_gzip(headers));
    let mut response = axum::body::Body::from(compressed.unwrap_or(asset.plain)).into_response();
    let answered = response.headers_mut();
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    answered.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    answered.insert(VARY, HeaderValue::from_static("accept-encoding"));
    answered.extend(APART);
    if compressed.is_some() {
        answered.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut takes = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.split(';').map(str::trim));
    takes.any(|mut parts| {
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_compressed_for_those_who_take_it() {
        for (accepted, expected) in [
            ("gzip, deflate, br", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        }
    }

    #[test]
    fn nothing_of_the_policy_is_unsafe_and_nothing_comes_from_elsewhere() {
        assert!(!POLICY.contains("unsafe") && !POLICY.contains("http") && !POLICY.contains('*'));
        assert!(POLICY.contains("frame-ancestors 'none'") && POLICY.contains("default-src 'none'"));
    }
}
