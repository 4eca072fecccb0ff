//! The operations: one file a group, with the JSON of its bodies and answers beside its handlers.
//!
//! Every operation is registered once, here, with its path from its own description: the router, the OpenAPI document
//! and the table of roles cannot differ without a test failing.

mod auth;
mod body;
mod browser;
mod contracts;
mod datasets;
mod debts;
mod diagnosis;
mod document;
mod environments;
mod errors;
mod events;
mod extensions;
mod health;
mod imports;
mod leases;
mod manifest;
mod pages;
mod quarantine;
mod refusals;
mod requests;
mod results;
mod scenarios;
mod sessions;
mod shapes;
mod shortage;
mod sign_ins;
mod statistics;
mod stock_history;
mod stock_rules;
mod tasks;
mod tokens;
mod ui;
mod waiting;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::{Router, middleware};
use http::Method;
use sixpack_engine::Engine;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ServerSettings;
use crate::edge::fallback::json_only;

pub use document::openapi;

/// Method and path of every operation, by its number.
pub(crate) fn operations_by_number() -> impl Iterator<Item = (&'static str, &'static str)> {
    auth::OPERATIONS.iter().map(|(_, method, path, _)| (*method, *path))
}

/// What the handlers share; all of it is cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    engine: Engine,
    insecure_dev: bool,
    secure_cookies: bool,
    waiting: waiting::Places,
    pinged: health::Pinged,
    shutdown: CancellationToken,
}

impl FromRef<Server> for Engine {
    fn from_ref(server: &Server) -> Self {
        server.engine.clone()
    }
}

/// The router of all operations; `shutdown` is what `/readyz` watches.
pub(crate) fn router(engine: Engine, settings: &ServerSettings, shutdown: CancellationToken) -> Router {
    let waiting = waiting::Places::new(settings.long_polls_per_token, &settings.edge.counters);
    let ServerSettings { insecure_dev, secure_cookies, .. } = *settings;
    let pinged = health::Pinged::default();
    let server = Server { engine, insecure_dev, secure_cookies, waiting, pinged, shutdown };
    let (answers_json, _) = operations().split_for_parts();
    let (answers_other, _) = other_operations().split_for_parts();
    answers_json
        .layer(middleware::from_fn(json_only))
        .merge(answers_other)
        .route_layer(middleware::from_fn_with_state(server.clone(), auth::authorize))
        // Behind the table of roles: these are files for everybody, and no operations.
        .merge(ui::router())
        // Every extractor has a limit of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(server)
}

/// Requests that keep what was begun alive are served before new work.
pub(crate) fn is_urgent(method: &Method, path: &str) -> bool {
    let keeps_alive = ["/renew", "/release", "/heartbeat", "/results"].iter().any(|end| path.ends_with(end));
    (method == Method::POST && keeps_alive) || path == "/livez" || path == "/readyz"
}

/// Operations that answer JSON and nothing else.
fn operations() -> OpenApiRouter<Server> {
    OpenApiRouter::new()
        .routes(routes!(requests::create_request, requests::list_requests))
        .routes(routes!(requests::get_request))
        .routes(routes!(requests::cancel_request))
        .routes(routes!(leases::list_leases))
        .routes(routes!(leases::get_lease))
        .routes(routes!(leases::renew_lease))
        .routes(routes!(leases::release_lease))
        .routes(routes!(leases::revoke_lease))
        .routes(routes!(diagnosis::diagnose_lease))
        .routes(routes!(extensions::extend_lease))
        .routes(routes!(datasets::list_datasets))
        .routes(routes!(datasets::get_dataset))
        .routes(routes!(debts::list_debts))
        .routes(routes!(debts::resolve_debt))
        .routes(routes!(quarantine::list_quarantine))
        .routes(routes!(quarantine::resolve_dataset))
        .routes(routes!(environments::list_environments))
        .routes(routes!(contracts::list_contracts))
        .routes(routes!(contracts::get_contract, contracts::remove_contract))
        .routes(routes!(contracts::get_contract_version))
        .routes(routes!(statistics::list_statistics))
        .routes(routes!(statistics::get_statistics))
        .routes(routes!(statistics::get_limits))
        .routes(routes!(scenarios::apply_scenarios))
        .routes(routes!(stock_rules::list_stock_rules))
        .routes(routes!(stock_history::list_stock_history))
        .routes(routes!(stock_history::get_stock_history))
        .routes(routes!(imports::import_datasets))
        .routes(routes!(sessions::open_session, sessions::list_sessions))
        .routes(routes!(sessions::drain_session))
        .routes(routes!(sessions::claim_tasks))
        .routes(routes!(sessions::answer_tasks))
        .routes(routes!(sessions::heartbeat))
        .routes(routes!(tokens::create_token, tokens::list_tokens))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(sign_ins::sign_in, sign_ins::get_sign_in, sign_ins::sign_out))
        .routes(routes!(health::healthz))
        .routes(routes!(health::version))
        .routes(routes!(document::get_openapi))
}

/// Operations that answer something else, at least on one of their methods.
fn other_operations() -> OpenApiRouter<Server> {
    OpenApiRouter::new()
        .routes(routes!(scenarios::get_scenario, scenarios::put_scenario, scenarios::delete_scenario))
        .routes(routes!(
            stock_rules::get_stock_rule,
            stock_rules::put_stock_rule,
            stock_rules::edit_stock_rule,
            stock_rules::delete_stock_rule
        ))
        .routes(routes!(events::follow_events))
        .routes(routes!(errors::get_errors))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::startupz))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_alive_what_was_begun_is_served_before_new_work() {
        let document: serde_json::Value = serde_json::from_str(&document::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.as_str()))
        });
        let urgent: Vec<String> = operations
            .filter(|(method, path)| is_urgent(&method.parse().unwrap(), path))
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        assert_eq!(
            urgent,
            [
                "GET /livez",
                "GET /readyz",
                "POST /v1/leases/{id}/release",
                "POST /v1/leases/{id}/renew",
                "POST /v1/sessions/{id}/heartbeat",
                "POST /v1/sessions/{id}/results",
            ]
        );
    }
}
