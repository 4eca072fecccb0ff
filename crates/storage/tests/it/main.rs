//! Both stores against the conformance suite, and what only one of them promises.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod backup;
mod conformance;
mod killed;
mod migrations;
mod moving;
mod opening;
mod pooled;
mod postgres;
mod postgres_claimants;
mod postgres_looking;
mod postgres_marks;
mod postgres_migrations;
mod postgres_opening;
mod postgres_pooler;
mod postgres_restores;
mod postgres_retention;
mod postgres_stocking;
mod postgres_tls;
mod postgres_waiting;
mod postgres_wakeups;
mod postgres_writer;
mod writer;
