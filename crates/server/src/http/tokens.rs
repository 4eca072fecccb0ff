//! Tokens: made, listed, taken back; the secret is shown once.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sixpack_engine::{Engine, NewToken};
use sixpack_model::ids::TokenId;
use sixpack_model::limits::LINE_BYTES;
use sixpack_model::name::segment;
use sixpack_model::text::line;
use sixpack_model::token::{Role, Token};
use utoipa::{IntoParams, ToSchema};

use super::auth::Authorized;
use super::document::ProblemJson;
use super::pages::{Listing, PageJson};
use super::shapes::scalar::{Text, Time};
use super::shapes::word::{RoleWord, Word};
use crate::edge::check::{Check, Faults};
use crate::edge::integer::Int;
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{Limit, NoParameters, Query};

/// A quarter: long enough to be of use, short enough that a forgotten token ends.
const LIFETIME_DEFAULT_S: i64 = 90 * 86_400;

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTokenJson {
    /// What it is for.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(inline)]
    role: RoleWord,
    /// The only environment it shall be good for.
    environment: Option<String>,
    /// The only domain it may supply; for suppliers only.
    domain: Option<String>,
    /// From a minute to a year; 90 days when absent.
    #[schema(inline)]
    expires_in_s: Option<Int<60, 31_536_000>>,
}

impl Check for NewTokenJson {
    fn check(&self, faults: &mut Faults) {
        match line("/name", &self.name, LINE_BYTES) {
            Ok(name) if name.is_empty() => faults.add("name", "empty", "is empty"),
            Ok(_) => {}
            Err(fault) => faults.add("name", fault.code, fault.message),
        }
        let names = [
            ("environment", "the name of an environment", &self.environment),
            ("domain", "a domain", &self.domain),
        ];
        for (field, what, given) in names {
            if let Some(Err(error)) = given.as_deref().map(|name| segment(what, name)) {
                faults.add(field, "name_pattern", error.to_string());
            }
        }
        if self.domain.is_some() && self.role.0 != Role::Supplier {
            faults.add("domain", "exclusive", "only a token with the role `supplier` is bound to a domain");
        }
    }
}

/// A token without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenJson<'a> {
    #[schema(value_type = String)]
    id: Text<TokenId>,
    /// The secret, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    name: &'a str,
    #[schema(inline)]
    role: RoleWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Absent for a token that is good for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// To the minute; absent for a token that was never used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Time>,
}

/// Which page to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenParameters {
    /// Entries of a page; 100 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// Makes a token
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = NewTokenJson, responses(
    (status = 201, description = "The token with its secret, which is shown this once", body = TokenJson<'_>),
))]
pub(super) async fn create_token(
    State(engine): State<Engine>,
    _authorized: Authorized,
    Query(NoParameters {}): Query<NoParameters>,
    Json(body): Json<NewTokenJson>,
) -> Result<Response, Problem> {
    let lifetime_s = body.expires_in_s.map_or(LIFETIME_DEFAULT_S, Int::get).unsigned_abs();
    let new = NewToken {
        name: line("/name", &body.name, LINE_BYTES).expect("it was checked"),
        role: body.role.0,
        environment: body.environment,
        domain: body.domain,
        lifetime: Some(Duration::from_secs(lifetime_s)),
    };
    let minted = engine.create_token(new).await?;
    let token = TokenJson { token: Some(&minted.secret), ..TokenJson::from(&minted.token) };
    Ok((StatusCode::CREATED, Json(token)).into_response())
}

/// Lists tokens, newest first
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(TokenParameters), responses(
    (status = 200, description = "A page of tokens without their secrets", body = PageJson<TokenJson<'_>>),
))]
pub(super) async fn list_tokens(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Query(parameters): Query<TokenParameters>,
) -> Result<Response, Problem> {
    let (limit, cursor) = (parameters.limit, parameters.cursor.as_deref());
    let listing: Listing<TokenId> = Listing::new("GET /v1/tokens", &caller, &(), limit, cursor)?;
    let tokens = listing.cut(engine.tokens().await?, |token, after| token.id < *after);
    let page = listing.answer(&tokens, |token| token.id.to_string(), |token| Some(TokenJson::from(token)));
    Ok(Json(page).into_response())
}

/// Takes a token back
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), responses(
    (status = 204, description = "It is not good any more; also when repeated"),
    (status = 404, description = "`token_not_found`", body = ProblemJson),
))]
pub(super) async fn revoke_token(
    State(engine): State<Engine>,
    _authorized: Authorized,
    Path((id,)): Path<(TokenId,)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode, Problem> {
    engine.revoke_token(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl<'a> From<&'a Token> for TokenJson<'a> {
    fn from(token: &'a Token) -> Self {
        Self {
            id: Text(token.id),
            token: None,
            name: &token.name,
            role: Word(token.role),
            environment: token.environment.as_deref(),
            domain: token.domain.as_deref(),
            created_at: Time(token.created_at),
            expires_at: token.expires_at.map(Time),
            last_used_at: token.last_used_at.map(Time),
            revoked_at: token.revoked_at.map(Time),
        }
    }
}
