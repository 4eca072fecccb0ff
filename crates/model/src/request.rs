//! Requests: a consumer's wish for datasets, fulfilled as a whole or not at all.
//!
//! ```text
//! building -> fulfilled | failed | cancelled | expired
//! ```

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::ids::{RequestId, TokenId, TreeId};
use crate::name::ContractName;
use crate::stock::RuleName;

/// Who is waiting; people go before pipelines, pipelines before stock, stock before patrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody looks at a screen.
    Person = 0,
    /// A pipeline waits; also everything that cleans up.
    Pipeline = 1,
    /// Stock is refilled.
    Stock = 2,
    /// Stock is looked after.
    Patrol = 3,
}

impl Priority {
    /// All, most urgent first.
    pub const ALL: [Self; 4] = [Self::Person, Self::Pipeline, Self::Stock, Self::Patrol];
}

/// Where the data may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// From stock when there is some, else made.
    StockFirst,
    /// Made for this request.
    Fresh,
    /// From stock, or not at all.
    StockOnly,
    /// What its service has already, else made.
    FindFirst,
}

/// Which of the datasets that would do the consumer wants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// Properties of the input that rank what is there; they exclude nothing.
    pub prefer: Option<Arc<Value>>,
    /// Criteria on what the output marks `x-selectable`; they exclude what does not meet them.
    pub select: Option<Arc<Map<String, Value>>>,
    /// True when evidence that is older than it should be will not do, although a service cannot be asked.
    pub require_fresh: bool,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestStatus {
    /// Accepted; nothing of it is being made yet.
    Queued,
    /// Its datasets are being made.
    Building,
    /// Every dataset was leased to the consumer.
    Fulfilled,
    /// At least one dataset could not be made.
    Failed,
    /// The consumer no longer wants it.
    Cancelled,
    /// Its time was over before everything was ready.
    Expired,
}

impl RequestStatus {
    /// Every status with its name on the wire.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Queued, "queued"),
        (Self::Building, "building"),
        (Self::Fulfilled, "fulfilled"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Expired, "expired"),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("every status is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }

    /// True when nothing will change any more.
    pub fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Building)
    }
}

/// One dataset that a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// What is asked for.
    pub contract: ContractName,
    /// The version that was current when the request was accepted.
    pub version: u32,
    /// Its input, defaults filled in.
    pub input: Arc<Value>,
    /// Its input as it was given, which says what was left open; `None` when that is the same, or nothing is looked for in stock.
    pub given: Option<Arc<Value>>,
}

/// A consumer's request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The id.
    pub id: RequestId,
    /// Where the datasets shall live.
    pub environment: String,
    /// One entry a dataset, in the order asked for; never empty.
    pub units: Vec<Unit>,
    /// True when the consumer gave a list of different contracts.
    pub listed: bool,
    /// The dataset that it asks for again, if it does: same version, same input, same seed.
    pub rerun_of: Option<TreeId>,
    /// Where the data may come from.
    pub source: Source,
    /// Which of what would do is wanted.
    pub selection: Selection,
    /// The stock rule that it refills; nobody is given what it makes before somebody asks.
    pub refills: Option<RuleName>,
    /// How long each lease lasts.
    pub ttl_ms: u64,
    /// Who asks, in their own words.
    pub holder: String,
    /// The token that asked: only it may see secrets.
    pub token: TokenId,
    /// Who is waiting.
    pub priority: Priority,
    /// The named channel of suppliers under development, if any.
    pub channel: Option<String>,
    /// Where it stands.
    pub status: RequestStatus,
    /// Grows by one with each change of the request or of one of its trees.
    pub revision: u64,
    /// How many of its trees are ready.
    pub ready: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it expires unless it has ended before.
    pub deadline_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

impl Request {
    /// True when nothing will change any more.
    pub fn has_ended(&self) -> bool {
        self.status.ended()
    }

    /// Whether what is not in stock is made, or found, for it. A request that is not made for ends at once when stock has nothing for it:
    /// nobody waits for what may never come.
    pub fn makes(&self) -> bool {
        self.source != Source::StockOnly && self.selection.select.is_none()
    }
}
