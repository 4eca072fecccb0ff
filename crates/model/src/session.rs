//! Sessions: connected supplier instances, and which tasks they may be given.
//!
//! ```text
//! live --drain--> draining --last answer--> ended
//!      --no heartbeat--> dead
//! ```

use jiff::Timestamp;

use crate::ids::{SessionId, TokenId};

/// How often a supplier says that it is alive.
pub const HEARTBEAT_MS: u64 = 5_000;

/// After this long without a sign of life a session is dead and its tasks go to others: three missed heartbeats.
pub const SESSION_TTL_MS: u64 = 15_000;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionStatus {
    /// Takes tasks.
    Live,
    /// Finishes what it has; takes no more.
    Draining,
    /// Was not heard of in time.
    Dead,
    /// Went away in order, or a newer instance took its place.
    Ended,
}

impl SessionStatus {
    /// Every status with its name on the wire.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Live, "live"), (Self::Draining, "draining"), (Self::Dead, "dead"), (Self::Ended, "ended")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("every status is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }
}

/// One connected supplier instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The id; fresh for each start of the supplier.
    pub id: SessionId,
    /// Where it works.
    pub environment: String,
    /// Whose capabilities it performs.
    pub domain: String,
    /// Its own name, unique among the live deployed sessions of the domain. In a channel a domain has one session.
    pub instance: String,
    /// The channel it is developed in; `None` for a deployed supplier.
    pub channel: Option<String>,
    /// The build it says it is.
    pub build: Option<String>,
    /// The SDK and its version.
    pub sdk: Option<String>,
    /// The token that registered it.
    pub token: TokenId,
    /// Names of the capabilities that it performs, without the domain.
    pub capabilities: Vec<String>,
    /// Where it stands.
    pub status: SessionStatus,
    /// When it registered.
    pub created_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// When it ended or was found dead.
    pub ended_at: Option<Timestamp>,
}
