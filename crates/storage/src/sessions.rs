//! Sessions: registering a supplier together with its contracts, and noticing that it is gone.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::event::Event;
use sixpack_model::ids::SessionId;
use sixpack_model::session::{Session, SessionStatus};

use crate::contracts::Publication;
use crate::error::StoreError;
use crate::page::Page;

/// What a session performs, and within which limits of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The capability, `domain/name`.
    pub contract: String,
    /// The oldest version whose tasks it can perform: back to the last breaking change.
    pub oldest_version: u32,
    /// The version it registered.
    pub version: u32,
    /// At most so many at once over all sessions.
    pub concurrency: Option<u32>,
    /// At most so many a second over all sessions, evenly spaced but for bursts worth 50 ms.
    pub rate_per_s: Option<f64>,
    /// How long one attempt may take.
    pub timeout_ms: u64,
}

/// What the live deployed sessions perform that have registered the same version of a capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedVersion {
    /// The capability, `domain/name`.
    pub contract: String,
    /// The oldest version whose tasks they can perform.
    pub oldest_version: u32,
    /// The version they registered.
    pub version: u32,
    /// How many they are.
    pub sessions: u64,
}

/// A capability of which something else is on offer than what its live deployed sessions perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedOtherwise {
    /// Where.
    pub environment: String,
    /// The capability, `domain/name`.
    pub contract: String,
    /// The newest version that somebody performs.
    pub version: u32,
}

/// A supplier instance that wants to work.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// What it performs.
    pub services: Vec<Service>,
    /// The contracts that come with it.
    pub publication: Publication,
    /// What to tell.
    pub events: Vec<Event>,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is live; `superseded` is an older live session of the same instance name, or in a channel of the same domain,
    /// which has ended with it.
    Live {
        /// The older session.
        superseded: Option<SessionId>,
    },
    /// Its channel would be one more than [`CHANNELS`](sixpack_model::limits::CHANNELS). Nothing was written.
    TooManyChannels,
    /// The catalogue has changed since it was read, or other suppliers have come: read both again and decide anew. Nothing
    /// was written.
    Stale,
}

/// Reads and writes sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Registers a session with its contracts in one transaction. The limits of its services hold from now on for all
    /// sessions of its channel. The store sets the times of the session.
    async fn register_session(&self, new: NewSession) -> Result<Registered, StoreError>;

    /// Notes a sign of life; returns where the session stands, `None` when it is unknown. Does not wake the dead.
    async fn touch_session(&self, id: SessionId) -> Result<Option<SessionStatus>, StoreError>;

    /// Lets a live session take no more tasks; `ended` at once when it has none. Returns where it stands.
    async fn drain_session(&self, id: SessionId) -> Result<Option<SessionStatus>, StoreError>;

    /// Reads one session.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// The live session in the place of this one, or of one that has taken it: of the same instance, or, in a channel,
    /// of the same domain.
    async fn live_session(&self, place: &Session) -> Result<Option<SessionId>, StoreError>;

    /// Lists sessions, newest first.
    async fn sessions(
        &self,
        environment: Option<&str>,
        page: Page<SessionId>,
    ) -> Result<Vec<Session>, StoreError>;

    /// What live deployed sessions perform in an environment, by capability and version.
    async fn served(&self, environment: &str) -> Result<Vec<ServedVersion>, StoreError>;

    /// Capabilities of which the newest version that live deployed sessions perform is not the one on offer, by environment
    /// and name; at most `limit`.
    async fn served_otherwise(&self, limit: u32) -> Result<Vec<ServedOtherwise>, StoreError>;

    /// When the last deployed supplier of a capability (`domain/name`) has left; `None` when there never was one.
    async fn served_until(&self, environment: &str, contract: &str) -> Result<Option<Timestamp>, StoreError>;

    /// Names of the capabilities (`domain/name`) that a session serves, each with the version it registered; none of one
    /// that takes no tasks any more.
    async fn serves(&self, id: SessionId) -> Result<Vec<(String, u32)>, StoreError>;

    /// How many sessions are live, by environment; those without one are left out.
    async fn count_live_sessions(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// Ends sessions that were not heard of in time and draining ones without claims; returns which. At most `limit`.
    async fn end_silent_sessions(&self, limit: u32) -> Result<Vec<Session>, StoreError>;
}
