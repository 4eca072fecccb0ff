//! The same tests over PostgreSQL, and what becomes of calls while it is away.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod outage;
mod place;

#[path = "../it/api_server.rs"]
mod api_server;
#[path = "../it/auth.rs"]
mod auth;
#[path = "../it/bad_json_payloads.rs"]
mod bad_json_payloads;
#[path = "../it/bad_lists.rs"]
mod bad_lists;
#[path = "../it/bad_names.rs"]
mod bad_names;
#[path = "../it/catalogue.rs"]
mod catalogue;
#[path = "../it/channels.rs"]
mod channels;
#[path = "../it/debts.rs"]
mod debts;
#[path = "../it/diagnosing.rs"]
mod diagnosing;
#[path = "../it/doubting.rs"]
mod doubting;
#[path = "../it/edge_drain.rs"]
mod edge_drain;
#[path = "../it/edge_http.rs"]
mod edge_http;
#[path = "../it/edge_json.rs"]
mod edge_json;
#[path = "../it/edge_limits.rs"]
mod edge_limits;
#[path = "../it/edge_server.rs"]
mod edge_server;
#[path = "../it/events.rs"]
mod events;
#[path = "../it/extending.rs"]
mod extending;
#[path = "../it/finding.rs"]
mod finding;
#[path = "../it/health.rs"]
mod health;
#[path = "../it/imports.rs"]
mod imports;
#[path = "../it/joining.rs"]
mod joining;
#[path = "../it/leases.rs"]
mod leases;
#[path = "../it/lists.rs"]
mod lists;
#[path = "../it/log.rs"]
mod log;
#[path = "../it/metrics.rs"]
mod metrics;
#[path = "../it/quarantine.rs"]
mod quarantine;
#[path = "../it/requests.rs"]
mod requests;
#[path = "../it/reruns.rs"]
mod reruns;
#[path = "../it/scenarios.rs"]
mod scenarios;
#[path = "../it/sessions.rs"]
mod sessions;
#[path = "../it/sign_ins.rs"]
mod sign_ins;
#[path = "../it/staleness.rs"]
mod staleness;
#[path = "../it/statistics.rs"]
mod statistics;
#[path = "../it/steps.rs"]
mod steps;
#[path = "../it/stock.rs"]
mod stock;
#[path = "../it/stock_history.rs"]
mod stock_history;
#[path = "../it/stock_rules.rs"]
mod stock_rules;
#[path = "../it/supplier_bad_inputs.rs"]
mod supplier_bad_inputs;
#[path = "../it/witness.rs"]
mod witness;
