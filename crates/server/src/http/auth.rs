//! Who may call what: tokens, and the one table of operations and roles.
//!
//! Everything is refused that the table does not allow: a route that is not in it answers nobody.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sixpack_engine::Caller;
use sixpack_model::ids::TokenId;
use sixpack_model::token::Role::{self, Admin, Consumer, Supplier};
use uuid::Uuid;

use super::{Server, browser};
use crate::edge::overload::InFlight;
use crate::edge::problem::Problem;

/// Longest `Authorization` value that is looked at; a token has 50 characters.
const AUTHORIZATION_MAX_BYTES: usize = 512;

const ANY: Access = Access::To(&[Admin, Supplier, Consumer]);
const CONSUMERS: Access = Access::To(&[Admin, Consumer]);
const SUPPLIERS: Access = Access::To(&[Admin, Supplier]);
const ADMINS: Access = Access::To(&[Admin]);

/// Roles that may change scenarios and stock rules; everybody may ask what a change would do.
const PUBLISHERS: &[Role] = &[Admin, Supplier];

/// Every operation: its name, its method and path, and who may call it.
pub(super) const OPERATIONS: &[(&str, &str, &str, Access)] = &[
    ("create_request", "POST", "/v1/requests", CONSUMERS),
    ("list_requests", "GET", "/v1/requests", ANY),
    ("get_request", "GET", "/v1/requests/{id}", ANY),
    ("cancel_request", "POST", "/v1/requests/{id}/cancel", CONSUMERS),
    ("list_leases", "GET", "/v1/leases", ANY),
    ("get_lease", "GET", "/v1/leases/{id}", ANY),
    ("extend_lease", "POST", "/v1/leases/{id}/extend", CONSUMERS),
    ("renew_lease", "POST", "/v1/leases/{id}/renew", CONSUMERS),
    ("release_lease", "POST", "/v1/leases/{id}/release", CONSUMERS),
    ("revoke_lease", "POST", "/v1/leases/{id}/revoke", SUPPLIERS),
    ("diagnose_lease", "POST", "/v1/leases/{id}/diagnose", CONSUMERS),
    ("list_datasets", "GET", "/v1/datasets", ANY),
    ("get_dataset", "GET", "/v1/datasets/{id}", ANY),
    ("list_debts", "GET", "/v1/debts", ANY),
    ("resolve_debt", "POST", "/v1/debts/{id}/resolve", SUPPLIERS),
    ("list_quarantine", "GET", "/v1/quarantine", ANY),
    ("resolve_dataset", "POST", "/v1/datasets/{id}/resolve", SUPPLIERS),
    ("list_environments", "GET", "/v1/environments", ANY),
    ("list_contracts", "GET", "/v1/environments/{env}/contracts", ANY),
    ("get_contract", "GET", "/v1/environments/{env}/contracts/{domain}/{name}", ANY),
    ("get_statistics", "GET", "/v1/environments/{env}/contracts/{domain}/{name}/statistics", ANY),
    ("list_statistics", "GET", "/v1/environments/{env}/statistics", ANY),
    ("get_limits", "GET", "/v1/environments/{env}/limits", ANY),
    ("remove_contract", "DELETE", "/v1/environments/{env}/contracts/{domain}/{name}", SUPPLIERS),
    (
        "get_contract_version",
        "GET",
        "/v1/environments/{env}/contracts/{domain}/{name}/versions/{version}",
        ANY,
    ),
    // Dry runs are for everybody; `Authorized::may_publish` decides about the others.
    ("apply_scenarios", "POST", "/v1/environments/{env}/apply", ANY),
    ("put_scenario", "PUT", "/v1/environments/{env}/scenarios/{domain}/{name}", ANY),
    ("get_scenario", "GET", "/v1/environments/{env}/scenarios/{domain}/{name}", ANY),
    ("delete_scenario", "DELETE", "/v1/environments/{env}/scenarios/{domain}/{name}", SUPPLIERS),
    ("put_stock_rule", "PUT", "/v1/environments/{env}/stock-rules/{name}", ANY),
    ("list_stock_rules", "GET", "/v1/environments/{env}/stock-rules", ANY),
    ("get_stock_rule", "GET", "/v1/environments/{env}/stock-rules/{name}", ANY),
    ("list_stock_history", "GET", "/v1/environments/{env}/stock-history", ANY),
    ("get_stock_history", "GET", "/v1/environments/{env}/stock-rules/{name}/history", ANY),
    ("edit_stock_rule", "PATCH", "/v1/environments/{env}/stock-rules/{name}", SUPPLIERS),
    ("delete_stock_rule", "DELETE", "/v1/environments/{env}/stock-rules/{name}", SUPPLIERS),
    ("import_datasets", "POST", "/v1/environments/{env}/imports", SUPPLIERS),
    ("open_session", "POST", "/v1/sessions", SUPPLIERS),
    ("list_sessions", "GET", "/v1/sessions", ANY),
    ("drain_session", "DELETE", "/v1/sessions/{id}", SUPPLIERS),
    ("claim_tasks", "POST", "/v1/sessions/{id}/claim", SUPPLIERS),
    ("answer_tasks", "POST", "/v1/sessions/{id}/results", SUPPLIERS),
    ("heartbeat", "POST", "/v1/sessions/{id}/heartbeat", SUPPLIERS),
    ("follow_events", "GET", "/v1/events", ANY),
    ("create_token", "POST", "/v1/tokens", ADMINS),
    ("list_tokens", "GET", "/v1/tokens", ADMINS),
    ("revoke_token", "DELETE", "/v1/tokens/{id}", ADMINS),
    ("sign_in", "PUT", "/v1/sign-in", Access::Open),
    ("get_sign_in", "GET", "/v1/sign-in", ANY),
    ("sign_out", "DELETE", "/v1/sign-in", Access::Open),
    ("livez", "GET", "/livez", Access::Open),
    ("readyz", "GET", "/readyz", Access::Open),
    ("startupz", "GET", "/startupz", Access::Open),
    ("healthz", "GET", "/healthz", Access::Open),
    ("version", "GET", "/version", Access::Open),
    ("get_openapi", "GET", "/openapi.json", Access::Open),
    ("get_errors", "GET", "/docs/errors", Access::Open),
];

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody, without a token.
    Open,
    /// Tokens of these roles.
    To(&'static [Role]),
}

