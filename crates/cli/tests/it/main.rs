//! The program as its users meet it: the real binary, on real folders and ports, with real suppliers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic, in its factories too")]

mod backing_up;
mod channels;
mod dev;
mod diagnosing;
mod draining;
mod importing;
mod log;
mod moving;
mod postgres;
mod program;
mod quarantine;
mod requesting;
mod serving;
mod settings;
mod shop;
mod stock;
mod telling;
#[cfg(target_os = "linux")]
mod wall_clock;
mod watching;
