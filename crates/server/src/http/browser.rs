//! Browsers: a token in a cookie that no script can read, which counts only for calls of our own pages.
//!
//! A cookie is sent by the browser whoever caused the call, so it is believed only when the browser says that the call
//! comes from a page of this server: by `Sec-Fetch-Site`, or where a browser does not send that, by `Origin`.

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::edge::problem::Problem;

/// How long a browser stays signed in: a working day, so that a machine left alone is not signed in for ever.
const SIGNED_IN_S: u64 = 12 * 60 * 60;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The token in the cookie of this server; the first one where a browser sends several.
pub(super) fn token(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let name = cookie_name(headers, secure);
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(given, _)| *given == name).map(|(_, token)| token)
}

/// The `Set-Cookie` that signs a browser in.
pub(super) fn signed_in(headers: &HeaderMap, secure: bool, token: &str) -> HeaderValue {
    set_cookie(headers, secure, token, SIGNED_IN_S)
}

/// The `Set-Cookie` that makes a browser forget.
pub(super) fn signed_out(headers: &HeaderMap, secure: bool) -> HeaderValue {
    set_cookie(headers, secure, "", 0)
}

/// Refuses calls that a browser sends with a cookie and that do not come from our own pages.
///
/// Reading needs no proof where a browser gives none: an answer cannot be read by the page of another site.
pub(super) fn check_own_page(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let reads = method == Method::GET || method == Method::HEAD;
    match origin_of_call(headers) {
        Some(true) => Ok(()),
        None if reads => Ok(()),
        Some(false) | None => Err(foreign_page()),
    }
}

/// Refuses calls without a token that a browser sends for a page of another site.
///
/// A server for development takes calls without a token, and then also those of programs that are no browsers.
pub(super) fn check_not_foreign_page(headers: &HeaderMap) -> Result<(), Problem> {
    match origin_of_call(headers) {
        Some(false) => Err(foreign_page()),
        Some(true) | None => Ok(()),
    }
}

/// Whether the call comes from a page of this server; `None` when nothing says where from.
fn origin_of_call(headers: &HeaderMap) -> Option<bool> {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        // `none` is a person's own doing, such as an address that was typed.
        return Some(site == "same-origin" || site == "none");
    }
    let origin = headers.get(ORIGIN)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    Some(authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host)))
}

fn foreign_page() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "foreign_page", "Not from a page of this server").detail(
        "A browser's sign-in counts only for the pages of this server; send a token as `Authorization: Bearer sxp_…`.",
    )
}

/// Browsers keep cookies by host, whatever the port: the name tells two servers on one machine apart. Behind TLS the
/// prefix has the browser hold that no other host can have set it.
fn cookie_name(headers: &HeaderMap, secure: bool) -> String {
    if secure {
        return "__Host-sixpack".to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    let port: String = port.chars().filter(char::is_ascii_digit).collect();
    format!("sixpack-{port}")
}

fn set_cookie(headers: &HeaderMap, secure: bool, token: &str, lifetime_s: u64) -> HeaderValue {
    let name = cookie_name(headers, secure);
    let mark = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={token}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Strict{mark}");
    let mut value = HeaderValue::from_str(&cookie).expect("names and good tokens are visible characters");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_calls_of_our_own_pages_count() {
        for (name, reads, writes, given) in [
            ("our own page", true, true, &[(SEC_FETCH_SITE, "same-origin")][..]),
            ("an address that was typed", true, true, &[(SEC_FETCH_SITE, "none")]),
            ("another port of this machine", false, false, &[(SEC_FETCH_SITE, "same-site")]),
            ("another site", false, false, &[(SEC_FETCH_SITE, "cross-site")]),
            (
                "a claim beside the truth",
                false,
                false,
                &[(SEC_FETCH_SITE, "cross-site"), (ORIGIN, "http://a:1")],
            ),
            ("an older browser", true, true, &[(ORIGIN, "http://A:1")]),
            ("an older browser elsewhere", false, false, &[(ORIGIN, "http://b:1")]),
            ("a page without an origin", false, false, &[(ORIGIN, "null")]),
            ("nothing said", true, false, &[]),
        ] {
            let mut headers = headers(given);
            headers.insert(HOST, HeaderValue::from_static("a:1"));
            assert_eq!(check_own_page(&Method::GET, &headers).is_ok(), reads, "{name}, reading");
            assert_eq!(check_own_page(&Method::POST, &headers).is_ok(), writes, "{name}, writing");
        }
    }

    #[test]
    fn servers_on_one_machine_have_cookies_of_their_own() {
        let cookies = "sixpack-1=sxp_a; sixpack-2=sxp_b;__Host-sixpack=sxp_c; sixpack-80=sxp_d";
        for (host, secure, expected) in [
            ("a:1", false, Some("sxp_a")),
            ("a:2", false, Some("sxp_b")),
            ("a:3", false, None),
            ("a", false, Some("sxp_d")),
            ("a:1", true, Some("sxp_c")),
        ] {
            let mut headers = headers(&[(COOKIE, cookies)]);
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(token(&headers, secure), expected, "{host} {secure}");
        }
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_sites() {
        let headers = headers(&[(HOST, "sixpack.example.org")]);
        assert_eq!(
            signed_in(&headers, true, "sxp_a"),
            "__Host-sixpack=sxp_a; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(signed_out(&headers, false), "sixpack-80=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}
