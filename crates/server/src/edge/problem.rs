//! Problems: every refusal of the server in the one documented shape of RFC 9457.
//!
//! A problem travels inside the answer until the edge renders it, because only the edge knows the request id.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

/// Faults listed in one problem; who sends more wrong things than this will read the first ones first.
pub const FAULTS_MAX: usize = 50;

/// Characters of foreign input that a message repeats: enough to recognise it, too few to be a payload.
pub const ECHO_MAX_CHARS: usize = 64;

/// One refusal: what happened, where, why, and what to do next.
///
/// `code` is stable and documented, `detail` is for people and may change.
#[derive(Debug, Clone)]
pub struct Problem {
    inner: Box<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<ProblemFault>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One fault among the `errors` of a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemFault {
    /// JSON Pointer into the body (`/lease/ttl_s`, empty for the whole), or `?name` for a query parameter.
    pub pointer: String,
    /// Stable name of the kind of fault.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
    /// File the fault is in, as the sender named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Length of the faulty text in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The wire form of a problem.
#[derive(Serialize)]
struct Rendered<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ProblemFault],
    #[serde(flatten)]
    members: &'a Map<String, Value>,
    request_id: &'a str,
}

impl Problem {
    /// Starts a problem; `detail` is empty and equals the title until it is set.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        let (errors, members, headers) = (Vec::new(), Map::new(), Vec::new());
        Self {
            inner: Box::new(Inner { status, code, title, detail: String::new(), errors, members, headers }),
        }
    }

    /// 400: the request could not be read.
    pub fn unreadable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request cannot be read").detail(detail)
    }

    /// 404: absent, or not the asker's; both look the same on purpose.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "Not found").detail(detail)
    }

    /// 422: readable, but wrong. The first fault gives the problem its code.
    pub fn unprocessable(errors: Vec<ProblemFault>) -> Self {
        let code = errors.first().map_or("invalid", |first| first.code);
        let detail = match errors.as_slice() {
            [only] => only.told(),
            several => format!("The request has {} faults; see `errors`.", several.len()),
        };
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The request is not valid").detail(detail);
        problem.inner.errors = errors;
        problem.inner.errors.truncate(FAULTS_MAX);
        problem
    }

    /// 500: a fault of the server. It says nothing of the cause; the log does, under the same request id.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server made a mistake").detail(
            "The server failed to answer. Ask again; if it fails again, report the `request_id` to the operators.",
        )
    }

    /// Sets the sentence that says what happened and what to do next. Foreign input in it must be [`echoed`].
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = detail.into();
        self
    }

    /// Adds one fault; those beyond [`FAULTS_MAX`] are left out.
    #[must_use]
    pub fn fault(mut self, item: ProblemFault) -> Self {
        if self.inner.errors.len() < FAULTS_MAX {
            self.inner.errors.push(item);
        }
        self
    }

    /// Adds what is told to machines beside the text, under a name of its own.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: Value) -> Self {
        self.inner.members.insert(name.to_owned(), value);
        self
    }

    /// Says when asking again makes sense.
    #[must_use]
    pub fn retry_after_s(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the answer, such as `Allow` or `WWW-Authenticate`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.inner.headers.push((name, value));
        self
    }

    /// Ends the connection after this answer, because what follows on it cannot be trusted or is not wanted.
    #[must_use]
    pub fn closing(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.inner.status
    }

    /// The stable name of this refusal.
    pub fn code(&self) -> &'static str {
        self.inner.code
    }

    /// The faults, in the order found.
    pub fn errors(&self) -> &[ProblemFault] {
        &self.inner.errors
    }

    /// The body of the answer.
    pub(crate) fn render(&self, request_id: &str) -> Vec<u8> {
        let Inner { status, code, title, detail, errors, members, .. } = &*self.inner;
        let detail = if detail.is_empty() { title } else { detail.as_str() };
        let r#type = format!("/docs/errors#{code}");
        let status = status.as_u16();
        let rendered = Rendered { r#type, title, status, code, detail, errors, members, request_id };
        let rendered = serde_json::to_string(&rendered).expect("a problem is made of strings and numbers");
        harmless(&rendered).into_bytes()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.inner.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in &self.inner.headers {
            headers.append(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl ProblemFault {
    /// A fault at a JSON Pointer or `?parameter`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let (pointer, message) = (pointer.into(), message.into());
        Self { pointer, code, message, file: None, line: None, column: None, length: None, hint: None }
    }

    /// The fault as a sentence of its own: what is wrong says nothing without where it is.
    pub fn told(&self) -> String {
        match self.pointer.as_str() {
            "" => self.message.clone(),
            pointer => format!("`{pointer}`: {}", self.message),
        }
    }

    /// Places the fault in a text; lines and columns count from 1.
    #[must_use]
    pub fn at(mut self, line: u64, column: u64) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }
}

/// Foreign input as a message may repeat it: cut to [`ECHO_MAX_CHARS`], nothing unprintable left unescaped.
pub fn echoed(input: &str) -> String {
    echoed_to(input, ECHO_MAX_CHARS)
}

/// The same, cut to so many characters: for what is meant to be read to its end.
pub fn echoed_to(input: &str, chars: usize) -> String {
    let mut shown = String::with_capacity(input.len().min(2 * chars));
    for (index, character) in input.chars().enumerate() {
        if index == chars {
            shown.push('…');
            break;
        }
        match character {
            '\'' | '"' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// JSON of the same meaning in which nothing can steer the terminal of whoever looks at it: a pointer names keys that
/// others chose, and has to name them exactly.
fn harmless(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if !character.is_ascii() && character.escape_debug().len() > 1 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_steers_no_terminal_and_its_pointers_stay_exact() {
        let pointer = "/a\u{1b}\u{9b}31m\u{202e}\u{e0041}é";
        let body = Problem::unprocessable(vec![ProblemFault::new(pointer, "type", "is wrong")]).render("r-1");
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.contains('é') && !text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{e0041}']),
            "{text:?}"
        );
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["errors"][0]["pointer"], pointer);
        assert_eq!(read["detail"], format!("`{pointer}`: is wrong"));
    }

    #[test]
    fn echoed_input_is_cut_and_escaped() {
        let hostile = format!("\u{1b}[31m\r\n\u{202e}<b>{}", "x".repeat(100));
        let shown = echoed(&hostile);
        assert!(shown.starts_with("\\u{1b}[31m\\r\\n\\u{202e}<b>xxx"), "{shown}");
        assert!(shown.ends_with('…'));
        assert!(shown.chars().filter(|c| *c == 'x').count() < ECHO_MAX_CHARS);
    }

    #[test]
    fn a_problem_names_its_page_and_lists_at_most_fifty_faults() {
        let faults = (0..80).map(|n| ProblemFault::new(format!("/{n}"), "range", "too much")).collect();
        let body: serde_json::Value =
            serde_json::from_slice(&Problem::unprocessable(faults).render("r-1")).unwrap();
        assert_eq!(body["type"], "/docs/errors#range");
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(body["errors"].as_array().unwrap().len(), FAULTS_MAX);
        assert_eq!(
            body["errors"][0],
            serde_json::json!({"pointer":"/0","code":"range","message":"too much"})
        );
    }

    #[test]
    fn the_detail_of_a_single_fault_says_where_it_is() {
        let detail = |pointer: &str| {
            let problem = Problem::unprocessable(vec![ProblemFault::new(pointer, "range", "is too much")]);
            let body: serde_json::Value = serde_json::from_slice(&problem.render("r-1")).unwrap();
            body["detail"].as_str().unwrap().to_owned()
        };
        assert_eq!(detail("/lease/ttl_s"), "`/lease/ttl_s`: is too much");
        assert_eq!(detail("?limit"), "`?limit`: is too much");
        assert_eq!(detail(""), "is too much");
    }
}
