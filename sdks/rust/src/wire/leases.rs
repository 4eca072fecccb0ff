//! Leases: the right of one holder to use one dataset until a deadline.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;
use super::words;

words! {
    /// `held -> released | expired | revoked`
    LeaseStatus {
        /// Live.
        Held = "held",
        /// Given back.
        Released = "released",
        /// Its time ran out.
        Expired = "expired",
        /// Taken away by the owner of a part, or an administrator.
        Revoked = "revoked",
    }
}

words! {
    /// What the holder says about the data when giving it back.
    Outcome {
        /// Used: never handed out again.
        Used = "used",
        /// Untouched: may be handed out again after a valid check.
        Unused = "unused",
        /// The data was wrong.
        Broken = "broken",
    }
}

words! {
    /// What a check says.
    CheckVerdict {
        /// It still holds.
        Valid = "valid",
        /// It does not hold any more.
        Invalid = "invalid",
        /// Could not be found out; never taken for valid.
        Undecided = "unknown",
        /// Of a whole dataset: some part could not be asked about, and was valid not long ago.
        Stale = "stale",
        /// There is no check.
        Unchecked = "unchecked",
    }
}

/// A lease as the server shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lease {
    /// `lease_…`
    pub id: String,
    /// Names this grant in every call under the lease.
    pub fence: u64,
    /// Where it stands.
    pub status: LeaseStatus,
    /// Environment.
    #[serde(default)]
    pub environment: String,
    /// Who uses it, for people.
    #[serde(default)]
    pub holder: String,
    /// The request that it fulfils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The channel of suppliers under development that the request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The length that was asked for.
    #[serde(default)]
    pub ttl_s: u64,
    /// What is left at the time of the answer.
    pub ttl_ms: u64,
    /// When it was granted.
    #[serde(default)]
    pub granted_at: String,
    /// When it ends, by the server's clock.
    pub expires_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// What the holder said at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What the holder added, or why it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Name of the token that revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    /// The data.
    pub dataset: LeasedDataset,
    /// What the dataset was advanced by under this lease, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
}

words! {
    /// `building -> ready | failed | cancelled`
    ExtensionStatus {
        /// Being made, or checked with the rest.
        Building = "building",
        /// Made and agreed upon.
        Ready = "ready",
        /// Could not be made; the rest stays leased.
        Failed = "failed",
        /// The lease ended before it was over.
        Cancelled = "cancelled",
    }
}

/// One contract that a leased dataset was advanced by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Extension {
    /// The name of its step in the dataset: `extend_1`.
    pub step: String,
    /// `ds_…`
    #[serde(default)]
    pub dataset_id: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// Where it stands.
    pub status: ExtensionStatus,
    /// What the contract hands on, once it is ready.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Body of `POST /v1/leases/{id}/extend`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewExtension {
    /// Fence of the lease.
    pub fence: u64,
    /// What is to be made, `domain/name`.
    pub contract: String,
    /// What it is made from; what is left out comes from the dataset's output, or is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Which extension of the lease this is, from 1: the call is safe to repeat with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
}

impl NewExtension {
    /// Advances by this contract, as the next extension.
    pub fn new(fence: u64, contract: impl Into<String>) -> Self {
        Self { fence, contract: contract.into(), input: None, number: None }
    }

    /// Input of the contract, as far as the dataset does not say it.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = Some(input);
        self
    }

    /// The same as the extension of this number.
    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        self.number = Some(number);
        self
    }
}

/// The dataset of a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeasedDataset {
    /// `ds_…`
    pub id: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// What the tester uses.
    #[serde(default)]
    pub output: Value,
    /// How far it was proven valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// The last check of a whole dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    /// Valid when all parts that can be checked are.
    pub verdict: CheckVerdict,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
    /// Parts with a check.
    #[serde(default)]
    pub checked: u32,
    /// Parts.
    #[serde(default)]
    pub of: u32,
    /// Leaf by leaf.
    #[serde(default)]
    pub parts: Vec<PartEvidence>,
    /// What the scenario demands of all together.
    #[serde(default)]
    pub invariants: Vec<InvariantEvidence>,
}

/// The last check of one leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartEvidence {
    /// Step names from the root.
    pub path: String,
    /// The part.
    #[serde(default)]
    pub dataset_id: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// What its check said.
    pub verdict: CheckVerdict,
    /// What was read back from the owning service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// What the supplier says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
    /// Whether the part could not be confirmed the last time, and was valid before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// When it last said that the part is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_at: Option<String>,
    /// The build of the supplier that answered, if that has told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The instance of the supplier that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Whether an invariant held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InvariantEvidence {
    /// The invariant in words.
    pub says: String,
    /// Whether it held when it was last evaluated.
    pub held: bool,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_at: Option<String>,
    /// True when a part was found not to hold, or could not be asked about, since then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
}

/// Body of `POST /v1/leases/{id}/renew`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Renewal {
    /// Fence of the lease.
    pub fence: u64,
    /// Length from now; that of the lease when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

impl Renewal {
    /// Renews by `ttl_s` seconds from now; `None` takes the lease's own length.
    pub fn new(fence: u64, ttl_s: Option<u64>) -> Self {
        Self { fence, ttl_s }
    }
}

/// Body of `POST /v1/leases/{id}/release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Release {
    /// Fence of the lease.
    pub fence: u64,
    /// What became of the data; `used` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// At most 1000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Release {
    /// Gives the dataset back.
    pub fn new(fence: u64, outcome: Outcome) -> Self {
        Self { fence, outcome: Some(outcome), note: None }
    }

    /// Adds a note for people.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// Body of `POST /v1/leases/{id}/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Revocation {
    /// One line of 1 to 500 bytes for whoever holds the lease.
    pub reason: String,
}

impl Revocation {
    /// Takes a lease away for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Filters of `GET /v1/leases`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LeaseFilter {
    /// Environment; `default` when absent.
    pub environment: Option<String>,
    /// Only this status.
    pub status: Option<LeaseStatus>,
    /// Only leases of datasets of this contract.
    pub contract: Option<String>,
    /// Only this holder.
    pub holder: Option<String>,
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}
