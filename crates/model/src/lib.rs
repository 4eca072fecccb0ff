//! The rules of Sixpack: types, transitions, planner and type checker.
//!
//! Nothing in here reads, writes, waits or asks for the time: what a rule needs to know is an argument.

pub mod catalogue;
pub mod channel;
pub mod compatibility;
pub mod contract;
pub mod debt;
pub mod diagnosis;
pub mod diagnostic;
pub mod doubt;
pub mod event;
pub mod expression;
pub mod extension;
pub mod failure;
pub mod fault;
mod fields;
pub mod files;
pub mod find;
pub mod ids;
pub mod import;
pub mod join;
pub mod lease;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod plan;
pub mod protocol;
pub mod recheck;
pub mod request;
pub mod rerun;
pub mod scenario;
pub mod schema;
pub mod session;
pub mod statistics;
pub mod stock;
pub mod task;
pub mod template;
pub mod text;
pub mod token;
pub mod tree;
pub mod typecheck;
mod yaml;
