//! The SDK against the real server, on a real store and a free port.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod fatal_ends;
mod late_results;
mod server;
