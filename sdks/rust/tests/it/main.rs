//! The SDK against the real server, on a real store and a free port.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod channels;
mod extending;
mod fatal_ends;
mod finding;
mod late_results;
mod reruns;
mod server;
mod stock;
#[cfg(target_os = "linux")]
mod wall_clock;
mod words;
