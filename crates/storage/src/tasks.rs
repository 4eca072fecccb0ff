//! Tasks: handed out one attempt at a time, taken back when nobody answers.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::ids::{SessionId, TaskId, TreeId};
use sixpack_model::task::OpenTask;
use sixpack_model::tree::{Claim, Operation};

use crate::error::StoreError;

/// One attempt handed to a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The attempt.
    pub claim: Claim,
    /// The version of the tree that planned it: what is known of the tree must be at least as new.
    pub tree_version: u64,
    /// The operation.
    pub operation: Operation,
    /// How long the supplier has.
    pub timeout_ms: u64,
    /// How long it had been due.
    pub waited_ms: u64,
}

/// Who would claim a task as soon as a write has made it ready: a session that waits for one of its capability.
pub type Claimant = (TaskId, SessionId);

/// What one session gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Claims {
    /// These; none when there is nothing to do. `next_at` is when the next delayed task, or the next one that a rate
    /// holds back, may be ready.
    Given {
        /// The attempts.
        tasks: Vec<Claimed>,
        /// When to look again, unless something happens before.
        next_at: Option<Timestamp>,
        /// True when nothing is left in any queue of the session, also nothing that is delayed or held back: until
        /// another task is written, looking again finds nothing.
        exhausted: bool,
    },
    /// The session is draining, dead, ended or unknown: it gets nothing.
    NotLive,
}

/// A claim that will not be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct AbandonedClaim {
    /// The attempt.
    pub claim: Claim,
    /// Why it is given up.
    pub why: Abandoned,
    /// When it was claimed.
    pub claimed_at: Timestamp,
}

/// Why a claim is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// The session is dead or ended.
    SessionGone,
    /// The task's own time is over.
    DeadlinePassed,
}

/// Reads and writes ready and claimed tasks.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Hands the session up to `max` ready tasks of the capabilities that it serves: most urgent priority first, then
    /// oldest first; the attempt is counted here. One statement moves a row from ready to claimed: two sessions never
    /// get the same attempt. Held to `concurrency` and `rate` of each capability over all sessions. Capabilities take
    /// turns, so that a busy one does not starve the others of the session.
    async fn claim_tasks(&self, session: SessionId, max: u32) -> Result<Claims, StoreError>;

    /// The live claims of a session.
    async fn claims_of(&self, session: SessionId) -> Result<Vec<Claim>, StoreError>;

    /// The claims of a session whose answer nobody wants any more.
    async fn cancelled_claims(&self, session: SessionId) -> Result<Vec<TaskId>, StoreError>;

    /// Gives claims of a live session back that were certainly never sent to it: they are ready again as if they had never
    /// been claimed, and the number of the attempt goes to the next claim. Whether a claim that was sent has arrived
    /// cannot be known: such a one stays counted and comes back through [`Tasks::lost_claims`].
    async fn return_claims(&self, claims: &[Claim]) -> Result<(), StoreError>;

    /// Claims of the session older than `older_than_ms` that are not in `running`: lost on the way to it.
    async fn lost_claims(
        &self,
        session: SessionId,
        running: &[TaskId],
        older_than_ms: u64,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Claims whose session is gone or whose time is over, at most `limit`, behind `after` in id order.
    async fn abandoned_claims(
        &self,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<AbandonedClaim>, StoreError>;

    /// The tasks of a tree that wait or are claimed, in the order of their parts: what the tree itself does not know.
    async fn open_tasks(&self, tree: TreeId) -> Result<Vec<OpenTask>, StoreError>;

    /// The parts of a tree that have a task which nobody has and no live session serves, in the order of their parts, with
    /// when the capability was last served. `None` when it never was.
    async fn unserved_parts(&self, tree: TreeId) -> Result<Vec<(u32, Option<Timestamp>)>, StoreError>;

    /// Tasks withdrawn before anybody claimed them, at most `limit`, behind `after` in id order.
    async fn withdrawn_tasks(&self, after: Option<TaskId>, limit: u32) -> Result<Vec<TaskId>, StoreError>;

    /// Tasks that are ready for at least `grace_ms` while no live session serves their capability for at least as
    /// long; with the time at which the last one has left, or since when they are ready if there was none. At most `limit`, behind `after` in id order.
    async fn unserved_tasks(
        &self,
        grace_ms: u64,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<(TaskId, Timestamp)>, StoreError>;
}
