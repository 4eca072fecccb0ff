//! Dataset trees: read whole, decided upon, written back guarded by their version.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::event::Event;
use sixpack_model::failure::Failure;
use sixpack_model::ids::{LeaseId, RequestId, TaskId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, HeldEntity};
use sixpack_model::tree::{Claim, Tree};

use crate::error::StoreError;
use crate::tasks::{Claimant, Claimed};

/// What must still be true for a change to be written, besides the version of the tree.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Nothing else.
    None,
    /// The claim is still there; it is given up together with the change.
    Claim(Claim),
    /// The claim is still there and its session is dead or its deadline has passed; it is given up with the change.
    Abandoned(Claim),
    /// The task waits, unclaimed, to be withdrawn; its row goes with the change.
    Withdrawn(TaskId),
    /// The task is ready and nobody has claimed it yet; its row goes with the change.
    Unclaimed(TaskId),
    /// The lease is held with this fence; it ends with the change.
    Lease(LeaseEnd),
    /// The lease is held with this fence, its deadline has not passed, and it goes on.
    Held {
        /// Which one.
        lease: LeaseId,
        /// The fence that the caller holds.
        fence: u64,
    },
    /// The lease is held and its deadline has passed; it ends as expired with the change.
    Overdue(LeaseId),
    /// The tree is in quarantine: nobody has decided about it.
    Quarantined,
}

/// How a lease is to end.
#[derive(Debug, Clone)]
pub struct LeaseEnd {
    /// Which one.
    pub lease: LeaseId,
    /// The fence that the caller holds; `None` for an administrator, whose word does not depend on it.
    pub fence: Option<u64>,
    /// As what it ends.
    pub status: LeaseStatus,
    /// What the holder said.
    pub outcome: Option<LeaseOutcome>,
    /// What the holder added, or why it is taken away.
    pub note: Option<String>,
    /// The name of the token that takes it away.
    pub revoked_by: Option<String>,
}

/// One decision about one tree, to be written as a whole or not at all.
#[derive(Debug)]
pub struct TreeWrite {
    /// What must still be true.
    pub guard: Guard,
    /// What the planner decided; it names the version that it decided upon.
    pub change: Change,
    /// Ids for the leases that are granted when this change makes the request complete, in the order of its trees. Where the
    /// request has more trees by then, the store makes the others.
    pub leases: Vec<LeaseId>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// It is committed, and this is how the request stands behind it.
    Done(RequestAfter),
    /// The tree has changed since it was read: read it again and decide anew. Nothing was written.
    Stale,
    /// What the guard asks for is not true (any more), or what was to join it has left stock. Nothing was written.
    Refused,
    /// The tree would be ready, its request complete, or the tree extended, with an entity that is somebody else's. Nothing
    /// was written.
    EntityHeld(Clash),
    /// The tree would go away from stock upon the word of this capability alone, which is doubted, or would be with it.
    /// Nothing was written.
    Doubted(ContractName),
}

/// A tree that cannot be leased, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Clash {
    /// The tree: that of the write, or another one of its request.
    pub tree: TreeId,
    /// What is somebody else's.
    pub held: HeldEntity,
}

/// What a write has meant for the request of its tree.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestAfter {
    /// Nothing that ends it; it may have ended before.
    GoesOn,
    /// It was fulfilled with this very write.
    Fulfilled {
        /// Its revision now.
        revision: u64,
        /// What was granted, in the order of the units.
        leases: Vec<Lease>,
    },
    /// It failed with this very write.
    Failed,
    /// It refills stock, and its dataset is there now.
    Stocked,
    /// The dataset was on its way to it from stock, and was set aside: it needs another one.
    Vacant,
    /// The dataset was in stock, and was set aside.
    Quarantined,
    /// It refills stock, and its dataset went to another request, which had waited for one; it goes on with the dataset
    /// that was being made for that request.
    Exchanged {
        /// The request that had waited.
        with: RequestId,
        /// The dataset that was being made for it.
        tree: TreeId,
        /// Its revision and what it was granted, when it is fulfilled with that.
        fulfilled: Option<(u64, Vec<Lease>)>,
    },
}

/// Reads and writes dataset trees.
#[async_trait]
pub trait Trees: Send + Sync {
    /// Reads a tree as it is now; `None` when there is none.
    async fn load_tree(&self, id: TreeId) -> Result<Option<Tree>, StoreError>;

