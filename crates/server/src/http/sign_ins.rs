//! Sign-ins: a browser hands its token in once, and has it in a cookie from then on.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sixpack_engine::Caller;
use utoipa::ToSchema;

use super::Server;
use super::auth::{Authorized, unauthenticated};
use super::browser;
use super::document::ProblemJson;
use super::shapes::word::{RoleWord, Word};
use crate::edge::check::{Check, Faults};
use crate::edge::json::Json;
use crate::edge::problem::Problem;
use crate::edge::query::{NoParameters, Query};

/// The token that a browser hands in.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSignIn)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSignInJson {
    /// A usable token.
    token: String,
}

impl Check for NewSignInJson {
    fn check(&self, _: &mut Faults) {}
}

/// Who calls, and what they may do.
#[derive(Serialize, ToSchema)]
#[schema(as = SignIn)]
pub(super) struct SignInJson<'a> {
    /// What the token is called: the holder of leases that name nobody else.
    name: &'a str,
    #[schema(inline)]
    role: RoleWord,
    /// The only environment that exists for the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    /// The only domain that the token may publish in.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

/// Signs a browser in
///
/// The answer sets a cookie for 12 hours, which no script can read and which counts only for calls of this server's pages.
#[utoipa::path(put, path = "/v1/sign-in", tag = "tokens", request_body = NewSignInJson, responses(
    (status = 200, description = "Who is signed in now; `Set-Cookie` has the token", body = SignInJson<'_>),
    (status = 401, description = "`unauthenticated`: the token is not usable", body = ProblemJson),
))]
pub(super) async fn sign_in(
    State(server): State<Server>,
    headers: HeaderMap,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<NewSignInJson>,
) -> Result<Response, Problem> {
    browser::check_not_foreign_page(&headers)?;
    let caller = server.engine.authenticate(&body.token).await?.ok_or_else(unauthenticated)?;
    let cookie = browser::signed_in(&headers, server.secure_cookies, &body.token);
    Ok(with_cookie(cookie, Json(SignInJson::from(&caller))))
}

/// Says who calls
#[utoipa::path(get, path = "/v1/sign-in", tag = "tokens", responses(
    (status = 200, description = "Who calls, by whatever token", body = SignInJson<'_>),
))]
pub(super) async fn get_sign_in(
    Authorized(caller): Authorized,
    Query(NoParameters {}): Query<NoParameters>,
) -> Response {
    Json(SignInJson::from(&caller)).into_response()
}

/// Signs a browser out
///
/// The token stays good; take it back with `DELETE /v1/tokens/{id}`.
#[utoipa::path(delete, path = "/v1/sign-in", tag = "tokens", responses(
    (status = 204, description = "The cookie is gone; also when repeated"),
))]
pub(super) async fn sign_out(
    State(server): State<Server>,
    headers: HeaderMap,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    browser::check_not_foreign_page(&headers)?;
    Ok(with_cookie(browser::signed_out(&headers, server.secure_cookies), StatusCode::NO_CONTENT))
}

fn with_cookie(cookie: HeaderValue, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}

impl<'a> From<&'a Caller> for SignInJson<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self {
            name: &caller.name,
            role: Word(caller.role),
            environment: caller.environment.as_deref(),
            domain: caller.domain.as_deref(),
        }
    }
}
