//! The connection to a server: one HTTP client for very many parallel long polls.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::clock::Moment;
use crate::retry::{Trouble, delay_before_retry};
use crate::wire::Problem;

/// Longest time to find and greet the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for an answer, beyond what the call itself asks the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than the time after which servers close idle connections, so that a call rarely meets a closing one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers above this are not ours: the largest legal one is a page of 1,000 datasets.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A server's address, a token, and the connections to it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    base: Url,
    patience: Duration,
}

/// One call, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    wait: Duration,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Connects lazily; a wrong address or token form is refused here, an absent server at the first call.
    pub(crate) fn new(url: &str, token: Option<&str>, patience: Duration) -> Result<Self, Error> {
        let base = parse_base(url)?;
        // Whoever installed one first wins; both are fit.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Error::Usage("the token holds characters that no token has".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("sixpack-rust/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(usize::MAX)
            .tcp_nodelay(true)
            .http1_only()
            // The API never redirects, and a token must not follow where a stranger points.
            .redirect(reqwest::redirect::Policy::none());
        if base.scheme() == "http" {
            // Without TLS there is nothing to verify: do not read the system's certificates, which may be absent.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Error::Connection {
            url: base.to_string(),
            reason: format!("the HTTP client cannot start: {}", chain(&error)),
        })?;
        Ok(Self { inner: Arc::new(Inner { client, base, patience }) })
    }

    /// How long calls are repeated while the server cannot be reached.
    pub(crate) fn patience(&self) -> Duration {
        self.inner.patience
    }

    /// A call to the path made of `segments`, each percent-encoded as a whole.
    pub(crate) fn call(&self, method: Method, segments: &[&str]) -> Call {
        let mut url = self.inner.base.clone();
        url.path_segments_mut()
            .expect("the base address was checked to be http")
            .pop_if_empty()
            .extend(segments);
        Call { method, url, headers: HeaderMap::new(), body: None, wait: Duration::ZERO }
    }

    /// Sends once. Says in [`Trouble`] whether repeating may help, beside the error to show.
    pub(crate) async fn send_once(&self, call: &Call) -> Result<Answer, (Trouble, Error)> {
        let response = self.open(call, Some(call.wait + ANSWER_TIMEOUT)).await?;
        let body = read(response).await.map_err(|error| self.broken(&error))?;
        if body.len() > MAX_ANSWER_BYTES {
            let reason = format!("it is larger than {MAX_ANSWER_BYTES} bytes");
            return Err((Trouble::Connection, Error::Unreadable { what: "the answer".into(), reason }));
        }
        Ok(Answer { body })
    }

    /// Sends until there is an answer, repeating what may be repeated while patience lasts.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let began = Moment::now();
        for tries in 1.. {
            let (trouble, error) = match self.send_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let elapsed = Moment::now().since(began);
            match delay_before_retry(&trouble, tries, elapsed, self.inner.patience, fastrand::f64()) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
        unreachable!("an endless loop ends by returning")
    }

    /// Opens an answer whose body is read by the caller, without a time limit on the body.
    pub(crate) async fn open_stream(&self, call: &Call) -> Result<reqwest::Response, (Trouble, Error)> {
        self.open(call, None).await
    }

    /// The error for a connection that broke while its body was read.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> (Trouble, Error) {
        let url = self.inner.base.to_string();
        (Trouble::Connection, Error::Connection { url, reason: chain(error) })
    }

    async fn open(
        &self,
        call: &Call,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, (Trouble, Error)> {
        let mut request =
            self.inner.client.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = read(response).await.map_err(|error| self.broken(&error))?;
        let problem = read_problem(status, &body);
        let trouble = Trouble::Status { status, code: problem.code.clone(), retry_after };
        Err((trouble, Error::Problem(Box::new(problem))))
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base", &self.inner.base.as_str()).finish_non_exhaustive()
    }
}

impl Call {
    /// Adds the fields of `query`; absent options are left out.
    pub(crate) fn query(mut self, query: &impl Serialize) -> Self {
        let pairs = serde_json::to_value(query).expect("filters are plain structs");
        for (name, value) in pairs.as_object().expect("filters are structs") {
            self = match value {
                serde_json::Value::Null => self,
                serde_json::Value::String(text) => self.pair(name, text),
                other => self.pair(name, &other.to_string()),
            };
        }
        self
    }