    /// Writes one decision.
    ///
    /// In one transaction: checks the version of the tree (`Stale`), when it becomes ready whether what it owns is free
    /// (`EntityHeld`), and then the guard (`Refused`); writes new and
    /// changed parts, the tree's own fields and when it is due, ready tasks, withdrawals, entities and events. The request's revision grows
    /// by one with every write.
    ///
    /// When `change.outcome` is `Ready`, the trees of the request that are ready are counted; when all are and the
    /// request is still open, every tree of it becomes leased (root status `leased`, version + 1, one lease each from
    /// `leases` in the order of the units, the request's ttl, a fence above all earlier ones of that dataset) and the
    /// request `fulfilled`, each with its event. When it is `Failed` and the request is still open, the request becomes
    /// `failed` with that failure. A tree whose request is no longer open is never leased: its outcome `Ready` is
    /// written as a plain change.
    ///
    /// A tree whose request refills stock goes there when it is ready, or to the request that waits longest for one of its
    /// line. One of a request that has ended goes there too when it came from there ([`Tree::line`]) and is `Ready`. A
    /// refill that fails has its line left alone for a while, longer each time.
    /// No two live leases of an environment own the same entity: what the trees own (`change.owns`) is written with the
    /// grant and goes with the lease. When the request would be complete, the trees that wait are looked at as well, and
    /// held against each other in the order of the units.
    ///
    /// When a dataset from stock joins the tree (`change.joins`), its own end is written first: it leaves stock, and the tree owns
    /// what that one owned because it was there before. When it is not in stock any more in the version that was decided upon,
    /// the write is `Refused`.
    ///
    /// When the outcome is `Extended`, the lease owns what `change.owns` has beyond what it owned before.
    ///
    /// What capabilities have said about what is in stock (`change.said`) is kept as far as it tells whether they are to be
    /// believed ([`sixpack_model::doubt`]). A tree that is held back goes on being in stock, or goes back there from a
    /// request, whose unit is vacant then; nobody gets it before it was asked about.
    ///
    /// An event about the attempt whose claim is given up says how long that was held.
    ///
    /// A task whose version is one of a channel goes to the supplier in the channel of its tree; when none that performs
    /// the version is live there, a check or an undo goes to the deployed suppliers if the version stands in for one of
    /// theirs. All other tasks go to the deployed suppliers. A lease whose deadline has passed is held until somebody
    /// ends it: its holder may still give it back. How a lease has ended is told before what follows from it.
    async fn write_tree(&self, write: TreeWrite) -> Result<Written, StoreError>;

    /// The same, and tasks that it makes ready may be claimed with it, each by its claimant; says which were.
    ///
    /// A store may do so where a claim right behind the write would give the task to the same session: it is live and serves the
    /// task, whose queue has no limits, and nothing that it serves is waiting. What is not claimed with the write is ready, as it
    /// is with [`Trees::write_tree`].
    async fn write_tree_claiming(
        &self,
        write: TreeWrite,
        claimants: Vec<Claimant>,
    ) -> Result<(Written, Vec<Claimed>), StoreError>;

    /// Trees that are still being made, or made and not leased, although their request has ended; at most `limit`,
    /// behind `after` in id order, so that trees that cannot be mended now never hide the others.
    async fn unwanted_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError>;

    /// Trees whose time has come ([`Tree::due_at`]), at most `limit`, behind `after` in id order.
    async fn due_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError>;

    /// When the next tree is due whose time has not come yet.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// How often parts of this contract failed, out of how many begun, since an hour before now. A version of a channel
    /// is counted for itself, and not with the others.
    async fn lately(&self, environment: &str, contract: &str, version: u32) -> Result<Lately, StoreError>;
}

/// How a contract has been doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lately {
    /// Parts that failed.
    pub failures: u64,
    /// Parts begun, the failed ones among them.
    pub of: u64,
    /// When the first of those that failed was created.
    pub first_failed_at: Option<Timestamp>,
}

/// Events and failure that end a request from outside of its trees; see [`crate::requests::Requests::end_request`].
#[derive(Debug, Clone)]
pub struct RequestEnd {
    /// Why, when it is a failure or an expiry.
    pub failure: Option<Failure>,
    /// What to tell.
    pub event: Event,
}
