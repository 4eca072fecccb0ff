//! The SQLite store against the conformance suite, and what only it promises.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod conformance;
mod killed;
mod opening;
mod writer;
