//! The server from the outside: tests over real sockets, byte by byte where it matters.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

#[path = "sqlite.rs"]
mod place;

mod api_server;
mod auth;
mod bad_json_payloads;
mod bad_lists;
mod bad_names;
mod catalogue;
mod channels;
mod debts;
mod diagnosing;
mod doubting;
mod edge_drain;
mod edge_http;
mod edge_json;
mod edge_limits;
mod edge_server;
mod events;
mod extending;
mod finding;
mod health;
mod imports;
mod joining;
mod leases;
mod lists;
mod log;
mod metrics;
mod quarantine;
mod requests;
mod reruns;
mod scenarios;
mod sessions;
mod sign_ins;
mod staleness;
mod statistics;
mod steps;
mod stock;
mod stock_history;
mod stock_rules;
mod supplier_bad_inputs;
mod witness;
