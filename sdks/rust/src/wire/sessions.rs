//! Sessions: what a supplier says about itself, and what the server answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Break, Change, ContractChange, Owner, words};

words! {
    /// What can be done with a part.
    Operation {
        /// Create or advance a state.
        Produce = "produce",
        /// Read-only: does it still hold?
        Check = "check",
        /// Remove or compensate.
        Undo = "undo",
        /// Take something existing that fits.
        Find = "find",
    }
}

words! {
    /// `live -> draining -> ended`, or `dead` without heartbeats.
    SessionState {
        /// Claims tasks.
        Live = "live",
        /// Finishes what it has claimed.
        Draining = "draining",
        /// Sent no heartbeat for 15 seconds.
        Dead = "dead",
        /// Left, or was superseded.
        Ended = "ended",
    }
}

/// Body of `POST /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Revision of the supplier protocol; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// Environment; created when new.
    pub environment: String,
    /// Namespace of all capabilities.
    pub domain: String,
    /// Name of this process, unique in the domain.
    pub instance: String,
    /// `deployment` when absent, or `dev`: beside the deployed suppliers, for requests that name its channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The channel of the mode `dev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What is running, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Who owns the domain.
    pub owner: Owner,
    /// What speaks the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<Sdk>,
    /// What it can do.
    pub capabilities: Vec<CapabilityManifest>,
}

/// Name and version of an SDK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sdk {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

impl Sdk {
    /// This SDK.
    pub fn this() -> Self {
        Self { name: "rust".into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// One capability of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CapabilityManifest {
    /// Name without the domain.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the input.
    pub input: Value,
    /// JSON Schema of the output.
    pub output: Value,
    /// JSON Schema of the facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// What it can do.
    pub operations: Vec<Operation>,
    /// Whether one dataset may be used many times.
    #[serde(default)]
    pub reusable: bool,
    /// Deadline of one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Tasks at once over all sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Tasks a second over all sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How long evidence counts as fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_for_s: Option<u64>,
    /// How long checks may take to agree after building.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_s: Option<u64>,
    /// Retry limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryRule>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Limit of tasks a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rate {
    /// 0.001 to 10000.
    pub per_s: f64,
}

impl Rate {
    /// `per_s` tasks a second.
    pub fn new(per_s: f64) -> Self {
        Self { per_s }
    }
}

/// Limits of retrying one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetryRule {
    /// Goes at it (1 to 100).
    pub max_attempts: u32,
    /// Delay before the second one; it doubles with every further one.
    pub first_delay_ms: u64,
    /// Longest delay.
    pub max_delay_ms: u64,
}

impl Default for RetryRule {
    /// What the server takes when nothing is said.
    fn default() -> Self {
        Self { max_attempts: 5, first_delay_ms: 500, max_delay_ms: 30_000 }
    }
}

impl RetryRule {
    /// At most `max_attempts` goes, with the ordinary delays.
    pub fn attempts(max_attempts: u32) -> Self {
        Self { max_attempts, ..Self::default() }
    }

    /// Sets the first and the longest delay.
    #[must_use]
    pub fn delays_ms(mut self, first: u64, max: u64) -> Self {
        self.first_delay_ms = first;
        self.max_delay_ms = max;
        self
    }
}

/// Answer of `POST /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenedSession {
    /// `ses_…`
    pub id: String,
    /// How often to send a heartbeat.
    pub heartbeat_s: u64,
    /// Revisions of the supplier protocol that the server speaks.
    #[serde(default)]
    pub protocols: Option<Protocols>,
    /// What became of the capabilities.
    #[serde(default)]
    pub contracts: Vec<PublishedContract>,
    /// What the team should know.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// From which revision of a protocol to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Protocols {
    /// The first.
    pub min: u32,
    /// The last.
    pub max: u32,
}

/// What became of one capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PublishedContract {
    /// `domain/name`
    pub name: String,
    /// Version it has now.
    pub version: u32,
    /// How it differs from the one before.
    pub change: Change,
    /// What is different.
    #[serde(default)]
    pub changes: Vec<ContractChange>,
    /// Who suffers; in a channel, who would if it were deployed.
    #[serde(default)]
    pub breaks: Vec<Break>,
    /// In a channel the deployed version that it was held against, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<u32>,
}

/// Something that was accepted and is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Warning {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
    /// Where, as a JSON Pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The file, as the sender named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the file, from 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// How many characters are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Body of a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Heartbeat {
    /// Tasks that are being worked on or whose results are not delivered yet.
    pub running: Vec<String>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeartbeatAnswer {
    /// Tasks to stop.
    #[serde(default)]
    pub cancelled: Vec<String>,
    /// Whether the session is draining.
    #[serde(default)]
    pub draining: bool,
}

/// A session as `GET /v1/sessions` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// `ses_…`
    pub id: String,
    /// Environment.
    #[serde(default)]
    pub environment: String,
    /// Domain.
    pub domain: String,
    /// Process.
    pub instance: String,
    /// `deployment` or `dev`.
    #[serde(default)]
    pub mode: String,
    /// The channel of a supplier under development.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// What speaks the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<Sdk>,
    /// Whether it is alive.
    pub state: SessionState,
    /// When it began.
    #[serde(default)]
    pub started_at: String,
    /// Last sign of life.
    #[serde(default)]
    pub last_seen_at: String,
    /// When it ended or died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Tasks that it holds.
    #[serde(default)]
    pub claimed: u64,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<SessionCapability>,
}

/// A capability of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionCapability {
    /// `domain/name`
    pub name: String,
    /// Version it was registered as; absent once it takes no tasks any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What it can do.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// Filters of `GET /v1/sessions`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionFilter {
    /// Environment; `default` when absent.
    pub environment: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Only this state.
    pub state: Option<SessionState>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