    /// Adds one field of the query.
    pub(crate) fn pair(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Asks the server to hold the answer for `wait_s`.
    pub(crate) fn wait_s(mut self, wait_s: u64) -> Self {
        self.wait = Duration::from_secs(wait_s);
        if wait_s == 0 { self } else { self.pair("wait_s", &wait_s.to_string()) }
    }

    /// Allows the answer to take `wait` longer, when the body says how long the server should hold it.
    pub(crate) fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets the body.
    pub(crate) fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Usage(format!("the body cannot be written as JSON: {error}")))?;
        Ok(self.body("application/json", body))
    }

    /// Sets a body of another type.
    pub(crate) fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body);
        self
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::Usage(format!("{name} must be visible ASCII characters")))?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }
}

impl Answer {
    /// Reads the body as JSON; `what` names it in the error.
    pub(crate) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Unreadable { what: what.to_owned(), reason: error.to_string() })
    }

    /// Reads the body as text; `what` names it in the error.
    pub(crate) fn text(self, what: &str) -> Result<String, Error> {
        String::from_utf8(self.body)
            .map_err(|error| Error::Unreadable { what: what.to_owned(), reason: error.to_string() })
    }
}

fn parse_base(url: &str) -> Result<Url, Error> {
    let refuse = |why: &str| {
        Error::Usage(format!("`{url}` is no address of a server: {why}; it looks like http://127.0.0.1:6776"))
    };
    let base = Url::parse(url).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(refuse("it must begin with http:// or https://"));
    }
    if !base.username().is_empty()
        || base.password().is_some()
        || base.query().is_some()
        || base.fragment().is_some()
    {
        return Err(refuse("it must not hold a user name, a query or a fragment"));
    }
    Ok(base)
}

fn is_loopback(base: &Url) -> bool {
    match base.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        None => false,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

fn read_problem(status: u16, body: &[u8]) -> Problem {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) if !problem.code.is_empty() => problem,
        // Something between us and the server answered.
        _ => Problem {
            status,
            code: "not_sixpack".into(),
            detail: "the answer is not one of a Sixpack server; check the address and what stands in between"
                .into(),
            ..Problem::default()
        },
    }
}

/// Reads a body, and stops soon after it has become too large.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() <= MAX_ANSWER_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The deepest causes that an error line names: what failed, and why. Those above only say that something did.
const CAUSES_SHOWN: usize = 2;

/// Why a call failed, in one line; `reqwest` hides the cause that matters deepest.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source().map(|cause| cause as _));
    let mut causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.dedup_by(|inner, outer| outer.contains(inner.as_str()));
    causes.split_off(causes.len().saturating_sub(CAUSES_SHOWN)).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RequestFilter, RequestStatus};

    fn http(url: &str) -> Http {
        Http::new(url, Some("sxp_secret"), Duration::ZERO).unwrap()
    }

    #[test]
    fn an_address_keeps_its_prefix_and_encodes_its_segments() {
        let call = http("http://127.0.0.1:6776/tools/").call(Method::GET, &["v1", "datasets", "a/b?c"]);
        assert_eq!(call.url.as_str(), "http://127.0.0.1:6776/tools/v1/datasets/a%2Fb%3Fc");
    }

    #[test]
    fn a_filter_sends_only_what_is_set() {
        let filter =
            RequestFilter { status: Some(RequestStatus::Failed), limit: Some(5), ..RequestFilter::default() };
        let call = http("http://localhost").call(Method::GET, &["v1", "requests"]).query(&filter).wait_s(0);
        let pairs: std::collections::BTreeMap<_, _> = call.url.query_pairs().into_owned().collect();
        assert_eq!(pairs, [("limit".into(), "5".into()), ("status".into(), "failed".into())].into());
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_an_example() {
        for url in ["", "127.0.0.1:6776", "ftp://x", "http://user:pw@x", "http://x?token=1"] {
            let error = Http::new(url, None, Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:6776"), "{url}: {error}");
        }
    }

    #[test]
    fn the_token_never_shows_in_debug_output() {
        assert!(!format!("{:?}", http("http://localhost")).contains("secret"));
    }

    #[test]
    fn an_answer_of_somebody_else_becomes_a_problem_that_says_so() {
        let problem = read_problem(502, b"<html>bad gateway</html>");
        assert_eq!((problem.status, problem.code.as_str()), (502, "not_sixpack"));
    }

    #[tokio::test]
    async fn an_absent_server_is_named() {
        // A port that was free a moment ago: nobody answers there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let http = http(&url);
        let error = http.send(&http.call(Method::GET, &["version"])).await.unwrap_err();
        assert!(matches!(&error, Error::Connection { .. }), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
        assert!(error.to_string().contains("refused") && !error.to_string().contains("/version"), "{error}");
    }
}
