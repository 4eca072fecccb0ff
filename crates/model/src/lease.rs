//! Leases: the right of one holder to use one dataset until a deadline.
//!
//! ```text
//! held --renew--> held --release--> released
//!                      --deadline passes--> expired
//!                      --taken away--> revoked
//! ```
//!
//! Every grant carries a fence: a number larger than every earlier fence of the same dataset. A call made under a lease
//! names its fence and is refused when it is not the live one.

use jiff::Timestamp;

use crate::ids::{LeaseId, RequestId, TokenId, TreeId};

/// Fences are `epoch * 2^28 + counter`: a restore raises the epoch, so that no fence is ever issued twice, and the
/// whole number stays below 2^53, so that JavaScript keeps it exact.
pub const FENCE_EPOCH: u64 = 1 << 28;

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseStatus {
    /// The holder may use the dataset.
    Held,
    /// The holder gave it back.
    Released,
    /// The deadline passed.
    Expired,
    /// An owner or administrator took it away.
    Revoked,
}

impl LeaseStatus {
    /// Every status with its name on the wire.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Held, "held"),
        (Self::Released, "released"),
        (Self::Expired, "expired"),
        (Self::Revoked, "revoked"),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("every status is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }
}

/// What the holder says about the dataset when giving it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseOutcome {
    /// It was used.
    Used,
    /// It was not touched.
    Unused,
    /// It was not what the contract promises.
    Broken,
}

impl LeaseOutcome {
    /// Every outcome with its name on the wire.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Used, "used"), (Self::Unused, "unused"), (Self::Broken, "broken")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(outcome, _)| *outcome == self).expect("every outcome is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(outcome, _)| *outcome)
    }
}

/// The right of one holder to use one dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The id.
    pub id: LeaseId,
    /// The dataset: always the root of a tree.
    pub tree: TreeId,
    /// Where it lives.
    pub environment: String,
    /// The request that it was granted to.
    pub request: RequestId,
    /// Who holds it, in their own words.
    pub holder: String,
    /// The token that asked for it.
    pub token: TokenId,
    /// Larger than every earlier fence of the dataset.
    pub fence: u64,
    /// Where it stands.
    pub status: LeaseStatus,
    /// How long a renewal without a time of its own lasts.
    pub ttl_ms: u64,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// When it ends, or would have ended.
    pub expires_at: Timestamp,
    /// When it really ended.
    pub ended_at: Option<Timestamp>,
    /// What the holder said at release.
    pub outcome: Option<LeaseOutcome>,
    /// What the holder added at release, or why it was taken away.
    pub note: Option<String>,
    /// The name of the token that took it away.
    pub revoked_by: Option<String>,
}