/// The caller, known and allowed to call this operation.
pub(super) struct Authorized(pub(super) Caller);

impl Authorized {
    /// Whether the caller may change scenarios and stock rules, or only ask what would happen.
    pub(super) fn may_publish(&self, dry_run: bool) -> Result<(), Problem> {
        if dry_run { Ok(()) } else { check_role(&self.0, PUBLISHERS) }
    }
}

impl<S: Sync> FromRequestParts<S> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only the table puts it there, so a handler that asks for it on an open route is a mistake of ours.
        parts.extensions.remove::<Caller>().map(Self).ok_or_else(Problem::internal)
    }
}

/// Lets a request through to its handler when the table allows it.
pub(super) async fn authorize(
    State(server): State<Server>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let path = path.as_ref().map(MatchedPath::as_str).unwrap_or_default();
    // What answers GET answers HEAD as well.
    let method = match request.method().as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let operation =
        OPERATIONS.iter().position(|(_, its_method, its_path, _)| *its_path == path && *its_method == method);
    if let (Some(operation), Some(call)) = (operation, request.extensions().get::<InFlight>()) {
        call.is_of(operation);
    }
    let access = match operation {
        Some(operation) => OPERATIONS[operation].3,
        // The method router answers for methods that a path does not have.
        None if OPERATIONS.iter().any(|(_, _, its_path, _)| *its_path == path) => Access::Open,
        None => Access::To(&[]),
    };
    if let Access::To(roles) = access {
        let caller = caller(&server, request.method(), request.headers()).await?;
        check_role(&caller, roles)?;
        request.extensions_mut().insert(caller);
    }
    Ok(next.run(request).await)
}

async fn caller(server: &Server, method: &Method, headers: &HeaderMap) -> Result<Caller, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let caller = match (given.next(), given.next()) {
        (None, _) => match browser::token(headers, server.secure_cookies) {
            Some(secret) => {
                browser::check_own_page(method, headers)?;
                server.engine.authenticate(secret).await?
            }
            None if server.insecure_dev => {
                browser::check_not_foreign_page(headers)?;
                Some(developer())
            }
            None => None,
        },
        (Some(value), None) => match secret(value) {
            Some(secret) => server.engine.authenticate(secret).await?,
            None => None,
        },
        _ => None,
    };
    caller.ok_or_else(unauthenticated)
}

/// The token of an `Authorization` value; `None` for everything that is no bearer token.
fn secret(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok().filter(|text| text.len() <= AUTHORIZATION_MAX_BYTES)?;
    let (scheme, secret) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret)
}

/// Whoever calls a server without tokens.
fn developer() -> Caller {
    Caller {
        token: TokenId(Uuid::nil()),
        name: "insecure-dev".to_owned(),
        role: Admin,
        environment: None,
        domain: None,
    }
}

/// The same for every cause: it must not tell whether a token was ever good.
pub(super) fn unauthenticated() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A token is needed")
        .detail("Send one usable token as `Authorization: Bearer sxp_…`; `sixpack token create` makes one.")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn check_role(caller: &Caller, allowed: &[Role]) -> Result<(), Problem> {
    if allowed.contains(&caller.role) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|role| role.name()).collect();
    let detail = format!(
        "This token has the role `{}`; the operation is for {}.",
        caller.role.name(),
        if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") }
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "The role does not suffice").detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_token_is_a_secret() {
        let long = format!("Bearer {}", "x".repeat(10_000));
        for (value, expected) in [
            ("Bearer sxp_a", Some("sxp_a")),
            ("bearer sxp_a", Some("sxp_a")),
            ("Bearer", None),
            ("", None),
            ("Basic sxp_a", None),
            ("sxp_a", None),
            (&long, None),
        ] {
            assert_eq!(secret(&HeaderValue::from_str(value).unwrap()), expected, "{value:.20}");
        }
    }
}
