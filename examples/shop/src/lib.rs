//! The shop: four small services, each with a database and rules of its own, that agree only after a while.
//!
//! ```text
//! customer ---registered, verified, activated, deleted---> order, billing
//! order ------prepared, placed, paid, deleted------------> billing, delivery
//! billing ----payment captured, account closed-----------> order
//! order ------"charge this"------------------------------> billing (HTTP)
//! ```
//!
//! Events travel with a lag, so whoever hurries is refused by a service that has not heard the news yet.
//! What the services share is here once: [`service`] (process, peers, admin), [`events`] (outbox and inbox),
//! [`fault`] (the switch that breaks a service on purpose). The rules of each are in the file of its name;
//! [`client`] calls all four, and [`supplier`] publishes to Sixpack what they can do.

pub mod billing;
pub mod client;
pub mod customer;
mod database;
pub mod delivery;
mod entity;
pub mod events;
pub mod fault;
mod http;
pub mod order;
pub mod service;
mod state;
pub mod supplier;
