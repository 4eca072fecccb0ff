//! Storage traits by noun, and the stores behind them.
//!
//! One method is one transaction with one named outcome. Deadlines are computed and compared by the store's own clock,
//! never by a caller's. A method that returns has committed and flushed what it says.
//!
//! A write takes its place in the order of commits with the first poll of its future, not with its answer: a write that
//! is polled behind another one, such as a claim behind the write that makes a task ready, sees its effects, and a write
//! whose caller goes away is carried out all the same.

pub mod census;
pub mod channels;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contracts;
pub mod datasets;
pub mod doubts;
pub mod durability;
pub mod entities;
pub mod error;
pub mod events;
pub mod health;
pub mod imports;
pub mod leases;
pub mod measures;
pub mod migrations;
pub mod moving;
pub mod mutants;
pub mod page;
pub mod postgres;
pub mod requests;
pub mod restores;
pub mod retention;
pub mod sessions;
pub mod sqlite;
pub mod statistics;
pub mod stock;
pub mod stock_history;
pub mod stock_rules;
mod stored;
pub mod tasks;
pub mod tokens;
pub mod trees;
pub mod wakeups;

pub use clock::{Clock, ManualClock, SystemClock};
pub use durability::Durability;
pub use error::StoreError;

/// Everything that a store can do.
pub trait Store:
    census::Census
    + channels::Channels
    + contracts::Contracts
    + datasets::Datasets
    + doubts::Doubts
    + entities::Entities
    + events::Events
    + health::Health
    + imports::Imports
    + leases::Leases
    + requests::Requests
    + restores::Restores
    + retention::Retention
    + sessions::Sessions
    + statistics::Statistics
    + stock::Stock
    + stock_history::StockHistory
    + stock_rules::StockRules
    + tasks::Tasks
    + tokens::Tokens
    + trees::Trees
    + wakeups::Wakeups
{
}

impl<T> Store for T where
    T: census::Census
        + channels::Channels
        + contracts::Contracts
        + datasets::Datasets
        + doubts::Doubts
        + entities::Entities
        + events::Events
        + health::Health
        + imports::Imports
        + leases::Leases
        + requests::Requests
        + restores::Restores
        + retention::Retention
        + sessions::Sessions
        + statistics::Statistics
        + stock::Stock
        + stock_history::StockHistory
        + stock_rules::StockRules
        + tasks::Tasks
        + tokens::Tokens
        + trees::Trees
        + wakeups::Wakeups
{
}
