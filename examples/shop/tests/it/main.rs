//! The four services together, over HTTP, on free ports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic, in its factories too")]

mod faults;
mod journeys;
mod keys;
mod news;
mod program;
mod protocol;
mod restarts;
mod rules;
mod shop;
