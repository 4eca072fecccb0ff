//! Sixpack for Rust: publish business states of your service, and request states that all services agree on.
//!
//! **A domain team** writes one [`Capability`] for each state and runs a [`Supplier`] next to its service. It connects
//! outward, needs no open port, reconnects by itself, and drains on SIGTERM.
//!
//! ```standalone_crate
//! # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use sixpack::{About, Capability, Context, NoFacts, Operation, Owner, Produce, Supplier};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input { country: String }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Output {
//!     #[schemars(extend("x-entity" = "customer"))]
//!     customer_id: String,
//! }
//!
//! struct ActiveCustomer;
//!
//! impl Capability for ActiveCustomer {
//!     const NAME: &'static str = "active-customer";
//!     const OPERATIONS: &'static [Operation] = &[Operation::Produce];
//!     type Input = Input;
//!     type Output = Output;
//!     type Facts = NoFacts;
//!
//!     fn about(&self) -> About {
//!         About::new("A customer that may buy")
//!     }
//!
//!     async fn produce(&self, cx: &Context, input: Input) -> Produce<Output> {
//!         if input.country == "XX" {
//!             return Err(cx.reject("unknown_country", "customers live in countries"));
//!         }
//!         Ok(Output { customer_id: format!("c-{}", cx.unique()) })
//!     }
//! }
//!
//! # landscape::supply("customer/active-customer", async || {
//! Supplier::new("customer").owner(Owner::new("Customer")).capability(ActiveCustomer).run().await
//! # });
//! ```
//!
//! **A tester or a pipeline** requests a contract with [`Client::request`] and gets a [`Lease`] that renews itself and is
//! given back by `release().await`; see [`Client`]. Everything else of the API is a method of [`Client`] over the types
//! of [`wire`].
//!
//! What the SDK promises: state-changing calls carry an idempotency key or are safe to repeat, so a broken connection
//! never makes two of anything; a lease never seems alive after the server ended it; a supplier's tasks are performed
//! at least once, and one result of each counts.

/// What the pages that people read first show of Rust compiles.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct OfTheSdk;
    #[doc = include_str!("../../../README.md")]
    struct OfTheProject;
}

mod channel;
mod client;
mod clock;
mod error;
mod http;
mod retry;
mod supplier;
pub mod wire;

pub use channel::own_channel;
pub use client::{Client, DEFAULT_URL, EventStream, ExtensionBuilder, Lease, RequestBuilder};
pub use error::{Error, ExtensionFailed, RequestFailed};
pub use supplier::{
    About, Capability, Check, Children, Context, DynamicCapability, EndReason, Find, NoFacts, Produce,
    Reject, Running, Stop, Supplier, SupplierEnded, Undo, UnreportedResult, Verdict,
};
pub use wire::{Child, Entity, Failure, Item, Operation, Outcome, Owner, Priority, RetryRule, Source};
