//! Conformance: what every store must do, as cases that do not name one.
//!
//! A case takes a [`Fixture`] around an empty store and panics when the store does something else than the case's name
//! says. [`conformance_suite!`](crate::conformance_suite) makes a test of each of them.

#![allow(missing_docs, reason = "a case is named by the sentence that it proves")]
#![allow(clippy::unwrap_used, reason = "the cases are tests; a store that fails fails them")]

pub mod census;
pub mod channels;
pub mod claims;
pub mod contracts;
pub mod crowds;
pub mod datasets;
pub mod doubts;
pub mod entities;
pub mod events;
mod factories;
mod fixture;
pub mod found;
pub mod imports;
pub mod joins;
pub mod leases;
pub mod limits;
mod loops;
mod pgbouncer;
mod postgres_server;
pub mod quotas;
pub mod requests;
pub mod restores;
pub mod retention;
pub mod sessions;
pub mod statistics;
pub mod stock;
pub mod stock_history;
pub mod stock_rechecks;
pub mod stock_rules;
mod suite;
pub mod sweeps;
pub mod tokens;
pub mod trees;
pub mod troubles;
pub mod units;

pub use factories::{
    Decision, ENVIRONMENT, FRESH_FOR_MS, Order, Supplier, TIMEOUT_MS, TTL_MS, first_task, ready_task,
};
pub use fixture::Fixture;
pub use loops::StockLoop;
pub use pgbouncer::PgBouncer;
pub use postgres_server::PostgresServer;
pub use suite::run_case;
