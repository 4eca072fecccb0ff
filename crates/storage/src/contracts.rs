//! Contracts: the catalogue of each environment, every version of it kept.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sixpack_model::event::Event;

use crate::error::StoreError;
use crate::stock_rules::StoredRule;

/// One version of a contract as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredContract {
    /// `domain/name`.
    pub name: String,
    /// Counts from 1.
    pub version: u32,
    /// What it is made from.
    pub definition: Definition,
    /// Of what others depend on.
    pub fingerprint: String,
    /// `new`, `compatible` or `breaking` against the version before; in a channel against the deployed one, and then also
    /// `same`.
    pub change: String,
    /// What changed and what it breaks, for people: a JSON list.
    pub changes: Value,
    /// Set for a version that a supplier under development has registered: it is in no catalogue.
    pub channel: Option<InChannel>,
    /// When it was published; set by the store.
    pub published_at: Timestamp,
}

/// What is kept of a version that belongs to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InChannel {
    /// The channel.
    pub name: String,
    /// The oldest version of the channel that this one can be asked about.
    pub since: u32,
    /// The deployed version whose suppliers can check and undo what this one has made.
    pub stands_in_for: Option<u32>,
}

/// What a contract is made from.
#[derive(Debug, Clone, PartialEq)]
pub enum Definition {
    /// A capability's part of a manifest, with its owner.
    Capability(Value),
    /// The text of a scenario file.
    Scenario(String),
}

/// Contracts to be published together.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// The revision of the catalogue that this was decided upon; 0 for an environment that does not exist yet.
    pub expected_revision: u64,
    /// What is on offer from now on: new versions, versions whose description, owner or limits changed in place, and
    /// deployed versions of before that take the place of the one on offer.
    pub contracts: Vec<StoredContract>,
    /// Names taken out of the catalogue, of which no live deployed session performs any version; their versions stay for the datasets made from them.
    pub withdrawn: Vec<String>,
    /// Versions of channels for which there is a deployed one to ask from now on. Of tasks that wait in a channel in
    /// which nobody is left, checks and undos go to its suppliers with this publication.
    pub stand_ins: Vec<StandIn>,
}

/// A version of a channel, and the deployed one that it stands in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// `domain/name`.
    pub contract: String,
    /// The version of the channel.
    pub version: u32,
    /// The deployed version.
    pub stands_in_for: u32,
}

impl Publication {
    /// True when the catalogue stays as it is.
    pub fn is_empty(&self) -> bool {
        self.contracts.is_empty() && self.withdrawn.is_empty() && self.stand_ins.is_empty()
    }
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The catalogue has this revision now.
    Revision(u64),
    /// The catalogue has changed since it was read, or a live deployed session performs a newer version than one that is
    /// to be on offer, or any version of what is to be withdrawn. Nothing was written.
    Stale,
}

/// The whole catalogue of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCatalogue {
    /// Grows by one with each publication, and with each change of a stock rule.
    pub revision: u64,
    /// Every version of every contract, by name and version; withdrawn names are left out but for their versions in
    /// `withdrawn`.
    pub contracts: Vec<StoredContract>,
    /// Versions of contracts that are no longer offered.
    pub withdrawn: Vec<StoredContract>,
    /// The version on offer, by name; of a contract that is not named here it is the newest.
    pub on_offer: HashMap<String, u32>,
    /// Versions of channels, by name and version, whether or not anybody is live in their channel. Of each contract the
    /// newest [`CHANNEL_VERSIONS_KEPT`](sixpack_model::limits::CHANNEL_VERSIONS_KEPT), and those that are being served.
    pub in_channels: Vec<StoredContract>,
    /// Stock rules, by name.
    pub rules: Vec<StoredRule>,
}

/// What there is of a contract that is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Its datasets that are being made, kept, leased or undone.
    pub datasets: u64,
    /// Its datasets that could not be undone, and that nobody has resolved.
    pub debts: u64,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRow {
    /// Its name.
    pub name: String,
    /// When it came into being.
    pub created_at: Timestamp,
    /// The revision of its catalogue.
    pub revision: u64,
}

/// Reads and writes catalogues.
#[async_trait]
pub trait Contracts: Send + Sync {
    /// Environments by name.
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError>;

    /// The catalogue of an environment; `None` when there is no such environment.
    async fn catalogue(&self, environment: &str) -> Result<Option<StoredCatalogue>, StoreError>;

    /// In how many datasets a contract was the first that did not hold any more when they were set aside; counted in the
    /// transaction that sets one aside.
    async fn drifted(&self, environment: &str, contract: &str) -> Result<u64, StoreError>;

    /// What there is of a contract that is not over.
    async fn left_of(&self, environment: &str, contract: &str) -> Result<Left, StoreError>;

    /// Publishes contracts, and creates the environment if it is new.
    async fn publish(
        &self,
        environment: &str,
        publication: Publication,
        events: Vec<Event>,
    ) -> Result<Published, StoreError>;
}
